"""python -m _acontextlib: run a program accelerated; alone, check this interpreter and show the gain."""

import sys

USAGE = """\
usage: python -m _acontextlib [--json]              check this interpreter and measure the gain on it
       python -m _acontextlib SCRIPT [ARGS ...]     run a program with contextlib's async half in C,
       python -m _acontextlib -m MODULE [ARGS ...]  as python SCRIPT, python -m MODULE
       python -m _acontextlib -c CODE [ARGS ...]    and python -c CODE would
"""


def main(args):
    """Do what the command line asks for; returns the exit status."""
    if args and not args[0].startswith("-"):
        from _acontextlib import _run

        return _run.run_script(args[0], args[1:])
    option = args[0][:2] if args else ""
    # As under python, MODULE or CODE may follow the letter at once.
    rest = args[1:] if args[:1] in ([], [option]) else [args[0][2:], *args[1:]]
    if option in ("-m", "-c") and rest:
        from _acontextlib import _run

        run = _run.run_module if option == "-m" else _run.run_command
        return run(rest[0], rest[1:])
    if args in ([], ["--json"]):
        from _acontextlib import _report

        return _report.report(as_json=bool(args))
    if args in (["-h"], ["--help"]):
        print(USAGE, end="")
        return 0
    print(USAGE, end="", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

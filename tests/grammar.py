"""The grammar of the random programs for the differential test, and how a program is made smaller.

Statements are nested tuples, ``(operation, operands...)``; a block is a list of those.  ``programs.py`` has the text of
each operation.  A program is statements, what its driver does, and hooks for generators.  It is drawn from the seed of
a run and its own number, so that any can be drawn alone.
"""

import functools
import itertools
import random

KINDS = (
    *("ValueError", "KeyError", "RuntimeError", "StopIteration", "StopAsyncIteration", "GeneratorExit", "Cancelled"),
    *("KeyboardInterrupt", "ExceptionGroup"),
)
RESULTS = ("None", "False", "True", "0", "'yes'", "undecided()")
ODD = ("none", "number", "coroutine", "generator", "iterator", "not_an_iterator", "awaited_twice", "fails")
PAUSES = ("generator", "generator", "iterator", "throwing", "flagged")
# What an __aexit__() may be given: what the interpreter would, or else.
ORDINARY = ("None, None, None", "None, None, None", "*raised()", "*last_details()")
DETAILS = (
    *(*ORDINARY, *ORDINARY),
    *("*unraised()", "*raised(StopIteration)", "*raised(StopAsyncIteration)", "*raised(GeneratorExit)"),
    *("ValueError, None, None", "StopIteration, None, None", "Cancelled, None, None", "ExceptionGroup, None, None"),
    *("None, new(ValueError), None", "ValueError, 'text', None", "KeyError, *raised()[1:]", "ValueError, None, 5"),
    *("new(ValueError), None, None", "5, None, None", "*raised()[:2], 5", "*raised()[:2]"),
)
RAISING = ("raise", "raise_from", "raise_class", "again", "return")
CAUGHT = ("Exception", "BaseException", "RuntimeError")
ARGUMENTS = ("", "", "1", "1, b=2", "*(1, 2, 3, 4), **{'c': 5}")
MANAGERS = ("plain", "enter", "exit", "exit_twice", "recreate", "quiet")
STACKS = ("plain", "push", "enter", "exit", "async_exit", "pop_all")
ENTRIES = (
    *("kinds", "pop", "popleft", "call", "reverse", "as_list", "copy", "clear", "append", "append_wrong", "append_odd"),
    *("rotate", "take_over", "delete"),
)
MISUSES = (
    *("push(5)", "callback()", "callback(5)", "push_async_callback(5)", "push_async_exit(5)", "enter_context(5)"),
    *("enter_context(keep(nullcontext()))", "enter_async_context(5)", "push(old(0))", "push_async_exit(old(0))"),
    *("callback(log, 'called')", "push_async_callback(log, 'called')", "push(exits)"),
)
# Any four in a row differ.
HOOKS = (
    *("none", "logged", "asyncio", "first_raises", "none", "logged", "last_raises", "driving", "asyncio_shut_down"),
)
DRIVINGS = 4


class Draw:
    """Where the grammar's decisions come from."""

    def __init__(self, seed):
        self.random = random.Random(seed).random
        self.stacks = 0  # how many of the statements around are stacks

    def below(self, end):
        return int(self.random() * end)

    def choice(self, options):
        return options[int(self.random() * len(options))]

    def yes(self, chance=0.5):
        return self.random() < chance


def draw_program(seed, number):
    """Program number so-and-so of that seed: its statements, the actions of its driver, and which hooks are set.

    DRIVINGS numbers in a row have the same statements: compiling those takes longer than all the rest.
    """
    text, driving = divmod(number, DRIVINGS)
    return draw_statements(seed, text), actions(Draw(f"{seed} {number}")), HOOKS[(text + driving) % len(HOOKS)]


@functools.lru_cache(maxsize=1)
def draw_statements(seed, number):
    draw = Draw(seed << 40 | number)
    return [draw.choice(DEEP_WITHOUT)(draw, draw.choice((1, 2, 2, 3))) for _ in range(draw.choice((1, 1, 2, 3)))]


# What all have in common.


def block(draw, depth, most=3):
    """Statements that nest at most so deep; none after one that is always left by an exception."""
    statements = []
    for _ in range(draw.below(most + 1) or min(depth, 1)):
        statements.append(statement(draw, depth))
        if statements[-1][0] in RAISING:
            break
    return statements


def statement(draw, depth):
    if depth and draw.yes(0.6):
        return draw.choice(DEEP if draw.stacks else DEEP_WITHOUT)(draw, depth)
    return draw.choice(SIMPLE if draw.stacks else SIMPLE_WITHOUT)(draw, depth)


def actions(draw):
    """What a driver does to an awaitable before it resumes it to its end."""
    if draw.yes(0.4):
        return []
    return [action(draw) for _ in range(draw.below(4) + 1)]


def action(draw):
    way = draw.choice(WAYS)
    if way == "send":
        return "send", (7 if draw.yes(0.1) else None)
    if way in ("throw", "throw_class", "throw_three"):
        return way, draw.choice(KINDS)
    return (way,)


WAYS = (
    *("send", "send", "send", "send", "send", "throw", "throw", "throw", "throw_class", "throw_three", "close"),
    *("close", "drop", "park", "throw_odd", "throw_mismatched", "throw_traceback"),
)


ACTING = {*WAYS} - {"close"}  # those that are not statements, too


# Statements that do not nest.


def log(draw, depth):
    return ("log",)


def await_(draw, depth):
    return "await", draw.choice(PAUSES)


def raise_(draw, depth):
    way = draw.choice(("raise", "raise", "raise_from", "raise_class", "again", "return"))
    if way in ("again", "return"):
        return (way,)
    kind = draw.choice(KINDS)
    return (way, kind, draw.choice(("None", *KINDS))) if way == "raise_from" else (way, kind)


def yield_(draw, depth):
    return ("yield",)


def pop_all(draw, depth):
    return "pop_all", draw.choice(("keep", "close", "forget", "push", "with", "enter"))


def close(draw, depth):
    return ("close",)


def leave(draw, depth):
    return "leave", draw.choice(DETAILS)


def push_odd(draw, depth):
    return "push_odd", draw.choice(ODD)


def entries(draw, depth):
    return "entries", draw.choice(ENTRIES)


def misuse(draw, depth):
    return "misuse", draw.choice(MISUSES)


def touch(draw, depth):
    """Something else runs, closes or throws into a manager's generator."""
    return "touch", draw.below(3), draw.choice(("anext", "asend", "athrow", "aclose")), actions(draw)


def reuse(draw, depth):
    """A manager or stack that was made before is entered, left or closed by hand."""
    method = draw.choice(("enter", "exit", "exit", "aclose"))
    return "reuse", draw.below(3), method, draw.choice(DETAILS), actions(draw)


def resume(draw, depth):
    """An awaitable that was left suspended is driven on."""
    return "resume", draw.below(2), actions(draw)


SIMPLE_WITHOUT = (*(log, await_, await_, await_, raise_, raise_, raise_, yield_, yield_, touch, touch, reuse, resume),)
SIMPLE = (*SIMPLE_WITHOUT, pop_all, close, leave, push_odd, push_odd, entries, entries, misuse)


# Managers.


def manager(draw, depth):
    return draw.choice((generator, generator, generator, generator, class_, class_, *OTHERS))(draw, depth)


def generator(draw, depth):
    inner = max(depth - 1, 0)
    how = draw.choice(MANAGERS) if draw.yes(0.15) else "decorated"
    before = block(draw, inner, 1) if draw.yes(0.4) else []
    after = block(draw, inner, 2) if draw.yes(0.6) else []
    return "generator", how, draw.choice(ARGUMENTS), before, around_yield(draw, inner), after


def around_yield(draw, depth):
    way = draw.choice(("yield", "yield", "yield", "try", "try", "finally", "finally", "stack", "log"))
    one = ("yield",)
    if way == "try":
        return "try", [one], draw.choice(CAUGHT), block(draw, depth, 2), draw.yes()
    if way == "finally":
        return "finally", [one], block(draw, depth, 2)
    if way == "stack":
        draw.stacks += 1
        body = [statement(draw, depth), one]
        draw.stacks -= 1
        return "stack", "AsyncExitStack", body
    return one if way == "yield" else ("log",)


def class_(draw, depth):
    inner = max(depth - 1, 0)
    return "class", block(draw, inner, 1), block(draw, inner, 2), draw.choice(RESULTS)


def aclosing(draw, depth):
    return "aclosing", block(draw, max(depth - 1, 0), 2)


def nullcontext(draw, depth):
    return ("null",)


def old(draw, depth):
    """One that was made before."""
    return "old", draw.below(3)


def new_stack(draw, depth):
    return "new_stack", draw.choice(STACKS)


OTHERS = (aclosing, nullcontext, old, new_stack)


# Statements that nest.


def try_(draw, depth):
    return "try", block(draw, depth - 1), draw.choice(CAUGHT), block(draw, depth - 1, 2), draw.yes(0.3)


def finally_(draw, depth):
    return "finally", block(draw, depth - 1), block(draw, depth - 1, 2)


def stack(draw, depth):
    how = draw.choice(STACKS) if draw.yes(0.2) else "AsyncExitStack"
    return "stack", how, filled(draw, depth - 1, 3, 3)


def filled(draw, depth, pushed, most):
    """What is within a stack: some entries, then anything."""
    draw.stacks += 1
    body = [draw.choice(PUSHING)(draw, depth) for _ in range(draw.below(pushed + 1))] + block(draw, depth, most)
    draw.stacks -= 1
    return body


def with_(draw, depth):
    return "with", manager(draw, depth), block(draw, depth - 1)


def call(draw, depth):
    kind = draw.choice(("async def", "async def", "async def", "def"))
    return "call", kind, manager(draw, depth), block(draw, depth - 1, 2)


def iterate(draw, depth):
    return "iterate", block(draw, depth - 1, 2), block(draw, depth - 1, 2), draw.yes()


def drive_manager(draw, depth):
    return "drive_manager", manager(draw, depth), actions(draw), draw.choice(DETAILS), actions(draw)


def drive_stack(draw, depth):
    what = draw.choice(("aclose", "aclose", "enter", *DETAILS))
    return "drive_stack", filled(draw, depth - 1, 3, 2), what, actions(draw)


def drive_enter(draw, depth):
    return "drive_enter", manager(draw, depth), actions(draw)


# What puts something on a stack.


def enter(draw, depth):
    return "enter", manager(draw, depth)


def enter_sync(draw, depth):
    return "enter_sync", block(draw, 0, 1), block(draw, 0, 1), draw.choice(RESULTS)


def push(draw, depth):
    return "push", draw.yes(), block(draw, depth, 2), draw.choice(RESULTS)


def push_manager(draw, depth):
    return "push_manager", manager(draw, depth)


def callback(draw, depth):
    return "callback", draw.yes(), draw.choice(ARGUMENTS), block(draw, depth, 2)


PUSHING = (enter, enter, enter, enter_sync, push, push, push_manager, callback, callback)
DEEP_WITHOUT = (
    *(try_, try_, finally_, stack, stack, stack, stack, with_, with_, with_, call, iterate),
    *(drive_manager, drive_manager, drive_stack),
)
DEEP = (*DEEP_WITHOUT, drive_enter, *PUSHING)


# Making a program smaller.


def smaller(node):
    """Yield trees that lack something of this one: statements, levels, operands that could be simpler ones."""
    if isinstance(node, list):
        for start in range(len(node)):
            yield node[:start] + node[start + 1 :]
        for at, item in enumerate(node):
            if isinstance(item, tuple):
                for inner in item:
                    if isinstance(inner, list) and all(one[0] not in ACTING for one in inner):
                        yield node[:at] + inner + node[at + 1 :]
            for changed in smaller(item):
                yield [*node[:at], changed, *node[at + 1 :]]
    elif isinstance(node, tuple):
        for at, item in enumerate(node):
            for changed in simpler(item) if at else ():
                yield (*node[:at], changed, *node[at + 1 :])


def simpler(operand):
    if isinstance(operand, (list, tuple)):
        if isinstance(operand, tuple) and operand[0] not in ("yield", "null", "log", "old"):
            yield from (("yield",),) if operand[0] in ("try", "finally", "stack", "log") else (("null",),)
        yield from smaller(operand)
        return
    for options in SIMPLER:
        if operand in options[1:]:
            yield options[0]


SIMPLER = (KINDS, RESULTS, PAUSES, ORDINARY, CAUGHT, ARGUMENTS)


def shrink(program, differs):
    """The smallest program found that still differs; `program` is (statements, actions, hooks)."""
    tried = 0
    while True:
        body, acts, hooks = program
        candidates = itertools.chain(
            ((body, acts, "none"), (body, [], hooks)),
            ((one, acts, hooks) for one in smaller(body)),
            ((body, one, hooks) for one in smaller(acts)),
        )
        for candidate in candidates:
            tried += 1
            if candidate != program and candidate[0] and differs(candidate):
                program = candidate
                break
        else:
            return program
        if tried > 20000:
            return program

"""Run one program on one implementation and record every event that it or its caller can observe.

The record is a list of lines: what the program logs, each with the exception being handled at that moment; exceptions
by label, with their chain and the program's own frames of their tracebacks; results, warnings, unraisable errors.
Two implementations behave alike if their records are equal.
"""

import asyncio
import gc
import inspect
import signal
import sys
import threading
import types
import warnings
from contextlib import contextmanager

from helpers import DEBUG

FILE = "<program>"
# Closing what awaits inside a generator's step leaves the stdlib's generator "running" for ever before 3.13, ours not:
# design.md, section 1.  There the driver sends instead.
CLOSE_IN_GENERATOR = sys.version_info >= (3, 13)
STEPS = 60
HANG = 2.0


class Cancelled(asyncio.CancelledError):
    """Cancellation, an exception that is no Exception."""


class Hang(BaseException):
    """The alarm: an implementation does not come to an end."""


class IteratorPause:
    """Like Observer.pause, but its iterator knows neither send() nor throw() nor close()."""

    def __init__(self, observer, label):
        self.observer = observer
        self.label = label
        self.done = False

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        self.observer.note_place(sys._getframe(1))
        if self.done:
            raise StopIteration("iterated")
        self.done = True
        return self.label


class GeneratorPause:
    """An awaitable that yields its label once and returns what is sent back."""

    def __init__(self, observer, label):
        self.observer = observer
        self.label = label

    def __await__(self):
        self.observer.note_place(sys._getframe(1))
        return (yield self.label)


class Observer:
    """The names that a program uses, and the record of one run."""

    def __init__(self, lib):
        self.lib = lib
        self.record = []
        self.known = []
        self.kept = []
        self.created = 0
        self.in_generator = False
        self.deprecated = False
        self.hung = False

    def names(self):
        provided = ("log", "seen", "new", "last", "raised", "unraised", "last_details", "pause", "keep", "drive", "odd")
        library = ("AsyncExitStack", "asynccontextmanager", "aclosing", "nullcontext")
        return {
            **{name: getattr(self, name) for name in provided},
            **{name: getattr(self.lib, name) for name in library},
            "Cancelled": Cancelled,
        }

    # What a program calls.

    def log(self, *parts):
        text = " ".join(part if isinstance(part, str) else self.show(part) for part in parts)
        self.record.append(f"{text}   [handling {self.label(sys.exc_info()[1])}]")

    def seen(self, name, typ, value, traceback):
        """Log what an exit method receives."""
        self.log(f"{name} exits with", getattr(typ, "__name__", "None"), value, f"frames {frames(traceback)}")
        if value is not None:
            self.describe(value)

    def new(self, kind):
        self.created += 1
        error = kind(f"e{self.created}")
        self.label(error)
        return error

    def last(self):
        """The exception the program met last, to be raised again."""
        return self.known[-1] if self.known else self.new(ValueError)

    def raised(self):
        """The three details of a new exception that was raised and caught."""
        try:
            raise self.new(ValueError)
        except ValueError as error:
            return ValueError, error, error.__traceback__

    def unraised(self):
        return ValueError, self.new(ValueError), None

    def last_details(self):
        error = self.last()
        return type(error), error, error.__traceback__

    def pause(self, label, kind):
        return (GeneratorPause if kind == "generator" else IteratorPause)(self, label)

    def keep(self, thing):
        """Hold a manager or a stack, so that the order in which generators die does not depend on library frames."""
        self.kept.append((thing, getattr(thing, "gen", None)))
        return thing

    def odd(self, kind):
        """An asynchronous exit callback whose result is unusual to await."""

        async def awaited_twice():
            await self.pause("twice", "generator")

        @types.coroutine
        def generator():
            yield "decorated generator"
            return True

        class Bad:
            def __await__(self):
                return 5

        class Failing:
            def __await__(self):
                raise ValueError("no iterator")

        def exit(*details):
            self.seen(kind, *details)
            return results[kind]

        results = {"none": None, "number": 5, "coroutine": None, "generator": None, "iterator": None}
        results.update(not_an_iterator=Bad(), fails=Failing(), awaited_twice=None)
        if kind == "coroutine":
            return lambda *details: self.logged_wait(*details)
        if kind == "generator":
            return lambda *details: generator()
        if kind == "iterator":
            results[kind] = IteratorPause(self, "odd iterator")
        if kind == "awaited_twice":
            results[kind] = busy = awaited_twice()
            busy.send(None)
            self.keep(busy)
        return exit

    async def logged_wait(self, *details):
        self.seen("coroutine", *details)
        await self.pause("odd coroutine", "generator")

    # The driver.

    def drive(self, name, awaitable, actions=()):
        """Apply the actions to an awaitable, then resume it until it ends; log whatever comes out."""
        started = finished = False
        for action, *operands in actions:
            if DEBUG and not started and "StopIteration" in operands:
                action, operands = "send", [None]
            if (
                self.in_generator
                and not CLOSE_IN_GENERATOR
                and (action in ("close", "drop") or "GeneratorExit" in operands)
            ):
                action, operands = "send", [None]
            if action == "drop":
                self.log(f"{name} dropped")
                del awaitable
                return
            outcome = self.act(name, awaitable, action, operands)
            started = started or outcome != "refused"
            finished = finished or outcome in ("returned", "raised")
        for _ in range(STEPS):
            if finished or self.act(name, awaitable, "send", [None]) != "yielded":
                break

    def act(self, name, awaitable, action, operands):
        self.in_generator = self.deprecated = False
        ways = {
            "send": lambda: awaitable.send(*operands),
            "throw": lambda: awaitable.throw(self.new(self.kind(*operands))),
            "throw_three": lambda: awaitable.throw(self.kind(*operands), self.new(self.kind(*operands)), None),
            "close": lambda: awaitable.close(),
        }
        try:
            outcome, value = "yielded", ways[action]()
        except StopIteration as stop:
            outcome, value = "returned", stop.value
        except BaseException as error:
            outcome, value = "raised", error
        self.log(f"{name} {action} {outcome}", value)
        if outcome == "raised":
            self.describe(value)
            if "ignored GeneratorExit" in str(value) or "just-started" in str(value):
                return "refused"
        return outcome

    @staticmethod
    def kind(name):
        return {"Cancelled": Cancelled}.get(name) or getattr(__import__("builtins"), name)

    def note_place(self, frame):
        """Note whether the await now reached is inside a program's async generator, as seen from the nearest driver."""
        self.in_generator = False
        while frame is not None and frame.f_code is not Observer.act.__code__:
            if frame.f_code.co_filename == FILE and frame.f_code.co_flags & inspect.CO_ASYNC_GENERATOR:
                self.in_generator = True
            frame = frame.f_back

    # How things are written down.

    def label(self, error):
        if error is None:
            return "nothing"
        for known in self.known:
            if known is error:
                break
        else:
            self.known.append(error)
        number = next(number for number, known in enumerate(self.known) if known is error)
        return f"{type(error).__name__}({', '.join(map(self.show, error.args))})#{number}"

    def show(self, value):
        if isinstance(value, BaseException):
            return self.label(value)
        if value is None or isinstance(value, (bool, int, str)):
            return repr(value)
        return f"<{type(value).__name__}>"

    def describe(self, error):
        """Write down an exception's chain, each exception once."""
        waiting, described = [error], []
        while waiting:
            error = waiting.pop()
            if error is None or any(error is one for one in described):
                continue
            described.append(error)
            around = f"context {self.label(error.__context__)}, cause {self.label(error.__cause__)}"
            where = f"suppressed {error.__suppress_context__}, frames {frames(error.__traceback__)}"
            self.record.append(f"    {self.label(error)}: {around}, {where}")
            waiting += [error.__cause__, error.__context__]

    def on_warning(self, message, category, filename, lineno, *_):
        if category is DeprecationWarning and "throw()" in str(message):
            # Each throw() on the way down warns, at the line of whatever frame is then on top, and frames differ.
            if self.deprecated:
                return
            self.deprecated, filename = True, ""
        self.record.append(f"warning {category.__name__} {message} at {lineno if filename == FILE else 'elsewhere'}")

    def on_unraisable(self, unraisable):
        self.record.append(f"unraisable {self.label(unraisable.exc_value)}")
        self.describe(unraisable.exc_value)

    # A run.

    def run(self, program):
        """Run a program to its end and return the record, or None if the implementation hangs."""
        names = self.names()
        exec(compile(program.text, FILE, "exec"), names)
        with self.watching(program.hooks):
            self.drive("main", names["main"](), program.actions)
            for error in self.known:
                self.describe(error)
            self.release()
        return None if self.hung else self.record

    def release(self):
        """Let go of all that was kept, one by one, and record what that sets off."""
        labels = [self.label(error) for error in self.known]
        for error in self.known:
            error.__traceback__ = error.__context__ = error.__cause__ = None
        gc.collect()
        for number, _ in enumerate(list(self.kept)):
            self.record.append(f"release {number}")
            self.kept[number] = None
        gc.collect()
        assert labels == [self.label(error) for error in self.known[: len(labels)]]

    @contextmanager
    def watching(self, hooks):
        """Warnings, unraisable errors, generator hooks and the alarm go to the record for as long as this lasts."""
        before, unraisable = sys.get_asyncgen_hooks(), sys.unraisablehook
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = self.on_warning
            sys.unraisablehook = self.on_unraisable
            if hooks:
                sys.set_asyncgen_hooks(
                    lambda gen: self.log(f"first iteration of {gen.__name__}"),
                    lambda gen: self.log(f"finaliser of {gen.__name__}"),
                )
            gc.disable()
            gc.freeze()  # so that release() collects among this run's objects alone
            try:
                with self.alarm():
                    yield
            finally:
                gc.unfreeze()
                gc.enable()
                sys.set_asyncgen_hooks(*before)
                sys.unraisablehook = unraisable

    @contextmanager
    def alarm(self):
        """Raise Hang where an implementation loops: the stdlib does on some chains of contexts, which are skipped."""
        if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
            yield
            return

        def ring(*_):
            self.hung = True
            raise Hang

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, HANG, HANG)
        try:
            yield
        except Hang:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def frames(traceback):
    """(function, line) of the program's own frames in a traceback, outermost first."""
    found = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename == FILE:
            found.append(f"{code.co_name}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return found


def observe(lib, program):
    """Run a program on an implementation and return its record, or None if that hangs."""
    return Observer(lib).run(program)

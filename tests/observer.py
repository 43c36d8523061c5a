"""Run one program on one implementation and record every event that it or its caller can observe.

The record is a list of lines: what the program logs, each with the exception being handled at that moment; exceptions
by label, with their chain and the program's own frames of their tracebacks; results, warnings, unraisable errors.
Two implementations behave alike if their records are equal.

``watching()`` redirects to the record what a process has only one of; it may enclose any number of runs.
"""

import asyncio
import builtins
import collections
import contextlib
import functools
import gc
import inspect
import re
import signal
import sys
import threading
import warnings
import weakref

import observed
from helpers import DEBUG
from observed import FILE

# Closing what awaits inside a generator's step leaves the stdlib's generator "running" for ever before 3.13, ours not:
# design.md, section 1.  There the driver sends instead.
CLOSE_IN_GENERATOR = sys.version_info >= (3, 13)
STEPS = 60
HANG = 0.5  # seconds of the processor's time, hence no matter how busy the machine is


class Cancelled(asyncio.CancelledError):
    """Cancellation, an exception that is no Exception."""


class Hang(BaseException):
    """The alarm: an implementation does not come to an end."""


class Observer:
    """The names that a program uses, and the record of one run."""

    def __init__(self, lib):
        self.lib = lib
        self.record = []
        self.known = []
        self.labels = {}
        self.kept = []
        self.generators = []
        self.parked = []
        self.tracebacks = []
        self.created = 0
        self.in_generator = False
        self.is_throwing = False
        self.is_closing = True  # outside of a resume there is nothing but finalisers
        self.ignored = False
        self.end = sys.maxsize
        self.deprecated = False
        self.hung = False

    def names(self):
        return {
            **{name: getattr(self, name) for name in PROVIDED},
            **{name: getattr(self.lib, name) for name in LIBRARY},
            "Cancelled": Cancelled,
        }

    # What a program calls.

    def log(self, *parts):
        text = " ".join([part if type(part) is str else self.show(part) for part in parts])
        self.record.append(f"{text}   [handling {self.label(sys.exception())}]")

    def seen(self, name, *details):
        """Log what an exit method receives."""
        if len(details) != 3:
            return self.log(f"{name} exits with", details)
        typ, value, traceback = details
        self.log(f"{name} exits with", getattr(typ, "__name__", "None"), value, f"frames {frames(traceback)}")
        if value is not None:
            self.describe(value)

    def exits(self, *details):
        """An exit function that is a bound method."""
        self.seen("method", *details)

    def new(self, kind):
        self.created += 1
        text = f"e{self.created}"
        error = ExceptionGroup(text, [ValueError(text)]) if kind is ExceptionGroup else kind(text)
        self.label(error)
        return error

    def last(self):
        """The exception the program met last, to be raised again."""
        return self.known[-1] if self.known else self.new(ValueError)

    def raised(self, kind=ValueError):
        """The three details of a new exception that was raised and caught."""
        try:
            raise self.new(kind)
        except kind as error:
            return self.details(error)

    def unraised(self):
        return ValueError, self.new(ValueError), None

    def last_details(self):
        return self.details(self.last())

    def details(self, error):
        # Held, because it holds frames, and the library's coroutines hold more of their arguments than they need.
        self.tracebacks.append(error.__traceback__)
        return type(error), error, error.__traceback__

    def undecided(self):
        return observed.Undecided(self)

    def pause(self, label, kind):
        return observed.PAUSES[kind](self, label)

    def keep(self, thing):
        """Hold a manager or a stack, so that the order in which generators die does not depend on library frames."""
        self.kept.append((thing, getattr(thing, "gen", None)))
        return thing

    def keeping(self, function):
        """Hold each generator that a function makes, for those whose manager nobody sees."""

        def made(*args, **kwds):
            self.generators.append(function(*args, **kwds))
            return self.generators[-1]

        return made

    def older(self, number):
        """What was kept so long ago, and its generator if it has one."""
        return self.kept[-1 - number] if number < len(self.kept) else (self.lib.nullcontext("nothing kept"), None)

    def old(self, number):
        return self.older(number)[0]

    def odd(self, kind):
        return observed.odd(self, kind)

    def managed(self, kind, function, *args, **kwds):
        """A manager of a subclass, which overrides something."""
        return observed.manager_class(self, kind)(function, args, kwds)

    def stacked(self, kind):
        return observed.stack_class(self, kind)()

    def touch(self, number, how, actions):
        """Do something to a manager's generator without the manager."""
        if not CLOSE_IN_GENERATOR and how in ("athrow", "aclose"):
            actions = [("send", None), *actions]  # begun by throw(), it is begun once more by send(): differences.md
        gen = self.older(number)[1]
        if gen is None:
            self.log("no generator")
        elif how == "anext":
            self.drive("anext of generator", gen.__anext__().__await__(), actions)
        elif how == "asend":
            self.drive("asend to generator", gen.asend(None), actions)
        elif how == "athrow":
            self.drive("athrow into generator", gen.athrow(self.new(KeyError)), actions)
        else:
            self.drive("aclose of generator", gen.aclose(), actions)

    def reuse(self, number, method, details, actions):
        """Enter or leave what was made before."""
        name = {"enter": "__aenter__", "exit": "__aexit__"}.get(method, method)
        call = getattr(self.old(number), name, None)
        if call is None:
            self.log(f"no {name}")
        else:
            self.drive(f"old {name}", call(*(details if method == "exit" else ())), actions)

    def entries(self, stack, what):
        """Look at, or change, the entries of a stack."""
        if what == "delete":
            del stack._exit_callbacks
            return
        callbacks = stack._exit_callbacks
        if what == "kinds":
            self.log("entries", [is_sync for is_sync, *_ in callbacks if type(is_sync) is bool])
        elif what == "append":
            callbacks.append((True, lambda *details: self.seen("appended", *details)))
        elif what == "append_odd":
            callbacks.append((False, lambda *details: self.seen("appended", *details)))
        elif what == "append_wrong":
            callbacks.append((False,))
        elif what == "call":
            self.call_entry(callbacks)
        elif what in ("reverse", "as_list", "copy", "take_over"):
            self.assign_entries(stack, callbacks, what)
        elif callbacks or what == "clear":
            operands = (0,) if what == "popleft" and type(callbacks) is list else ()
            if what == "rotate":
                callbacks.insert(0, callbacks.pop())
            else:
                getattr(callbacks, "pop" if operands else what)(*operands)

    def call_entry(self, callbacks):
        if callbacks:
            is_sync, callback = callbacks.pop()
            if is_sync:
                self.log("entry gave", callback(None, None, None))
            else:
                self.drive("entry", callback(None, None, None).__await__())

    def assign_entries(self, stack, callbacks, what):
        if what == "take_over":
            callbacks = getattr(self.old(1), "_exit_callbacks", callbacks)
        elif what == "as_list":
            callbacks = list(callbacks)
        else:
            callbacks = collections.deque(reversed(callbacks) if what == "reverse" else callbacks)
        stack._exit_callbacks = callbacks

    def resume(self, number, actions):
        """Drive on an awaitable that was left where it was."""
        if number >= len(self.parked):
            self.log("nothing parked")
        else:
            self.drive_parked(number, "", actions)

    # The driver.

    def drive(self, name, awaitable, actions=(), started=False):
        """Apply the actions to an awaitable, then resume it until it ends; log whatever comes out.

        It is deleted at the end, for tracebacks may have this frame, as f_back of another.
        """
        finished, was_closing = False, self.is_closing
        for action, *operands in actions:
            action, operands = self.allowed(action, operands, started)
            if action == "drop":
                self.log(f"{name} dropped")
                self.is_closing = True
                del awaitable
                self.is_closing = was_closing
                return
            if action == "park":
                self.log(f"{name} parked")
                self.parked.append((name, awaitable, started, self.in_generator))
                del awaitable
                return
            outcome = self.act(name, awaitable, action, operands)
            if action == "throw_odd" and outcome == "raised":
                continue  # the error may never have got into it
            started = started or outcome != "refused"
            finished = outcome in ("returned", "raised") or (finished and outcome == "refused")
        for _ in range(STEPS):
            if finished or self.act(name, awaitable, "send", [None]) != "yielded":
                break
        else:
            self.parked.append((name, awaitable, True, self.in_generator))
        del awaitable

    def drive_parked(self, number, prefix, actions):
        *parked, self.in_generator = self.parked.pop(number)
        self.drive(prefix + parked.pop(0), parked.pop(0), actions, parked.pop(0))  # nothing else has it meanwhile

    def allowed(self, action, operands, started):
        """The action, or another where the interpreter's own behaviour gets in the way."""
        is_unstarted_stop = DEBUG and not started and "StopIteration" in operands
        is_close = action in ("close", "drop") or "GeneratorExit" in operands
        if is_unstarted_stop or (is_close and self.in_generator and not CLOSE_IN_GENERATOR):
            return "send", [None]
        return action, operands

    def act(self, name, awaitable, action, operands):
        self.in_generator = self.deprecated = False
        kind = self.kind(operands[0]) if operands and action != "send" else None
        before = self.is_closing, self.is_throwing
        self.is_closing, self.is_throwing = action == "close" or kind is GeneratorExit, action.startswith("throw")
        try:
            if action == "send":
                value = awaitable.send(*operands)
            elif action == "throw":
                value = awaitable.throw(self.new(kind))
            elif action == "throw_class":
                value = awaitable.throw(kind)
            elif action == "throw_three":
                value = awaitable.throw(kind, self.new(kind), None)
            elif action == "throw_traceback":
                value = awaitable.throw(*self.raised())
            elif action == "throw_mismatched":
                value = awaitable.throw(KeyError, self.new(ValueError), None)
            elif action == "throw_odd":
                value = awaitable.throw(5)
            else:
                value = awaitable.close()
            outcome = "yielded"
        except StopIteration as stop:
            outcome, value = "returned", stop.value
        except BaseException as error:
            outcome, value = "raised", error
        self.is_closing, self.is_throwing = before
        del awaitable  # as in drive()
        self.log(f"{name} {action} {outcome}", value)
        if outcome == "raised":
            self.describe(value)
            if "ignored GeneratorExit" in str(value) or "just-started" in str(value):
                return "refused"
        return outcome

    @staticmethod
    def kind(name):
        return Cancelled if name == "Cancelled" else getattr(builtins, name)

    def note_place(self, frame):
        """Note whether the await now reached is inside a program's async generator, as seen from the nearest driver."""
        if CLOSE_IN_GENERATOR:
            return
        # While something is thrown, the frames of those who await ours are not on the stack: differences.md.
        self.in_generator = self.is_throwing
        while frame is not None and frame.f_code is not Observer.act.__code__:
            if frame.f_code.co_filename == FILE and frame.f_code.co_flags & inspect.CO_ASYNC_GENERATOR:
                self.in_generator = True
            frame = frame.f_back
        if self.in_generator and self.is_closing:
            # It ignores GeneratorExit, and is closed once more when it is dropped: nothing after this is compared.
            self.stop_comparing()

    # How things are written down.

    def label(self, error):
        if error is None:
            return "nothing"
        label = self.labels.get(id(error))
        if label is None:
            self.known.append(error)  # so that its id stays its own
            label = f"{type(error).__name__}({', '.join(map(self.show, error.args))})#{len(self.known)}"
            self.labels[id(error)] = label
            self.ignored = self.ignored or "coroutine ignored GeneratorExit" in label
        return label

    def show(self, value):
        if isinstance(value, BaseException):
            return self.label(value)
        if value is None or isinstance(value, (bool, int, str)):
            return repr(value)
        if type(value) in (tuple, list):
            return f"({', '.join(map(self.show, value))})"
        if type(value) is dict:
            return repr(value)
        return f"<{type(value).__name__}>"

    def describe(self, error):
        """Write down an exception's chain, each exception once."""
        waiting, described = [error], set()
        while waiting:
            error = waiting.pop()
            if error is None or id(error) in described:
                continue
            described.add(id(error))
            if not isinstance(error, BaseException):
                self.record.append(f"    {self.show(error)} is no exception")
                continue
            context, cause = error.__context__, error.__cause__
            around = f"context {self.label(context)}, cause {self.label(cause)}"
            where = f"suppressed {error.__suppress_context__}, frames {frames(error.__traceback__)}"
            self.record.append(f"    {self.label(error)}: {around}, {where}")
            waiting += [cause, context]

    def stop_comparing(self):
        """Leave what comes from here on out of the comparison."""
        self.end = min(self.end, len(self.record))

    def on_warning(self, message, category, filename, lineno, *_):
        if category is DeprecationWarning and "throw()" in str(message):
            # Each throw() on the way down warns, at the line of whatever frame is then on top, and frames differ.
            if self.deprecated:
                return
            self.deprecated, filename = True, ""
        where = lineno if filename == FILE else "elsewhere"
        self.record.append(f"warning {category.__name__} {ADDRESS.sub('', str(message))} at {where}")

    def on_unraisable(self, unraisable):
        traceback = unraisable.exc_traceback
        if traceback is not None and traceback.tb_next is None and traceback.tb_frame is sys._getframe(2):
            # Made for the message from whatever frame was on top, for an exception with none: no library frames there.
            unraisable.exc_value.__traceback__ = None
        self.record.append(f"unraisable {self.label(unraisable.exc_value)}")
        self.describe(unraisable.exc_value)
        if self.ignored:
            self.stop_comparing()

    # A run.

    def run(self, code, program):
        """Run a program to its end and return the record, or None if the implementation hangs."""
        names = self.names()
        exec(code, names)
        try:
            with observed.hooks(self, program.hooks):
                self.drive("main", names["main"](), program.actions)
                for error in self.known:
                    self.describe(error)
                if program.hooks.startswith("asyncio"):
                    self.log("in the loop", [observed.known_to_loop(gen) for _, gen in self.kept if gen is not None])
                self.release()
        except Hang:
            pass
        names.clear()  # the functions have it
        return None if self.hung else self.record[: self.end]

    def release(self):
        """Let go of all that was kept, one by one, and record what that sets off."""
        if self.ignored:
            # What ignores GeneratorExit stays suspended when it is dropped.  Its frames die when nothing else has
            # them, in a traceback or as f_back of such a frame, and without frames of the library that is another time.
            self.stop_comparing()
        generators = [weakref.ref(gen) for _, gen in self.kept if gen is not None]
        generators += map(weakref.ref, self.generators)
        self.forget_frames()
        gc.collect()
        while self.parked:
            self.drive_parked(0, "left ", [("drop",)])
            self.forget_frames()
        self.tracebacks.clear()
        gc.collect()
        for number in range(len(self.kept)):
            self.record.append(f"release {number}")
            self.kept[number] = None
            self.collect()
        while self.generators:
            self.record.append("release a generator")
            self.generators.pop(0)
            self.collect()
        if sum(is_suspended(generator()) for generator in generators) > 1:
            self.stop_comparing()  # what one does when it is collected may depend on the other's being there
        self.collect_rest()

    def collect(self):
        """Have everything go that nobody has any more.

        An error of which the program never heard may hold frames of the library, and these what was let go of: the
        collector then does what happens at once without them.  So the order of what that sets off is not compared.
        """
        start = len(self.record)
        self.forget_frames()
        gc.collect()
        self.disorder(start)

    def collect_rest(self):
        """Collect what holds itself.  The order is the collector's own, hence neither it nor labels are compared."""
        start = len(self.record)
        for _ in range(2):  # what the first finalises may hold the rest
            gc.collect()
            self.forget_frames()
            self.labels.clear()
            self.known.clear()  # an AttributeError has its object
        self.disorder(start)
        self.end = sys.maxsize if self.end == sys.maxsize else min(self.end, start)

    def disorder(self, start):
        """Have what was recorded from there on compared without its order, and without numbers, which tell it."""
        self.record[start:] = sorted(NUMBER.sub("#", line) for line in self.record[start:])

    def forget_frames(self):
        """Take away what exceptions hold: the library's frames, which differ, are among it."""
        for error in self.known:
            error.__traceback__ = error.__context__ = error.__cause__ = None


PROVIDED = (
    *("log", "seen", "new", "last", "raised", "unraised", "last_details", "undecided", "pause", "keep", "old", "odd"),
    *("exits", "keeping", "managed", "stacked", "touch", "reuse", "entries", "resume", "drive"),
)
LIBRARY = ("AsyncExitStack", "asynccontextmanager", "aclosing", "nullcontext")
NUMBER = re.compile(r"#\d+")
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def is_suspended(gen):
    return gen is not None and gen.ag_frame is not None and gen.ag_frame.f_lasti >= 0


def frames(traceback):
    """(function, line) of the program's own frames in a traceback, outermost first."""
    found = []
    while isinstance(traceback, observed.TracebackType):
        code = traceback.tb_frame.f_code
        if code.co_filename == FILE:
            found.append(f"{code.co_name}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return found


class Watch:
    """Where warnings, unraisable errors and the alarm go: to the run that is going on."""

    is_on = False
    observer = None
    runs = 0
    heard = 0

    def on_warning(self, *args):
        if self.observer is not None:
            self.observer.on_warning(*args)

    def on_unraisable(self, unraisable):
        if self.observer is not None:
            self.observer.on_unraisable(unraisable)

    def ring(self, *_):
        """Raise Hang in a run that was there at the last ring: the stdlib loops on some chains of contexts."""
        if self.observer is not None and self.heard == self.runs:
            self.observer.hung = True
            raise Hang
        self.heard = self.runs


WATCH = Watch()


@contextlib.contextmanager
def watching():
    """Redirect warnings, unraisable errors and the alarm for as long as the outermost of these lasts.

    No garbage is collected meanwhile.
    """
    if WATCH.is_on:
        yield
        return
    unraisable = sys.unraisablehook
    with warnings.catch_warnings(), alarm():
        WATCH.is_on = True
        warnings.simplefilter("always")
        warnings.showwarning = WATCH.on_warning
        sys.unraisablehook = WATCH.on_unraisable
        gc.disable()
        try:
            yield
        finally:
            gc.collect()  # what a run leaves to be finalised later reports to nobody
            WATCH.is_on = False
            gc.enable()
            sys.unraisablehook = unraisable


@contextlib.contextmanager
def alarm():
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, WATCH.ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@functools.lru_cache(maxsize=1)
def compiled(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # a return in a finally block
        return compile(text, FILE, "exec", dont_inherit=True)


def observe_watched(lib, program, code):
    """Run a program, whose code is given, on an implementation; the caller is `watching()`."""
    observer = Observer(lib)
    gc.freeze()  # so that release() collects among this run's objects alone
    WATCH.runs += 1
    WATCH.observer = observer
    try:
        return observer.run(code, program)
    finally:
        WATCH.observer = None
        gc.unfreeze()

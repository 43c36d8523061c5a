"""Random programs for the differential test: their grammar (hypothesis strategies) and their text.

A program is nested tuples, ``(operation, operands...)``; a block is a list of those.  ``render`` turns one into real
Python source, so what a failing example prints can be read, and run, as it stands.  Any tree renders: an operation that
makes no sense where it stands (an await in a synchronous callback, a push with no stack open) becomes a log line.

The text uses the names that ``observer.Observer`` provides: log, seen, new, last, pause, keep, drive, odd.
"""

import functools
from typing import NamedTuple

from hypothesis import strategies as st

KINDS = ("ValueError", "KeyError", "RuntimeError", "StopIteration", "StopAsyncIteration", "GeneratorExit", "Cancelled")
RESULTS = ("None", "False", "True", "0", "'yes'")
ODD = ("none", "number", "coroutine", "generator", "iterator", "not_an_iterator", "awaited_twice", "fails")
RAISING = ("raise", "raise_from", "again")
SYNC = ("log", *RAISING, "try", "finally", "push", "callback", "async_callback", "push_odd", "pop_all")


class Scope(NamedTuple):
    """Where a statement stands: what it may do there, and which stack it works on."""

    is_async: bool = True
    is_generator: bool = False
    stack: str = ""


class Writer:
    """Writes statements as Python; one method for each operation."""

    def __init__(self):
        self.lines = []
        self.depth = 0
        self.count = 0

    def put(self, line):
        self.lines.append("    " * self.depth + line)

    def name(self, prefix):
        self.count += 1
        return f"{prefix}{self.count}"

    def block(self, header, statements, scope, first=(), last=()):
        """Write a compound statement: the header, then its body one level deeper."""
        self.put(header)
        self.depth += 1
        for line in first:
            self.put(line)
        for statement in statements:
            self.statement(statement, scope)
        for line in last:
            self.put(line)
        if not (statements or first or last):
            self.put("pass")
        self.depth -= 1

    def statement(self, statement, scope):
        operation, *operands = statement
        if not scope.is_async and operation not in SYNC:
            operation, operands = "log", ()
        getattr(self, f"write_{operation}")(scope, *operands)

    # What a function does by itself.

    def write_log(self, scope):
        self.put(f"log('{self.name('at')}')")

    def write_await(self, scope, kind):
        name = self.name("p")
        self.put(f"log('{name} received', await pause('{name}', '{kind}'))")

    def write_raise(self, scope, kind):
        self.put(f"raise new({kind})")

    def write_raise_from(self, scope, kind, cause):
        self.put(f"raise new({kind}) from {cause if cause == 'None' else f'new({cause})'}")

    def write_again(self, scope):
        self.put("raise last()")

    def write_yield(self, scope):
        name = self.name("y")
        self.put(f"log('{name} received', (yield '{name}'))" if scope.is_generator else f"log('{name}')")

    def write_try(self, scope, body, caught, handler, reraise):
        self.block("try:", body, scope)
        logged = f"log('{self.name('caught')}', error)"
        self.block(f"except {caught} as error:", handler, scope, [logged], ["raise"] if reraise else [])

    def write_finally(self, scope, body, final):
        self.block("try:", body, scope)
        self.block("finally:", final, scope)

    # Managers.  Each method returns the expression that makes one.

    def manager(self, scope, manager):
        kind, *operands = manager
        return getattr(self, f"manager_{kind}")(scope, *operands)

    def manager_generator(self, scope, before, middle, after):
        name = self.name("g")
        inside = Scope(True, True, scope.stack)
        self.put("@asynccontextmanager")
        body = [*before, middle, *after]
        self.block(f"async def {name}():", body, inside, [f"log('{name} starts')"], ["if False:", "    yield"])
        return f"keep({name}())"

    def manager_class(self, scope, enter, leave, result):
        name = self.name("c")
        self.put(f"class {name}:")
        self.depth += 1
        inside = Scope(True, False, scope.stack)
        self.block("async def __aenter__(self):", enter, inside, last=[f"return '{name}'"])
        self.exit("__aexit__", inside, leave, result, name, "self, ")
        self.depth -= 1
        return f"{name}()"

    def manager_aclosing(self, scope, body):
        name = self.name("c")
        self.put(f"class {name}:")
        self.depth += 1
        self.block("async def aclose(self):", body, Scope(True, False, scope.stack), [f"log('{name} closes')"])
        self.depth -= 1
        return f"aclosing({name}())"

    def manager_null(self, scope):
        return f"nullcontext('{self.name('n')}')"

    def exit(self, name, scope, body, result, label, self_argument=""):
        header = f"{'async ' if scope.is_async else ''}def {name}({self_argument}*details):"
        self.block(header, body, scope, [f"seen('{label}', *details)"], [f"return {result}"])

    # Statements that use a manager or a stack.

    def write_with(self, scope, manager, body):
        made = self.manager(scope, manager)
        self.block(f"async with {made} as value:", body, scope, ["log('entered', value)"])

    def write_call(self, scope, manager, body):
        if manager[0] != "generator":
            return self.write_with(scope, manager, body)
        made, name = self.manager(scope, manager), self.name("f")
        self.put(f"@{made}")
        inside = Scope(True, False, scope.stack)
        self.block(f"async def {name}():", body, inside, last=[f"return '{name}'"])
        self.put(f"log('{name} gave', await {name}())")

    def write_stack(self, scope, body):
        name = self.name("s")
        self.block(f"async with AsyncExitStack() as {name}:", body, scope._replace(stack=name))

    def write_enter(self, scope, manager):
        if not scope.stack:
            return self.write_with(scope, manager, [])
        self.put(f"log('entered', await {scope.stack}.enter_async_context({self.manager(scope, manager)}))")

    def write_enter_sync(self, scope, enter, leave, result):
        if not scope.stack:
            return self.write_log(scope)
        name = self.name("c")
        self.put(f"class {name}:")
        self.depth += 1
        inside = Scope(False, False, scope.stack)
        self.block("def __enter__(self):", enter, inside, last=[f"return '{name}'"])
        self.exit("__exit__", inside, leave, result, name, "self, ")
        self.depth -= 1
        self.put(f"log('entered', {scope.stack}.enter_context({name}()))")

    def write_push(self, scope, is_async, body, result):
        if not scope.stack:
            return self.write_log(scope)
        name = self.name("x")
        self.exit(name, Scope(is_async, False, scope.stack), body, result, name)
        self.put(f"{scope.stack}.{'push_async_exit' if is_async else 'push'}({name})")

    def write_push_odd(self, scope, kind):
        self.put(f"{scope.stack}.push_async_exit(odd('{kind}'))" if scope.stack else f"log('{kind}')")

    def write_callback(self, scope, body, is_async=False):
        if not scope.stack:
            return self.write_log(scope)
        name = self.name("x")
        inside = Scope(is_async, False, scope.stack)
        self.block(f"{'async ' if is_async else ''}def {name}(a, *, b):", body, inside, [f"log('{name}', a, b)"])
        self.put(f"{scope.stack}.{'push_async_callback' if is_async else 'callback'}({name}, 1, b=2)")

    def write_async_callback(self, scope, body):
        self.write_callback(scope, body, True)

    def write_pop_all(self, scope, what):
        if not scope.stack:
            return self.write_log(scope)
        popped = f"{scope.stack}.pop_all()"
        if what == "keep" or not scope.is_async:
            return self.put(f"keep({popped})")
        if what == "close":
            return self.put(f"log('popped gave', await {popped}.aclose())")
        self.put(popped)

    def write_close(self, scope):
        if not scope.stack:
            return self.write_log(scope)
        self.put(f"log('closed', await {scope.stack}.aclose())")

    def write_leave(self, scope, details):
        if not scope.stack:
            return self.write_log(scope)
        self.put(f"log('left', await {scope.stack}.__aexit__({details}))")

    # Awaitables that the program drives itself.

    def write_drive_manager(self, scope, manager, entering, details, leaving):
        made, name = self.manager(scope, manager), self.name("m")
        self.put(f"{name} = {made}")
        self.put(f"drive('{name} enter', {name}.__aenter__(), {entering})")
        self.put(f"drive('{name} leave', {name}.__aexit__({details}), {leaving})")

    def write_drive_stack(self, scope, body, what, actions):
        name = self.name("s")
        self.put(f"{name} = AsyncExitStack()")
        for statement in body:
            self.statement(statement, scope._replace(stack=name))
        call = {"aclose": "aclose()", "enter": "__aenter__()"}.get(what, f"__aexit__({what})")
        self.put(f"drive('{name}', {name}.{call}, {actions})")

    def write_drive_enter(self, scope, manager, actions):
        if not scope.stack:
            return self.write_with(scope, manager, [])
        made, name = self.manager(scope, manager), self.name("d")
        self.put(f"drive('{name}', {scope.stack}.enter_async_context({made}), {actions})")


def render(body):
    """The Python text of a program: one coroutine function, ``main``."""
    writer = Writer()
    writer.block("async def main():", body, Scope(), last=["return 'end'"])
    return "\n".join(writer.lines) + "\n"


DETAILS = st.sampled_from(("None, None, None", "*raised()", "*unraised()", "*last_details()", "ValueError, None, None"))
ACTION = st.one_of(
    st.just(("send", None)),
    st.tuples(st.sampled_from(("throw", "throw", "throw_three")), st.sampled_from(KINDS)),
    st.sampled_from((("send", None), ("send", 7), ("throw", "Cancelled"), ("close",), ("drop",))),
)
ACTIONS = st.just([]) | st.lists(ACTION, max_size=4)


@st.composite
def block(draw, depth, size=3):
    """Statements that nest at most so deep; drawn, as all here, so that no strategy's repr holds the whole tree."""
    statements = draw(st.lists(statement(depth), min_size=min(depth, 1), max_size=size))
    raising = (number for number, (operation, *_) in enumerate(statements, 1) if operation in RAISING)
    return statements[: next(raising, None)]  # nothing runs after a raise


@st.composite
def manager(draw, depth):
    return draw(managers_of(depth))


@functools.cache
def managers_of(depth):
    """A strategy for asynchronous context managers whose own statements nest to the given depth."""
    inner = block(max(depth - 1, 0), 2)
    caught = st.sampled_from(("Exception", "BaseException"))
    one = st.just(("yield",))
    around = one | st.one_of(
        st.tuples(st.just("try"), st.tuples(one).map(list), caught, inner, st.booleans()),
        st.tuples(st.just("finally"), st.tuples(one).map(list), inner),
        st.tuples(st.just("stack"), st.tuples(statement(max(depth - 1, 0)), one).map(list)),
        st.just(("log",)),
    )
    return st.one_of(
        st.tuples(st.just("generator"), inner, around, inner),
        st.tuples(st.just("class"), inner, inner, st.sampled_from(RESULTS)),
        st.tuples(st.just("aclosing"), inner),
        st.just(("null",)),
    )


@st.composite
def statement(draw, depth):
    return draw(statements_of(depth))


@functools.cache
def statements_of(depth):
    """A strategy for statements that nest at most so deep."""
    kind = st.sampled_from(KINDS)
    raising = st.one_of(
        st.tuples(st.just("raise"), kind),
        st.tuples(st.just("raise_from"), kind, st.sampled_from(("None", *KINDS))),
        st.just(("again",)),
    )
    # Mapping keeps a group of alternatives one alternative among the others.
    simple = st.one_of(
        st.just(("log",)),
        st.tuples(st.just("await"), st.sampled_from(("generator", "iterator"))),
        raising.map(tuple),
        st.just(("yield",)),
        st.tuples(st.just("pop_all"), st.sampled_from(("keep", "close", "forget"))),
        st.just(("close",)),
        st.tuples(st.just("leave"), DETAILS),
        st.tuples(st.just("push_odd"), st.sampled_from(ODD)),
    )
    if not depth:
        return simple
    inner, managers = block(depth - 1), manager(depth - 1)
    caught = st.sampled_from(("Exception", "BaseException"))
    return st.one_of(
        simple.map(tuple),
        st.tuples(st.just("try"), inner, caught, inner, st.booleans()),
        st.tuples(st.just("finally"), inner, inner),
        st.tuples(st.just("stack"), block(depth - 1, 4)),
        st.tuples(st.just("stack"), filled_stack(depth - 1)),
        st.tuples(st.just("with"), managers, inner),
        st.tuples(st.just("call"), managers, inner),
        *stacking(depth - 1),
        st.tuples(st.just("drive_manager"), managers, ACTIONS, DETAILS, ACTIONS),
        st.tuples(st.just("drive_stack"), inner, st.just("aclose") | st.just("enter") | DETAILS, ACTIONS),
        st.tuples(st.just("drive_enter"), managers, ACTIONS),
    )


@functools.cache
def stacking(depth):
    """Strategies for what puts something on a stack."""
    inner, managers, result = block(depth, 2), manager(depth), st.sampled_from(RESULTS)
    return (
        st.tuples(st.just("enter"), managers),
        st.tuples(st.just("enter_sync"), block(0), block(0), result),
        st.tuples(st.just("push"), st.booleans(), inner, result),
        st.tuples(st.just("callback"), block(0)),
        st.tuples(st.just("async_callback"), inner),
    )


def filled_stack(depth):
    """The body of a stack: some entries, then anything."""
    return st.builds(list.__add__, st.lists(st.one_of(stacking(depth)), min_size=1, max_size=4), block(depth))


class Program(NamedTuple):
    """A program's text, the actions of the driver that runs it, and whether async generator hooks are set meanwhile."""

    text: str
    actions: list
    hooks: bool

    def __str__(self):
        return f"{self.text}drive('main', main(), {self.actions})  # asyncgen hooks: {self.hooks}\n"


PROGRAMS = st.builds(
    lambda body, actions, hooks: Program(render(body), actions, hooks),
    st.lists(statement(3).filter(lambda node: len(node) > 2), min_size=1, max_size=4),
    ACTIONS,
    st.booleans(),
)

"""Random programs for the differential test: their text.

A program's statements are those of ``grammar.py``, nested tuples.  ``render`` turns them into real Python source, so
what a failing example prints can be read, and run, as it stands.  Any tree renders: an operation that makes no sense
where it stands (an await in a synchronous callback, a push with no stack open) becomes a log line.

The text uses the names that ``observer.Observer`` provides: log, seen, new, last, pause, keep, drive, odd, ...
"""

from typing import NamedTuple

SYNC = (
    *("log", "raise", "raise_from", "raise_class", "again", "return", "try", "finally", "push", "callback", "push_odd"),
    *("pop_all", "entries", "touch", "reuse", "resume"),
)


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

    def write_raise_class(self, scope, kind):
        self.put(f"raise {kind}")

    def write_again(self, scope):
        self.put("raise last()")

    def write_return(self, scope):
        self.put("return")

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

    def manager(self, scope, manager, **options):
        kind, *operands = manager
        return getattr(self, f"manager_{kind}")(scope, *operands, **options)

    def manager_generator(self, scope, how, arguments, before, middle, after, keeping=False):
        name = self.name("g")
        inside = Scope(True, True, scope.stack)
        if how == "decorated":
            self.put("@asynccontextmanager")
        if keeping:
            self.put("@keeping")
        parameters = "*args, **kwds" if arguments else ""
        first = f"log('{name} starts', args, kwds)" if arguments else f"log('{name} starts')"
        body = [*before, middle, *after]
        self.block(f"async def {name}({parameters}):", body, inside, [first], ["if False:", "    yield"])
        if how == "decorated":
            return f"keep({name}({arguments}))"
        return f"keep(managed('{how}', {name}{', ' * bool(arguments)}{arguments}))"

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

    def manager_old(self, scope, number):
        return f"old({number})"

    def manager_new_stack(self, scope, how):
        return f"keep(stacked('{how}'))"

    def exit(self, name, scope, body, result, label, self_argument=""):
        header = f"{'async ' if scope.is_async else ''}def {name}({self_argument}*details):"
        self.block(header, body, scope, [f"seen('{label}', *details)"], [f"return {result}"])

    # Statements that use a manager or a stack.

    def write_with(self, scope, manager, body):
        made = self.manager(scope, manager)
        self.block(f"async with {made} as value:", body, scope, ["log('entered', value)"])

    def write_call(self, scope, kind, manager, body):
        if manager[0] != "generator":
            return self.write_with(scope, manager, body)
        made, name = self.manager(scope, manager, keeping=True), self.name("f")
        self.put(f"@{made}")
        inside = Scope(kind != "def", False, scope.stack)
        self.block(f"{kind} {name}():", body, inside, last=[f"return '{name}'"])
        self.put(f"log('{name} gave', await {name}())")

    def write_iterate(self, scope, generator, body, leaves):
        name = self.name("i")
        inside = Scope(True, True, scope.stack)
        self.block(f"async def {name}():", generator, inside, last=[f"yield '{name}'"])
        self.put(f"async with keep(aclosing({name}())) as value:")
        self.depth += 1
        self.block("async for item in value:", body, scope, ["log('got', item)"], ["break"] * leaves)
        self.depth -= 1

    def write_stack(self, scope, how, body):
        name = self.name("s")
        made = "AsyncExitStack()" if how == "AsyncExitStack" else f"stacked('{how}')"
        self.block(f"async with keep({made}) as {name}:", body, scope._replace(stack=name))

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

    def write_push_manager(self, scope, manager):
        if not scope.stack:
            return self.write_with(scope, manager, [])
        self.put(f"{scope.stack}.push_async_exit({self.manager(scope, manager)})")

    def write_callback(self, scope, is_async, arguments, body):
        if not scope.stack:
            return self.write_log(scope)
        name = self.name("x")
        inside = Scope(is_async, False, scope.stack)
        header = f"{'async ' if is_async else ''}def {name}(*args, **kwds):"
        self.block(header, body, inside, [f"log('{name}', args, kwds)"])
        method = "push_async_callback" if is_async else "callback"
        self.put(f"{scope.stack}.{method}({name}{', ' * bool(arguments)}{arguments})")

    def write_entries(self, scope, what):
        self.put(f"entries({scope.stack}, '{what}')" if scope.stack else f"log('{what}')")

    def write_misuse(self, scope, what):
        if not scope.stack:
            return self.write_log(scope)
        self.put(f"log('misused', {'await ' * what.startswith('enter_async')}{scope.stack}.{what})")

    def write_pop_all(self, scope, what):
        if not scope.stack:
            return self.write_log(scope)
        popped = f"{scope.stack}.pop_all()"
        if what == "forget":
            self.put(popped)
        elif what == "push":
            self.put(f"{scope.stack}.push_async_exit({popped})")
        elif what == "keep" or not scope.is_async:
            self.put(f"keep({popped})")
        elif what == "close":
            self.put(f"log('popped gave', await {popped}.aclose())")
        elif what == "enter":
            self.put(f"log('entered', await {scope.stack}.enter_async_context({popped}))")
        else:
            self.block(f"async with {popped}:", [], scope, ["log('within what was popped')"])

    def write_close(self, scope):
        if not scope.stack:
            return self.write_log(scope)
        self.put(f"log('closed', await {scope.stack}.aclose())")

    def write_leave(self, scope, details):
        if not scope.stack:
            return self.write_log(scope)
        self.put(f"log('left', await {scope.stack}.__aexit__({details}))")

    # Awaitables that the program, or something else, drives by hand.

    def write_touch(self, scope, number, how, actions):
        self.put(f"touch({number}, '{how}', {actions})")

    def write_reuse(self, scope, number, method, details, actions):
        self.put(f"reuse({number}, '{method}', ({details},), {actions})")

    def write_resume(self, scope, number, actions):
        self.put(f"resume({number}, {actions})")

    def write_drive_manager(self, scope, manager, entering, details, leaving):
        made, name = self.manager(scope, manager), self.name("m")
        self.put(f"{name} = {made}")
        self.put(f"drive('{name} enter', {name}.__aenter__(), {entering})")
        self.put(f"drive('{name} leave', {name}.__aexit__({details}), {leaving})")

    def write_drive_stack(self, scope, body, what, actions):
        name = self.name("s")
        self.put(f"{name} = keep(AsyncExitStack())")
        for statement in body:
            self.statement(statement, scope._replace(stack=name))
        call = {"aclose": "aclose()", "enter": "__aenter__()"}.get(what, f"__aexit__({what})")
        self.put(f"drive('{name}', {name}.{call}, {actions})")

    def write_drive_enter(self, scope, manager, actions):
        if not scope.stack:
            return self.write_with(scope, manager, [])
        made, name = self.manager(scope, manager), self.name("d")
        self.put(f"drive('{name}', {scope.stack}.enter_async_context({made}), {actions})")


class Program(NamedTuple):
    """A program's text, the actions of the driver that runs it, and which async generator hooks are set meanwhile."""

    text: str
    actions: list
    hooks: str = "none"

    def __str__(self):
        return f"{self.text}drive('main', main(), {self.actions})  # asyncgen hooks: {self.hooks}\n"


def render(tree):
    """The program of a tree: (statements, actions, hooks)."""
    body, actions, hooks = tree
    writer = Writer()
    writer.block("async def main():", body, Scope(), last=["return 'end'"])
    return Program("\n".join(writer.lines) + "\n", actions, hooks)

"""Programs that once behaved differently on contextlib and on this package; test_differential.py runs them.

Each is what a program of programs.py is: the text, the actions of its driver, the async generator hooks.
"""

GENERATOR = """\
@asynccontextmanager
async def manager():
    log('starts')
    yield
    log('leaving', await pause('leaving', 'generator'))

async def main():
    try:
        raise new(ValueError)
    except ValueError:
        made = keep(manager())
        drive('enter', made.__aenter__(), [])
        drive('leave', made.__aexit__(None, None, None), {actions})
"""

MISUSED = """\
@asynccontextmanager
async def manager():
    try:
        yield
        yield
    finally:
        log('clean-up received', await pause('clean-up', '{kind}'))

async def main():
    async with keep(manager()):
        pass
"""

LEFT_BY_STACK = """\
@asynccontextmanager
async def manager():
    try:
        yield
        yield
    finally:
        log('clean-up received', await pause('clean-up', 'generator'))

async def main():
    async def exits(*details):
        seen('pushed', *details)

    async with keep(AsyncExitStack()) as stack:
        stack.push_async_exit(exits)
        log('entered', await stack.enter_async_context(keep(manager())))
"""

NO_CALLBACKS = """\
async def main():
    async with keep(AsyncExitStack()) as stack:
        entries(stack, 'delete')
        {statement}
"""

IN_A_PLAIN_ITERATOR = """\
async def main():
    async with keep(AsyncExitStack()) as stack:
        stack.push_async_exit(odd('iterator'))
        stack.push_async_callback(pause, 'callback', 'iterator')
    log('left')
"""

PLAIN_ITERATOR_OVER_ANOTHER_EXIT = """\
async def main():
    async with keep(AsyncExitStack()) as stack:
        stack.push(exits)
        stack.push_async_exit(odd('iterator'))
"""

IGNORED_TWICE = """\
async def main():
    class c1:
        async def __aenter__(self):
            return 'c1'
        async def __aexit__(self, *details):
            async with keep(AsyncExitStack()) as stack:
                stack.push_async_exit(odd('generator'))
                stack.push_async_exit(odd('generator'))
    async with c1():
        raise last()
"""

CLOSED_AT_YIELD = """\
@asynccontextmanager
async def manager():
    try:
        yield
    except BaseException as error:
        log('caught', error)
        yield
        raise

async def main():
    async with keep(manager()):
        touch(0, 'aclose', [])
        raise new(ValueError)
"""

POPPED_AND_DROPPED = """\
@asynccontextmanager
async def first():
    yield

@asynccontextmanager
async def second():
    yield

async def main():
    async with keep(AsyncExitStack()) as stack:
        await stack.enter_async_context(keep(first()))
        await stack.enter_async_context(keep(second()))
        keep(stack.pop_all())
"""

LOST_TRACEBACK = """\
@asynccontextmanager
async def manager():
    async with keep(AsyncExitStack()) as stack:
        stack.push_async_exit(odd('generator'))
    yield

async def enters():
    try:
        raise new(ValueError)
    finally:
        async with keep(manager()):
            pass

async def main():
    await enters()
"""

LOST_IN_A_CLEAN_UP = """\
@asynccontextmanager
async def manager():
    stack = keep(AsyncExitStack())
    stack.push_async_exit(odd('generator'))
    yield
    try:
        yield
    except GeneratorExit:
        log('closing')
    log('closed', await stack.__aexit__(None, None, None))

async def main():
    async with keep(manager()):
        pass
"""

RUN_BY_ANOTHER = """\
@asynccontextmanager
async def manager():
    touch(0, 'anext', [('throw', 'ValueError')])
    log('received', await pause('within', 'throwing'))
    touch(0, 'asend', [])
    yield

async def main():
    async with keep(manager()):
        pass
"""

FOUND = {
    "throw before the start keeps out what the caller handles": (
        GENERATOR.format(actions=[("throw", "KeyError")]),
        [],
    ),
    "throw at an await keeps out what the caller handles": (
        GENERATOR.format(actions=[("send", None), ("throw", "KeyError")]),
        [],
    ),
    "StopIteration thrown before the start": (GENERATOR.format(actions=[("throw", "StopIteration")]), []),
    "StopIteration thrown at an await": (
        GENERATOR.format(actions=[("send", None), ("throw", "StopIteration")]),
        [],
    ),
    "StopIteration thrown at a plain iterator": (IN_A_PLAIN_ITERATOR, [("send", None), ("throw", "StopIteration")]),
    "StopIteration thrown at a second plain iterator": (
        IN_A_PLAIN_ITERATOR,
        [("send", None), ("throw_class", "StopIteration"), ("throw_three", "StopIteration")],
    ),
    "what is no exception thrown at a plain iterator": (
        PLAIN_ITERATOR_OVER_ANOTHER_EXIT,
        [("send", None), ("throw_odd",)],
    ),
    "throw passes a clean-up by before its error is handled": (
        MISUSED.format(kind="throwing"),
        [("send", None), ("throw_class", "ValueError")],
    ),
    "close passes a clean-up by before its error is handled": (
        LEFT_BY_STACK.replace("'generator'", "'throwing'"),
        [("send", None), ("throw", "ValueError"), ("close",)],
    ),
    "GeneratorExit after a clean-up under a stack has no context": (LEFT_BY_STACK, [("send", None), ("close",)]),
    "thrown GeneratorExit after a clean-up under a stack has no context": (
        LEFT_BY_STACK,
        [("send", None), ("throw", "GeneratorExit")],
    ),
    "pop_all without callbacks": (NO_CALLBACKS.format(statement="stack.pop_all()"), []),
    "push without callbacks": (NO_CALLBACKS.format(statement="stack.push(exits)"), []),
    "generator that ignored aclose is closed": (CLOSED_AT_YIELD, []),
    "entries of a dropped stack go in their order": (POPPED_AND_DROPPED, [], "logged"),
    "traceback survives where contexts are chained": (LOST_TRACEBACK, [("send", None), ("throw_odd",)]),
    "traceback that an error in a clean-up loses": (LOST_IN_A_CLEAN_UP, [("send", None), ("throw_odd",)]),
    "traceback that an awaitable which dies meanwhile leaves alone": (IGNORED_TWICE, [("send", None), ("park",)]),
    "mark of running taken away by another": (RUN_BY_ANOTHER, [("send", None), ("throw", "ValueError")]),
}

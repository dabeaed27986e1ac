"""What `feature`, `task` and `tags` say, and where it holds."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import baggage, context

import spanmeter
from spanmeter import Attribution, InvalidAttribution
from spanmeter.context import believe_baggage


@pytest.fixture(autouse=True)
def _as_at_first() -> Iterator[None]:
    yield
    spanmeter.set_default()
    believe_baggage(is_believed=False)


def test_nothing_is_said_at_first() -> None:
    assert spanmeter.current() == Attribution("untagged")


def test_a_block_has_what_it_says_and_gives_it_back() -> None:
    with spanmeter.feature("chat"), spanmeter.task("classification"), spanmeter.tags(env="prod"):
        assert spanmeter.current() == Attribution("chat", "classification", (("env", "prod"),))

    assert spanmeter.current() == Attribution()


def test_the_inner_block_wins_and_keeps_what_it_does_not_name() -> None:
    with spanmeter.feature("chat"), spanmeter.tags(env="prod", team="ml"):
        with spanmeter.feature("search"), spanmeter.tags(team="web", retry=True, n=3):
            inside = spanmeter.current()
        after = spanmeter.current()

    tags = (("env", "prod"), ("team", "web"), ("retry", "true"), ("n", "3"))
    assert inside == Attribution("search", tags=tags)
    assert after == Attribution("chat", tags=(("env", "prod"), ("team", "ml")))


def test_an_exception_leaves_the_block_too() -> None:
    with pytest.raises(ZeroDivisionError), spanmeter.feature("chat"):
        _ = 1 / 0

    assert spanmeter.current().feature == "untagged"


@spanmeter.feature("chat")
def plain() -> str:
    """Say something."""
    return spanmeter.current().feature


@spanmeter.feature("chat")
async def coroutine() -> str:
    await asyncio.sleep(0)
    return spanmeter.current().feature


@spanmeter.feature("chat")
def recursive(depth: int) -> list[str]:
    with spanmeter.tags(depth=depth):
        deeper = recursive(depth - 1) if depth else []
        return [*deeper, f"{spanmeter.current().feature} {spanmeter.current().tags[0][1]}"]


def test_functions_are_decorated_and_keep_their_names() -> None:
    assert plain() == asyncio.run(coroutine()) == "chat"
    assert (plain.__name__, plain.__doc__) == ("plain", "Say something.")
    assert recursive(2) == ["chat 0", "chat 1", "chat 2"]
    assert asyncio.iscoroutinefunction(coroutine)
    assert spanmeter.current().feature == "untagged"


def test_a_generator_is_attributed_while_it_runs_and_its_reader_is_not() -> None:
    @spanmeter.feature("chat")
    def stream() -> Iterator[str]:
        try:
            while True:
                yield spanmeter.current().feature
        finally:
            ended.append(spanmeter.current().feature)

    ended: list[str] = []
    steps = stream()
    with spanmeter.feature("reader"):
        seen = [(next(steps), spanmeter.current().feature) for _ in range(2)]
    steps.close()

    assert seen == [("chat", "reader")] * 2
    assert ended == ["chat"]


def test_a_generator_is_sent_to_thrown_into_and_returns_as_without_the_decorator() -> None:
    @spanmeter.feature("chat")
    def dialogue() -> Iterator[str]:
        try:
            heard = yield "first"
        except KeyError:
            heard = yield "caught"
        return heard

    talking = dialogue()
    next(talking)
    assert talking.throw(KeyError) == "caught"
    with pytest.raises(StopIteration) as end:
        talking.send("bye")
    assert end.value.value == "bye"


def test_an_async_generator_is_ended_by_another_task_without_a_word() -> None:
    @spanmeter.feature("chat")
    async def stream() -> AsyncIterator[str]:
        try:
            while True:
                yield spanmeter.current().feature
        finally:
            ended.append(spanmeter.current().feature)

    async def read() -> list[tuple[str, str]]:
        steps = stream()
        seen = [(await anext(steps), spanmeter.current().feature)]
        await asyncio.create_task(steps.aclose())
        return seen

    ended: list[str] = []
    assert asyncio.run(read()) == [("chat", "untagged")]
    assert ended == ["chat"]


def test_tasks_of_one_group_do_not_meet() -> None:
    async def one(name: str) -> tuple[str, str]:
        with spanmeter.feature(name):
            await asyncio.sleep(0.001)
            return name, spanmeter.current().feature

    async def all_of_them() -> list[tuple[str, str]]:
        with spanmeter.tags(env="prod"):
            return await asyncio.gather(*(one(f"f{number}") for number in range(50)))

    assert all(said == found for said, found in asyncio.run(all_of_them()))


def test_a_shared_scope_is_entered_by_many_threads_at_once() -> None:
    shared = spanmeter.feature("chat")
    inside = threading.Barrier(8)

    def work() -> tuple[str, str]:
        with shared:
            inside.wait(timeout=10)
            found = spanmeter.current().feature
        return found, spanmeter.current().feature

    with ThreadPoolExecutor(8) as pool:
        assert {future.result() for future in [pool.submit(work) for _ in range(8)]} == {
            ("chat", "untagged")
        }


def test_a_thread_pool_takes_the_context_along_when_it_is_carried() -> None:
    with ThreadPoolExecutor(2) as pool, spanmeter.feature("chat"):
        without = pool.submit(plain_current).result()
        carried = list(pool.map(spanmeter.carrying(feature_for), range(3)))
        one = pool.submit(spanmeter.carrying(plain_current)).result()
        in_thread = asyncio.run(asyncio.to_thread(plain_current))

    assert (without, carried, one, in_thread) == ("untagged", ["chat"] * 3, "chat", "chat")


def plain_current() -> str:
    return spanmeter.current().feature


def test_what_the_code_says_comes_before_baggage_that_is_believed_and_that_before_the_default() -> (
    None
):
    spanmeter.set_default("shop", task="serve", tags={"env": "prod"})
    assert spanmeter.current() == Attribution("shop", "serve", (("env", "prod"),))

    token = context.attach(
        baggage.set_baggage(
            "spanmeter.tag.env", "dev", baggage.set_baggage("spanmeter.feature", "x")
        )
    )
    try:
        assert spanmeter.current() == Attribution("shop", "serve", (("env", "prod"),))
        believe_baggage(is_believed=True)
        assert spanmeter.current() == Attribution("x", "serve", (("env", "dev"),))
        with spanmeter.feature("chat"):
            assert spanmeter.current() == Attribution("chat", "serve", (("env", "dev"),))
    finally:
        context.detach(token)


@pytest.mark.parametrize(
    ("say", "code", "message"),
    [
        (lambda: spanmeter.feature(""), "invalid_feature", 'invalid feature "": expected 1-100'),
        (lambda: spanmeter.feature(" a"), "invalid_feature", 'invalid feature "a": expected 1-100'),
        (lambda: spanmeter.feature("a\nb"), "invalid_feature", 'invalid feature "ab": '),
        (lambda: spanmeter.feature("f" * 101), "invalid_feature", "expected 1-100 characters"),
        (lambda: spanmeter.feature("untagged"), "invalid_feature", "calls without a feature"),
        (lambda: spanmeter.feature(None), "invalid_feature", "is a string, not NoneType"),
        (lambda: spanmeter.task("x\x00"), "invalid_task", 'invalid task "x": '),
        (lambda: spanmeter.tags(env="no blanks"), "invalid_tag", 'tag "env:no blanks": expected'),
        (lambda: spanmeter.tags({"k" * 65: "v"}), "invalid_tag", "each 1-64 characters"),
        (lambda: spanmeter.tags(env=1.5), "invalid_tag", "a boolean, not float"),
        (lambda: spanmeter.tags({f"k{n}": "v" for n in range(11)}), "too_many_tags", '"k10", exp'),
        (lambda: spanmeter.set_default("a\tb"), "invalid_feature", 'invalid feature "ab"'),
    ],
)
def test_what_is_beyond_the_grammar_is_refused_where_it_is_written(
    say: Callable[[], object], code: str, message: str
) -> None:
    with pytest.raises(InvalidAttribution, match=message) as refused:
        say()

    assert refused.value.code == code


def test_too_many_tags_together_are_refused_and_the_outer_ones_stay() -> None:
    with spanmeter.tags({f"k{number}": "v" for number in range(10)}):
        with pytest.raises(InvalidAttribution, match="at most 10"), spanmeter.tags(one="more"):
            pass
        assert len(spanmeter.current().tags) == 10
    assert spanmeter.current() == Attribution()


def test_a_copied_context_is_left_without_a_word() -> None:
    scope = spanmeter.feature("chat")
    contextvars.copy_context().run(scope.__enter__)
    scope.__exit__()

    assert spanmeter.current() == Attribution()


def feature_for(_number: int) -> str:
    return spanmeter.current().feature

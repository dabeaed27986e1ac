"""Attribution travels with Celery's tasks: to a real worker process, and within one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import chain, group
from celery.signals import before_task_publish
from tests.processes import wait_until

import spanmeter
from spanmeter.celery import instrument_celery, uninstrument_celery

ROOT = Path(__file__).parents[3]
TASKS = "tests.in_app.servers.celery_tasks"
WAIT_S = 60
UNTAGGED = ["untagged", None, {}]
CHAT = ["chat", "answer", {"env": "test"}]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The tasks, sent from here and run by one worker process, one after the other."""
    folder = tmp_path_factory.mktemp("celery")
    for name in ("messages", "control", "results"):
        (folder / name).mkdir()
    environ = {**os.environ, "SHARED_FOLDER": str(folder), "PYTHONPATH": str(ROOT)}
    with pytest.MonkeyPatch.context() as patch, (folder / "log.txt").open("wb") as log:
        patch.setenv("SHARED_FOLDER", str(folder))
        patch.delitem(sys.modules, TASKS, raising=False)
        from tests.in_app.servers import celery_tasks  # noqa: PLC0415 - its folder must be known

        command = ("-m", "celery", "-A", f"{TASKS}:app", "worker")
        options = ("--pool", "solo", "--without-gossip", "--without-mingle", "--loglevel", "INFO")
        worker = subprocess.Popen(
            [sys.executable, *command, *options], env=environ, stdout=log, stderr=log
        )
        try:
            wait_until(lambda: b" ready." in (folder / "log.txt").read_bytes(), timeout_s=WAIT_S)
            yield celery_tasks
        finally:
            worker.terminate()
            worker.wait(WAIT_S)
            celery_tasks.app.close()
            uninstrument_celery()


@pytest.fixture
def eager(tasks: ModuleType) -> Iterator[ModuleType]:
    tasks.app.conf.task_always_eager = True
    yield tasks
    tasks.app.conf.task_always_eager = False


@contextmanager
def in_chat() -> Iterator[None]:
    with spanmeter.feature("chat"), spanmeter.task("answer"), spanmeter.tags(env="test"):
        yield


def result(sent: Any) -> Any:
    return sent.get(timeout=WAIT_S)


def test_a_task_belongs_to_what_the_code_that_sent_it_does(tasks: ModuleType) -> None:
    with in_chat():
        sent = tasks.tell.delay()
    unattributed = tasks.tell.delay()

    assert (result(sent), result(unattributed)) == (CHAT, UNTAGGED)


def test_text_beyond_ascii_travels(tasks: ModuleType) -> None:
    with spanmeter.feature("caf\xe9, 100 %"):
        sent = tasks.tell.delay()

    assert result(sent)[0] == "caf\xe9, 100 %"


def test_a_chain_belongs_to_who_started_it(tasks: ModuleType) -> None:
    with in_chat():
        sent = chain(tasks.tell.s(), tasks.pass_on.s(), tasks.pass_on.s())()

    assert result(sent) == [[CHAT, CHAT], CHAT]


def test_a_group_and_its_callback_belong_to_who_started_them(tasks: ModuleType) -> None:
    with in_chat():
        sent = group(tasks.tell.s(number) for number in range(3))()
        linked = tasks.tell.apply_async(link=tasks.leave_a_block_open.si())

    assert result(sent) == [CHAT] * 3
    assert result(linked) == CHAT


def test_a_retry_belongs_to_what_the_first_try_did(tasks: ModuleType) -> None:
    with in_chat():
        sent = tasks.tell_at_last.delay()

    assert result(sent) == CHAT


def test_a_task_that_a_task_sends_belongs_to_the_block_that_sent_it(tasks: ModuleType) -> None:
    with in_chat():
        inner = tasks.app.AsyncResult(result(tasks.send_one.delay()))

    assert result(inner) == ["chat", "inner", {"env": "test"}]


@pytest.mark.parametrize("kind", ["error", "reject"])
def test_nothing_is_left_of_a_task_that_failed(tasks: ModuleType, kind: str) -> None:
    with in_chat():
        tasks.fail.delay(kind)
    after = tasks.tell.delay()

    assert result(after) == UNTAGGED


def test_nothing_is_left_of_a_task_that_left_a_block_open(tasks: ModuleType) -> None:
    with in_chat():
        result(tasks.leave_a_block_open.delay())
    after = tasks.tell.delay()

    assert result(after) == UNTAGGED


def test_baggage_that_the_application_wrote_itself_is_added_to_or_wins(tasks: ModuleType) -> None:
    seen: list[str] = []

    def look(headers: dict[str, Any], **_: Any) -> None:
        seen.append(headers["baggage"])

    before_task_publish.connect(look)
    with in_chat():
        result(tasks.tell.apply_async(headers={"baggage": "user=7"}))
        own = tasks.tell.apply_async(headers={"baggage": "spanmeter.feature=own"})
    before_task_publish.disconnect(look)

    assert seen[0].startswith("user=7,spanmeter.feature=chat,")
    assert result(own) == ["own", None, {}]


def test_an_eager_task_belongs_to_its_caller_and_leaves_nothing(eager: ModuleType) -> None:
    with in_chat():
        nested = result(chain(eager.tell.s(), eager.pass_on.s())())
        eager.leave_a_block_open.delay()
        with pytest.raises(LookupError):
            eager.fail.apply(("error",), throw=True)
        retried = result(eager.tell_at_last.delay())
        after = result(eager.tell.delay())

    assert (nested, retried, after) == ([CHAT, CHAT], CHAT, CHAT)
    assert spanmeter.current() == spanmeter.Attribution()


def test_instrumenting_twice_is_as_once_and_can_be_undone(eager: ModuleType) -> None:
    instrument_celery()
    instrument_celery()
    with in_chat():
        again = result(eager.tell.apply_async(headers={"baggage": "spanmeter.feature=sent"}))
        uninstrument_celery()
        undone = result(eager.tell.apply_async(headers={"baggage": "spanmeter.feature=sent"}))
    instrument_celery()

    assert (again[0], undone[0]) == ("sent", "chat")

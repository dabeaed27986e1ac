"""When a configuration is read again, and what of it books must be renewed for."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spanmeter_gateway.config import Config, GatewayKey, Limits, Tls
from spanmeter_gateway.errors import ConfigError, ConfigProblem
from spanmeter_gateway.reload import Attempt, Reload, Source, named_files
from spanmeter_gateway.upstreams.upstream import Credential, Upstream


class Files:
    """A configuration file, the credential that it names, and what reading it brings."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "spanmeter.yaml"
        self.credential = folder / "credential"
        self.path.write_text("1")
        self.credential.write_text("secret")
        held = Credential("file", str(self.credential))
        self.config = Config(upstreams=(Upstream("openai", "openai", "http://a", held),))
        self.problem: str | None = None
        self.loads = 0

    def load(self) -> Config:
        self.loads += 1
        if self.problem is not None:
            raise ConfigError([ConfigProblem("spanmeter.yaml", "key", self.problem)])
        return self.config

    def changed(self, path: Path, text: str) -> None:
        """Write another text at another time."""
        path.write_text(text)
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def reload(files: Files) -> Reload:
    return Reload(Source(find=lambda: files.path, load=files.load), files.config)


def polled(reload: Reload, times: int = 3) -> list[Attempt]:
    attempts = [reload.attempt(is_asked=False) for _ in range(times)]
    return [attempt for attempt in attempts if attempt is not None]


def test_files_that_stay_as_they_are_are_not_read_again(files: Files, reload: Reload) -> None:
    assert polled(reload) == []
    assert files.loads == 0


def test_a_change_is_read_once_when_it_rests_for_a_poll(files: Files, reload: Reload) -> None:
    files.config = replace(files.config, drain_s=1)
    files.changed(files.path, "2")
    first = reload.attempt(is_asked=False)
    files.changed(files.path, "3")
    second = reload.attempt(is_asked=False)

    assert [first, second] == [None, None]
    assert polled(reload) == [Attempt(files.config)]


def test_a_file_that_was_touched_is_no_news(files: Files, reload: Reload) -> None:
    files.changed(files.path, "1")

    assert polled(reload) == []


def test_a_named_file_with_another_content_is_news(files: Files, reload: Reload) -> None:
    files.changed(files.credential, "another")

    assert polled(reload) == [Attempt(files.config)]


def test_asked_for_it_is_news_in_any_case(files: Files, reload: Reload) -> None:
    assert reload.attempt(is_asked=True) == Attempt(files.config)


def test_a_problem_is_said_once_and_the_file_tried_until_it_is_good(
    files: Files, reload: Reload
) -> None:
    files.problem = "is wrong"
    files.changed(files.path, "2")
    refused = polled(reload, 5)
    files.problem = None
    good = polled(reload)

    assert refused == [Attempt(files.config, ("spanmeter.yaml: key: is wrong",))]
    assert good == [Attempt(files.config)]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"listen_port": 1}, "listen"),
        ({"books_port": 1}, "books.listen"),
        ({"data_dir": Path("elsewhere")}, "data_dir"),
        ({"tls": Tls("cert", "key")}, "tls"),
    ],
)
def test_what_cannot_change_is_named_with_the_remedy(
    files: Files, reload: Reload, changes: dict[str, Any], key: str
) -> None:
    before = files.config
    files.config = replace(files.config, **changes)

    attempt = reload.attempt(is_asked=True)

    assert attempt is not None
    assert attempt.config == before
    [problem] = attempt.problems
    assert problem.startswith(f"{files.path}: {key}: is ")
    assert problem.endswith("while the gateway runs: put it back, or restart")


@pytest.mark.parametrize(
    ("changes", "renewed"),
    [
        ({"limits": Limits(body_bytes=1), "workers": 3, "drain_s": 1.0}, []),
        ({"upstreams": (), "reload_on_change": False, "ask_for_usage": False}, []),
        ({"tag_labels": ("plan",)}, ["books"]),
        ({"semconv": "both"}, ["books"]),
    ],
)
def test_books_are_renewed_for_what_they_read(
    files: Files, reload: Reload, changes: dict[str, Any], renewed: list[str]
) -> None:
    files.config = replace(files.config, **changes)

    assert reload.attempt(is_asked=True) == Attempt(files.config, renews_books=bool(renewed))


def test_books_are_renewed_for_another_token_in_the_same_file(files: Files, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    files.config = replace(files.config, books_token=Credential("file", str(token)))
    reload = Reload(Source(find=lambda: files.path, load=files.load), files.config)

    files.changed(token, "two")

    assert polled(reload) == [Attempt(files.config, renews_books=True)]


def test_a_published_configuration_is_what_the_next_is_held_against(
    files: Files, reload: Reload
) -> None:
    files.config = replace(files.config, tag_labels=("plan",))
    first = reload.attempt(is_asked=True)
    reload.published(files.config)
    files.config = replace(files.config, drain_s=1)

    assert first == Attempt(replace(files.config, drain_s=600.0), renews_books=True)
    assert reload.attempt(is_asked=True) == Attempt(files.config)


def test_every_file_that_a_gateway_reads_is_watched() -> None:
    def held(name: str) -> Credential:
        return Credential("file", name)

    upstream = Upstream("a", "openai", "https://a", held("1"), ca_file="2", proxy_login=held("3"))
    config = Config(
        upstreams=(upstream, Upstream("b", "openai", "https://b", Credential("env", "B"))),
        gateway_keys=(GatewayKey("k", held("4")),),
        books_token=held("5"),
        tls=Tls("6", "7"),
    )

    assert sorted(map(str, named_files(config))) == ["1", "2", "3", "4", "5", "6", "7"]

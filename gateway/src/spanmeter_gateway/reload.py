"""When the configuration is to be read again, and what a running gateway cannot change.

Knows files and values; how a configuration is read is handed in, and publishing it is the
supervisor's. A file that was refused is tried again until it is good, because what it names may
come later than the file itself: two volumes of a container are never changed at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from spanmeter_gateway.config import Config
from spanmeter_gateway.errors import ConfigProblem, StartError

POLL_S = 1.0
_Look = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from: its file, if any, and how it is read.

    `load` raises `StartError`.
    """

    find: Callable[[], Path | None]
    load: Callable[[], Config]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What reading again brought: a configuration to publish, or what is wrong with it."""

    config: Config
    """That in force, where there are problems."""
    problems: tuple[str, ...] = ()
    renews_books: bool = False


class Reload:
    """Watches the files of the configuration in force."""

    def __init__(self, source: Source, config: Config) -> None:
        self._source = source
        self._config = config
        self._files = self._watched(config)
        self._seen = self._still = self._look()
        self._contents: Mapping[Path, bytes] = self._digest(config)
        self._tried: tuple[str, Mapping[Path, bytes]] = (config.to_json(), self._contents)
        self._is_refused = False

    def attempt(self, *, is_asked: bool) -> Attempt | None:
        """Read the configuration again if that was asked for, or if its files changed and rest.

        `None`: there is nothing new, neither good nor bad.
        """
        now = self._look()
        is_still, self._still = now == self._still, now
        is_due = is_still and (now != self._seen or self._is_refused)
        if not (is_asked or is_due):
            return None
        self._seen = now
        try:
            config = self._source.load()
            outcome, problems = config.to_json(), tuple(self._fixed(config))
        except StartError as error:
            config = self._config
            outcome = str(error)
            problems = tuple(outcome.splitlines())
        contents = self._digest(config)
        is_news = (outcome, contents) != self._tried
        self._tried = (outcome, contents)
        self._is_refused = bool(problems)
        if not (is_asked or is_news):
            return None
        if problems:
            return Attempt(self._config, problems)
        return Attempt(config, renews_books=self._is_for_books(config, contents))

    def refused(self) -> None:
        """Know that the last attempt could not be published."""
        self._is_refused = True

    def published(self, config: Config) -> None:
        """Know what is in force now."""
        self._config = config
        self._files = self._watched(config)
        self._contents = self._tried[1]

    def _fixed(self, config: Config) -> Iterator[str]:
        """Name what cannot change while the gateway runs."""
        was, file = self._config, str(self._source.find() or "defaults")
        pairs = {
            "listen": (_address(was.listen_url), _address(config.listen_url)),
            "books.listen": (_address(was.books_listen_url), _address(config.books_listen_url)),
            "data_dir": (str(was.data_dir), str(config.data_dir)),
            "tls": (_is_on(was.tls), _is_on(config.tls)),
        }
        for key, (before, after) in pairs.items():
            if before != after:
                problem = (
                    f"is {before} and cannot become {after} while the gateway runs: put it back, "
                    "or restart"
                )
                yield str(ConfigProblem(file, key, problem))

    def _is_for_books(self, config: Config, contents: Mapping[Path, bytes]) -> bool:
        """Say whether anything changed that is not the relays' alone."""
        was = self._config
        relays_own = replace(
            config,
            workers=was.workers,
            upstreams=was.upstreams,
            default_upstream=was.default_upstream,
            limits=was.limits,
            attribution=was.attribution,
            invalid_provider_detect=was.invalid_provider_detect,
            ask_for_usage=was.ask_for_usage,
            spool=was.spool,
            drain_s=was.drain_s,
            tls=was.tls,
            gateway_keys=was.gateway_keys,
            reload_on_change=was.reload_on_change,
        )
        token = config.books_token
        if token is not None and token.kind == "file":
            path = Path(token.source)
            if self._contents.get(path) != contents.get(path):
                return True
        return relays_own != was

    def _watched(self, config: Config) -> tuple[Path, ...]:
        path = self._source.find()
        return (*((path,) if path else ()), *named_files(config))

    def _look(self) -> _Look:
        return tuple(map(_state, self._files))

    def _digest(self, config: Config) -> dict[Path, bytes]:
        return {path: _content(path) for path in named_files(config)}


def named_files(config: Config) -> list[Path]:
    """List the files that a configuration names and a gateway reads."""
    credentials = [one for row in config.upstreams for one in (row.credential, row.proxy_login)]
    credentials += [key.secret for key in config.gateway_keys]
    credentials += [config.books_token] if config.books_token else []
    paths = [one.source for one in credentials if one.kind == "file"]
    paths += [row.ca_file for row in config.upstreams if row.ca_file]
    if config.tls is not None:
        paths += [config.tls.cert_file, config.tls.key_file]
    return [Path(path) for path in dict.fromkeys(filter(None, paths))]


def _address(url: str) -> str:
    return url.partition("//")[2]


def _is_on(tls: object) -> str:
    return "off" if tls is None else "on"


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


def _content(path: Path) -> bytes:
    try:
        return sha256(path.read_bytes()).digest()
    except OSError:
        return b""

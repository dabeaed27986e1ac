"""One YAML file and a few environment variables, read once into a `Config`; or all that is wrong.

The operator's values stand over the defaults of `config.Config`, the environment over the file.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from spanmeter.attribution import AttributionRules
from spanmeter_gateway.config import (
    Config,
    GatewayKey,
    Limits,
    MetricSwitches,
    SpoolLimits,
    Tls,
)
from spanmeter_gateway.config_document import UnreadableYaml, parse, shape, unknown
from spanmeter_gateway.config_named_files import check_certificate_and_key
from spanmeter_gateway.config_schema import (
    LISTEN_RULES,
    AttributionShape,
    CardinalityShape,
    CredentialShape,
    FileShape,
    TlsShape,
)
from spanmeter_gateway.config_upstreams import (
    Surroundings,
    check_name,
    credential,
    upstreams,
)
from spanmeter_gateway.errors import ConfigError, ConfigProblem
from spanmeter_gateway.metering.overrides import PriceOverride
from spanmeter_gateway.relay.trace import Sampler
from spanmeter_gateway.telemetry.budgets import Budgets, Pinned
from spanmeter_gateway.telemetry.exemplars import ignored_filter
from spanmeter_gateway.telemetry.names import label
from spanmeter_gateway.telemetry.otlp_settings import ignored_temporality
from spanmeter_gateway.telemetry.otlp_settings import problems as otlp_problems
from spanmeter_gateway.upstreams.providers import find
from spanmeter_gateway.upstreams.secret import read_credential, shown
from spanmeter_gateway.upstreams.upstream import Credential

DEFAULT_NAME = "spanmeter.yaml"
_PATH_BY_VARIABLE = {
    "SPANMETER_LISTEN": ("listen",),
    "SPANMETER_BOOKS_LISTEN": ("books", "listen"),
    "SPANMETER_WORKERS": ("workers",),
    "SPANMETER_DATA_DIR": ("data_dir",),
}
_Row = TypeVar("_Row", Limits, MetricSwitches, SpoolLimits)
_TAG_KEY = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?")
"""The grammar of a tag's key, with its limit of 64 characters."""


@dataclass(frozen=True, slots=True)
class _Problems:
    """Everything wrong so far, under the name of the place where the operator wrote it."""

    file: str
    variables: Mapping[str, str]
    """Dotted key to the environment variable that set it."""
    found: list[ConfigProblem] = field(default_factory=list)

    def note(self, key: str, problem: str) -> None:
        if key in self.variables:
            self.found.append(ConfigProblem("environment", self.variables[key], problem))
        else:
            self.found.append(ConfigProblem(self.file, key, problem))


def find_file(option: Path | None, environ: Mapping[str, str], folder: Path) -> Path | None:
    """Choose the file: the option, `SPANMETER_CONFIG`, `spanmeter.yaml` in the folder, or none."""
    if option is not None:
        return option
    if environ.get("SPANMETER_CONFIG"):
        return Path(environ["SPANMETER_CONFIG"])
    default = folder / DEFAULT_NAME
    return Path(DEFAULT_NAME) if default.exists() else None


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the file and the environment; raises `ConfigError` with every problem found."""
    document = _document(path)
    variables = dict(_override(document, environ))
    problems = _Problems(file=str(path or "defaults"), variables=variables)
    try:
        Sampler(environ)
    except ConfigError as error:
        problems.found.extend(error.problems)
    problems.found.extend(otlp_problems(environ))
    shaped, wrong = shape(document)
    for key, problem in wrong:
        problems.note(key, problem)
    config = _config(shaped, environ, problems)
    if problems.found:
        raise ConfigError(problems.found)
    return config


def ignored_variables(environ: Mapping[str, str]) -> list[str]:
    """Say which standard variables hold a value that is not known, and so do not count."""
    return list(filter(None, (ignored_filter(environ), ignored_temporality(environ))))


@dataclass(frozen=True, slots=True)
class BooksAccess:
    """How the books' port is read: its address, and the token that it asks for."""

    url: str
    token: str | None = field(default=None, repr=False)


def load_books(path: Path | None, environ: Mapping[str, str]) -> BooksAccess:
    """Read how the books are reached, whatever else is wrong; raises `ConfigError`."""
    document = _document(path)
    variables = dict(_override(document, environ))
    problems = _Problems(file=str(path or "defaults"), variables=variables)
    shaped, wrong = shape(document)
    for key, problem in wrong:
        if key.startswith("books"):
            problems.note(key, problem)
    default = Config()
    host, port = _listen(shaped.books.listen, "books.listen", problems) or (
        default.books_host,
        default.books_port,
    )
    token = _books_token(shaped.books.token, Surroundings(environ, problems.note))
    if problems.found:
        raise ConfigError(problems.found)
    return BooksAccess(
        replace(default, books_host=host, books_port=port).books_url,
        read_credential(token, environ) if token else None,
    )


def _document(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not UTF-8 text"
    except UnreadableYaml as error:
        problem = str(error)
    raise ConfigError([ConfigProblem(str(path), "", problem)])


def _override(document: dict[str, Any], environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for variable, path in _PATH_BY_VARIABLE.items():
        text = environ.get(variable)
        if not text:
            continue
        place = document
        for part in path[:-1]:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[path[-1]] = (
            int(text) if variable == "SPANMETER_WORKERS" and _is_number(text) else text
        )
        yield ".".join(path), variable


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _config(shaped: FileShape, environ: Mapping[str, str], problems: _Problems) -> Config:
    around = Surroundings(environ, problems.note)
    default = Config()
    listen = _listen(shaped.listen, "listen", problems) or (
        default.listen_host,
        default.listen_port,
    )
    books = _listen(shaped.books.listen, "books.listen", problems) or (
        default.books_host,
        default.books_port,
    )
    if listen == books:
        problems.note("books.listen", "is the same address as listen; the two need one each")
    rows = upstreams(shaped.upstreams, around, well_known=shaped.well_known_upstreams)
    tag_labels = _tag_labels(shaped.tags.labels, default.tag_labels, problems)
    return Config(
        listen_host=listen[0],
        listen_port=listen[1],
        books_host=books[0],
        books_port=books[1],
        workers=_cores() if shaped.workers == "auto" else shaped.workers,
        data_dir=Path(shaped.data_dir) if shaped.data_dir else default.data_dir,
        upstreams=rows,
        default_upstream=_default_upstream(shaped, [row.name for row in rows], problems),
        limits=_over(Limits(), shaped.limits),
        attribution=_attribution(shaped.attribution, problems),
        invalid_provider_detect=shaped.invalid_provider == "detect",
        ask_for_usage=shaped.ask_for_usage is not False,
        tag_labels=tag_labels,
        cardinality=_cardinality(shaped.cardinality, tag_labels, problems),
        semconv=shaped.semconv or default.semconv,
        metrics=_over(MetricSwitches(), shaped.metrics),
        cost_alias=shaped.cost_alias,
        prices=tuple(_prices(shaped, problems)),
        spool=_over(SpoolLimits(), shaped.spool),
        drain_s=default.drain_s if shaped.drain_s is None else shaped.drain_s,
        tls=_tls(shaped.tls, problems),
        gateway_keys=tuple(_gateway_keys(shaped.gateway_keys or {}, around)),
        books_token=_books_token(shaped.books.token, around),
        reload_on_change=shaped.reload_on_change,
    )


def _over(default: _Row, written: BaseModel) -> _Row:
    return replace(default, **written.model_dump(exclude_none=True))


def _cores() -> int:
    # In a container the affinity is smaller than the machine; macOS has no such call.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _listen(text: str | None, key: str, problems: _Problems) -> tuple[str, int] | None:
    if text is None:
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not _is_number(port):
        problems.note(key, LISTEN_RULES[key])
        return None
    if not 0 < int(port) < 65536:
        problems.note(key, "the port must be a number from 1 to 65535")
        return None
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        problems.note(key, "an IPv6 address needs brackets, as in [::1]:8080")
        return None
    return host.strip("[]") or "0.0.0.0", int(port)


def _default_upstream(shaped: FileShape, names: list[str], problems: _Problems) -> str:
    wanted = shaped.default_upstream
    if wanted is None:
        return "openai" if "openai" in names or not names else names[0]
    is_told = any(problem.key.startswith("upstreams") for problem in problems.found)
    if wanted not in names and not is_told:
        problem = f"{unknown('upstream', wanted, names)} (these exist: {', '.join(names)})"
        problems.note("default_upstream", f"{wanted}: {problem}")
    return wanted


def _attribution(written: AttributionShape, problems: _Problems) -> AttributionRules:
    key = written.bare_tag_key
    if key is not None and not _TAG_KEY.fullmatch(key):
        problems.note("attribution.bare_tag_key", _tag_key_rule(key))
    default = AttributionRules()
    return AttributionRules(
        strict=written.mode == "strict",
        bare_tag_key=key,
        feature_from_tag=default.feature_from_tag
        if written.feature_from_tag is None
        else written.feature_from_tag,
    )


def _tag_labels(
    keys: list[str] | None, default: tuple[str, ...], problems: _Problems
) -> tuple[str, ...]:
    if keys is None:
        return default
    key_by_label: dict[str, str] = {}
    for place, key in enumerate(keys):
        same = key_by_label.setdefault(label(key), key)
        if not _TAG_KEY.fullmatch(key):
            problems.note(f"tags.labels[{place}]", _tag_key_rule(key))
        elif same != key:
            problems.note(f"tags.labels[{place}]", f"{key} and {same} are one Prometheus label")
    return tuple(dict.fromkeys(keys))


def _cardinality(
    written: CardinalityShape, tag_labels: tuple[str, ...], problems: _Problems
) -> Budgets:
    numbers = written.model_dump(exclude={"pinned"}, exclude_none=True)
    pinned = Pinned(
        features=tuple(dict.fromkeys(written.pinned.features)),
        tasks=tuple(dict.fromkeys(written.pinned.tasks)),
        models=tuple(dict.fromkeys(written.pinned.models)),
        tags={key: tuple(dict.fromkeys(values)) for key, values in written.pinned.tags.items()},
    )
    budgets = Budgets(**numbers, pinned=pinned)
    tags = [(f"tags.{key}", values, "tag_values") for key, values in pinned.tags.items()]
    for place, values, budget in (
        ("features", pinned.features, "features"),
        ("tasks", pinned.tasks, "tasks"),
        ("models", pinned.models, "models"),
        *tags,
    ):
        room = getattr(budgets, budget)
        if len(values) > room:
            problem = f"pins {len(values)} values, and cardinality.{budget} has room for {room}"
            problems.note(f"cardinality.pinned.{place}", problem)
    for key in pinned.tags:
        if key not in tag_labels:
            problems.note(f"cardinality.pinned.tags.{key}", f"{key} is not one of tags.labels")
    return budgets


def _tag_key_rule(key: str) -> str:
    return f"{key!r} cannot be a tag's key: 1-64 characters of a-z A-Z 0-9 . _ -, ends alphanumeric"


def _prices(shaped: FileShape, problems: _Problems) -> Iterator[PriceOverride]:
    seen: set[tuple[str | None, str]] = set()
    for place, row in enumerate(shaped.prices):
        known = find(row.provider) if row.provider else None
        provider = known.name if known else row.provider
        if (provider, row.model) in seen:
            problems.note(f"prices[{place}]", f"{row.model} has a price of this provider above")
        seen.add((provider, row.model))
        yield PriceOverride(**{**row.model_dump(), "provider": provider})


def _gateway_keys(
    written: Mapping[str, CredentialShape], around: Surroundings
) -> Iterator[GatewayKey]:
    name_by_secret: dict[Credential, str] = {}
    for name, row in written.items():
        key = f"gateway_keys.{name}"
        check_name(name, key, around.note)
        secret = credential(row, key, around)
        first = name_by_secret.setdefault(secret, name)
        if first != name:
            place = shown(secret)
            around.note(key, f"is {place}, as is gateway_keys.{first}; each needs its own secret")
        yield GatewayKey(name, secret)


def _books_token(written: CredentialShape | None, around: Surroundings) -> Credential | None:
    return None if written is None else credential(written, "books.token", around)


def _tls(written: TlsShape | None, problems: _Problems) -> Tls | None:
    if written is None:
        return None
    check_certificate_and_key(written.cert_file, written.key_file, problems.note)
    return Tls(written.cert_file, written.key_file)

"""What environment variables say about attribution, for applications that say nothing in code."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from spanmeter.errors import InvalidAttribution, InvalidSetting
from spanmeter.grammar import check_name, check_tag, check_tags, listed
from spanmeter.propagation import Hosts

DESCRIBED = {
    "SPANMETER_GATEWAY": "the gateway's addresses, as http://gateway:8080",
    "SPANMETER_SERVICES": "your own services that pass attribution on, as *.internal",
    "SPANMETER_FEATURE": "the feature of all that the code names none for",
    "SPANMETER_TASK": "its task",
    "SPANMETER_TAGS": "its tags, as env:prod,team:ml",
    "SPANMETER_DIRECT": "true: also meter calls that go straight to a provider",
    "SPANMETER_BAGGAGE": "true: believe the baggage of requests, where none come from outside",
}
"""Every variable, and what it is. Lists are separated by commas; an empty one is as none."""


class Settings(NamedTuple):
    """The arguments of `spanmeter.instrument`."""

    gateway: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    feature: str | None = None
    task: str | None = None
    tags: Mapping[str, str] = MappingProxyType({})
    direct: bool = False
    baggage: bool = False


def read(environ: Mapping[str, str]) -> tuple[Settings, list[InvalidSetting]]:
    """Return what the variables say, and what is wrong with those that are left out."""
    values: dict[str, Any] = {}
    problems = []
    for variable in DESCRIBED:
        name = variable.removeprefix("SPANMETER_").lower()
        text = environ.get(variable, "").strip()
        try:
            if text:
                values[name] = _READ[name](text)
        except (InvalidAttribution, InvalidSetting) as error:
            problems.append(InvalidSetting(f"{variable} is ignored: {error}"))
    return Settings(**values), problems


def _hosts(text: str) -> tuple[str, ...]:
    pieces = tuple(listed(text))
    try:
        Hosts(*pieces)
    except InvalidSetting:
        # Not quoted: a URL that is refused may hold a password.
        raise InvalidSetting(
            "expected http://host:port, host, host:port or *.domain, separated by commas"
        ) from None
    return pieces


def _tags(text: str) -> dict[str, str]:
    pairs = [piece.partition(":") for piece in listed(text)]
    return dict(check_tags(check_tag(key, value) for key, _, value in pairs))


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise InvalidSetting("expected true or false")
    return text.lower() == "true"


_READ: Mapping[str, Callable[[str], Any]] = {
    "gateway": _hosts,
    "services": _hosts,
    "feature": lambda text: check_name("feature", text),
    "task": lambda text: check_name("task", text),
    "tags": _tags,
    "direct": _flag,
    "baggage": _flag,
}

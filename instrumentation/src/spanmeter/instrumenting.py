"""`instrument`: have the HTTP libraries tell the gateway what each call is for.

Only libraries that the application uses are touched: those that it has not imported yet are
hooked when it imports them.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType

from spanmeter.context import TagValue, believe_baggage, set_default
from spanmeter.errors import InvalidSetting
from spanmeter.hooks import aiohttp_hook, arriving, httpx_hook, otel_httpx, requests_hook
from spanmeter.observing import Meter, guarded
from spanmeter.propagation import Hosts, Propagation

_HOOKS = {
    "httpx": httpx_hook,
    "httpx2": httpx_hook,
    "requests": requests_hook,
    "aiohttp": aiohttp_hook,
}
"""By the name of the library."""


def instrument(
    gateway: str | Sequence[str] = (),
    *,
    services: str | Sequence[str] = (),
    feature: str | None = None,
    task: str | None = None,
    tags: Mapping[str, TagValue] | None = None,
    direct: bool = False,
    baggage: bool = False,
) -> None:
    """Tell the gateway of every call what it is for, whichever HTTP library makes it.

    `gateway` is a URL (`http://gateway:8080`), a host, `host:port` or `*.domain`, or several:
    requests there, and no others, get `X-Feature`, `X-Task`, `X-Tags` and the trace. `services` are
    hosts of your own, which get them as W3C baggage. `feature`, `task` and `tags` are for calls
    that the code says nothing of. With `direct`, calls to a provider itself are metered here. With
    `baggage`, the W3C baggage that OpenTelemetry takes from requests counts: for services that the
    outside does not reach, because anybody may write it.

    Called again it replaces what was said. Raises `InvalidSetting` and `InvalidAttribution`, and
    then nothing has changed.
    """
    rules = _rules(gateway, services)
    meter = _direct_meter() if direct else None
    if not (rules.gateways or rules.services or meter):
        raise InvalidSetting("instrument() needs a gateway, services or direct=True")
    if feature is not None or task is not None or tags is not None:
        set_default(feature, task=task, tags=tags)
    believe_baggage(is_believed=baggage)
    for hook in _HOOKS.values():
        hook.observer.propagation, hook.observer.meter = rules, meter
    _hook(_HOOKS)


def instrument_httpx(
    gateway: str | Sequence[str] = (),
    *,
    services: str | Sequence[str] = (),
    direct: bool = False,
    http_spans: bool = False,
) -> None:
    """Do what `instrument` does for httpx and httpx2 only, the libraries of the providers' SDKs.

    With `http_spans` opentelemetry-instrumentation-httpx makes a span for each HTTP request
    (`spanmeter[httpx]`): keys in URLs are masked, and OpenTelemetry's baggage goes to `services`
    only. Where something else has started that instrumentation before, keys are not masked.
    """
    rules = _rules(gateway, services)
    meter = _direct_meter() if direct else None
    if http_spans:
        otel_httpx.require()
        _unhook(("httpx", "httpx2"))  # to hook them again around what it does
        otel_httpx.start()
        httpx_hook.observer.holds_baggage = True
    httpx_hook.observer.propagation, httpx_hook.observer.meter = rules, meter
    _hook(("httpx", "httpx2"))


def instrument_requests(
    gateway: str | Sequence[str] = (),
    *,
    services: str | Sequence[str] = (),
    direct: bool = False,
) -> None:
    """Do what `instrument` does for requests only."""
    _instrument_one("requests", gateway, services, direct=direct)


def instrument_aiohttp(
    gateway: str | Sequence[str] = (),
    *,
    services: str | Sequence[str] = (),
    direct: bool = False,
) -> None:
    """Do what `instrument` does for aiohttp only."""
    _instrument_one("aiohttp", gateway, services, direct=direct)


def uninstrument() -> None:
    """Undo all of these; the default attribution stays, `set_default()` forgets it."""
    _unhook(_HOOKS)
    otel_httpx.stop()
    believe_baggage(is_believed=False)
    for hook in _HOOKS.values():
        hook.observer.forget()


def _instrument_one(
    library: str, gateway: str | Sequence[str], services: str | Sequence[str], *, direct: bool
) -> None:
    rules = _rules(gateway, services)
    meter = _direct_meter() if direct else None
    observer = _HOOKS[library].observer
    observer.propagation, observer.meter = rules, meter
    _hook((library,))


def _rules(gateway: str | Sequence[str], services: str | Sequence[str]) -> Propagation:
    return Propagation(Hosts(*_listed(gateway)), Hosts(*_listed(services)))


def _listed(hosts: str | Sequence[str]) -> Sequence[str]:
    return (hosts,) if isinstance(hosts, str) else hosts


def _direct_meter() -> Meter:
    try:
        from spanmeter.direct.meter import DirectMeter  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        raise InvalidSetting(
            f'direct=True needs {missing.name}: pip install "spanmeter[direct]"'
        ) from missing
    return DirectMeter()


def _hook(names: Iterable[str]) -> None:
    for name in names:
        arriving.when_imported(name, _guarded_hook)


def _guarded_hook(library: ModuleType) -> None:
    guarded(lambda: _HOOKS[library.__name__].hook(library))


def _unhook(names: Iterable[str]) -> None:
    for name in names:
        arriving.forget(name)
        if (library := sys.modules.get(name)) is not None:
            _HOOKS[name].unhook(library)

"""What ASGI and WSGI share: which attribution a web request has, by its path and its baggage."""

import re
from collections.abc import Callable, Mapping
from fnmatch import translate

from spanmeter.context import Scope, feature
from spanmeter.errors import InvalidSetting
from spanmeter.propagation import received

_PATTERN = re.compile(r"[/*][^{}<>]*")


class WebRequests:
    """Attributes requests by the first pattern of `routes` that their path matches.

    `routes` is feature by pattern, and a pattern is one of `fnmatch`: `*` stands for any
    characters, slashes too, `?` for one and `[ab]` for one of these. With `baggage` a request also
    has the feature, task and tags that its W3C baggage names; a route's feature counts more.
    """

    def __init__(self, routes: Mapping[str, str] | None, *, baggage: bool) -> None:
        """Raise `InvalidSetting` for a pattern that matches nothing, `InvalidAttribution`."""
        self._routes = [(_matching(path), feature(name)) for path, name in (routes or {}).items()]
        self._reads_baggage = baggage

    def scopes(self, path: str, baggage: str) -> list[Scope]:
        """Return what to enter for a request, in order; nothing leaves all as it is.

        `path` is decoded and begins where the application is mounted; `baggage` is all that the
        request has, "" for none.
        """
        scopes: list[Scope] = []
        if self._reads_baggage and baggage:
            scopes.append(received({"baggage": baggage}))
        scopes += [scope for matches, scope in self._routes if matches(path)][:1]
        return scopes


def _matching(pattern: str) -> Callable[[str], object]:
    if not _PATTERN.fullmatch(pattern):
        raise InvalidSetting(
            f'"{pattern}" matches no path: expected one that begins with / or *, '
            'with * where others have {name} or <name>, as "/chat/*"'
        )
    return re.compile(translate(pattern)).match

"""To whom a call goes: the upstream by path, `X-Provider`, model or default, and the path there.

Pure. A caller's credential must never reach a vendor that it was not meant for, so a provider that
cannot be told is an error or the documented default, never a guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlsplit

from spanmeter.dialects.dialect import Dialect, Family
from spanmeter_gateway.errors import AzureConfigMissing, InvalidProvider, UnknownPath
from spanmeter_gateway.routing.address import AZURE, Address, read_address
from spanmeter_gateway.upstreams import providers
from spanmeter_gateway.upstreams.upstream import Upstream

HOME_OF_FAMILY: dict[Family, str] = {"anthropic": "anthropic", "gemini": "gcp.gemini"}
HOME_OF_CREDENTIAL_HEADER = {
    b"anthropic-version": "anthropic",
    b"x-goog-api-key": "gcp.gemini",
    b"api-key": AZURE,
}
"""A path such as `/v1/models` is served by several providers; these headers tell whose it is."""
VERTEX = "gcp.vertex_ai"
_OF_NOBODY = (
    "this path belongs to no known provider: use a provider's own path such as "
    "/v1/chat/completions, or /<upstream>/<path>"
)
_REMEMBERED_MODEL = 256
"""Characters; a name of a megabyte is no model, and must not fill the memory of those that are."""
_REMEMBERED_MODELS = 256
_REMEMBERED_TARGET = 512
"""Characters; longer targets are rare, and would make the memory of them large."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The upstream of a call, and the target there, without the upstream's base path.

    `is_guess`: nothing knew the model, so the upstream is the default.
    """

    upstream: Upstream
    target: str
    is_guess: bool = False


class Directory:
    """The configured upstreams, and the rules by which a call finds its own."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        default: str,
        ignore_invalid_provider: bool = False,
    ) -> None:
        self.upstream_by_name = {upstream.name: upstream for upstream in upstreams}
        self.provider_by_name = {upstream.name: upstream.provider for upstream in upstreams}
        self._remembered_address = lru_cache(maxsize=2048)(self._read_address)
        self._default = self.upstream_by_name[default]
        self._ignore_invalid_provider = ignore_invalid_provider
        self._first_of_provider: dict[str, Upstream] = {}
        for upstream in sorted(upstreams, key=lambda one: one.is_built_in):
            self._first_of_provider.setdefault(upstream.provider, upstream)
        self._by_prefix = sorted(
            ((prefix, upstream) for upstream in upstreams for prefix in upstream.models),
            key=lambda pair: -len(pair[0]),
        )

    def address(self, method: str, target: str, asked: str | None) -> Address:
        """Take a request target apart; remembered, because the same few come again and again."""
        if len(target) > _REMEMBERED_TARGET:
            return self._read_address(method, target, asked)
        return self._remembered_address(method, target, asked)

    def _read_address(self, method: str, target: str, asked: str | None) -> Address:
        return read_address(method, target, self.provider_by_name, asked=asked)

    def asked_upstream(self, asked: str | None) -> Upstream | None:
        """Find the upstream that `X-Provider` asks for; raises `InvalidProvider`."""
        if not asked:
            return None
        if asked in self.upstream_by_name:
            return self.upstream_by_name[asked]
        known = providers.find(asked)
        name = known.name if known else asked.lower()
        found = self._first_of_provider.get(name)
        if found is not None:
            return found
        if name == AZURE:
            raise AzureConfigMissing(
                "no Azure endpoint is configured: add an upstream with provider azure and "
                "the base_url of your resource"
            )
        if self._ignore_invalid_provider:
            return None
        raise InvalidProvider(
            "X-Provider names no known provider or upstream; valid values: "
            + ", ".join(sorted(self.upstream_by_name))
        )

    def choose(
        self,
        address: Address,
        *,
        asked: Upstream | None,
        model: str | None,
        hint: str | None = None,
    ) -> Choice:
        """Choose the upstream of a call to a metered dialect or of any other path.

        `hint` is the provider whose credential header the request carries. Raises `UnknownPath` and
        `AzureConfigMissing`. Remembered by address, because the same few come again and again.
        """
        key = (asked.name if asked is not None else None, model, hint)
        choice: Choice | None = address.remembered.get(key)
        if choice is None:
            upstream, is_guess = self._choose(address, asked=asked, model=model, hint=hint)
            choice = Choice(upstream, upstream_target(address, upstream, model), is_guess)
            is_small = len(address.remembered) < _REMEMBERED_MODELS
            if is_small and len(model or "") <= _REMEMBERED_MODEL:
                address.remembered[key] = choice
        return choice

    def _choose(
        self, address: Address, *, asked: Upstream | None, model: str | None, hint: str | None
    ) -> tuple[Upstream, bool]:
        if address.problem is not None:
            kind, text = address.problem
            raise kind(text)
        if address.upstream is not None:
            return self.upstream_by_name[address.upstream], False
        if asked is not None:
            return asked, False
        if address.provider is not None:
            return self._azure(address.provider), False
        if address.path.startswith("/azure/"):
            # No upstream has this name; the caller's credential is Azure's, and no default's.
            self._azure(AZURE)
            raise UnknownPath(_OF_NOBODY)
        if address.dialect is not None:
            return self._by_model(address, address.dialect.family, model)
        return self._of_other_path(address, hint), False

    def _azure(self, provider: str) -> Upstream:
        found = self._first_of_provider.get(provider)
        if found is None:
            raise AzureConfigMissing(
                "this is an Azure OpenAI path, but no Azure endpoint is configured: add an "
                "upstream with provider azure and the base_url of your resource"
            )
        return found

    def _by_model(
        self, address: Address, family: Family, model: str | None
    ) -> tuple[Upstream, bool]:
        if model is not None:
            for prefix, upstream in self._by_prefix:
                if model.startswith(prefix):
                    return upstream, False
        if family != "openai":
            return self._home(address, family), False
        known = providers.provider_of_model(model) if model is not None else None
        found = self._first_of_provider.get(known.name) if known is not None else None
        if found is not None and _speaks(found, family):
            return found, False
        return self._default, True

    def _home(self, address: Address, family: Family) -> Upstream:
        provider = HOME_OF_FAMILY[family]
        if family == "gemini" and "/projects/" in address.path:
            provider = VERTEX
        found = self._first_of_provider.get(provider)
        if found is None:
            raise UnknownPath(
                f"no upstream of provider {provider} is configured for this path: add one, or call "
                "it as /<upstream>/<path>"
            )
        return found

    def _of_other_path(self, address: Address, hint: str | None) -> Upstream:
        found = self._first_of_provider.get(hint) if hint is not None else None
        if found is not None:
            return found
        if address.path.startswith("/v1beta/"):
            found = self._first_of_provider.get(HOME_OF_FAMILY["gemini"])
        elif address.path.startswith("/v1/"):
            found = self._default
        if found is None:
            raise UnknownPath(_OF_NOBODY)
        return found


def upstream_target(address: Address, upstream: Upstream, model: str | None) -> str:
    """Write the path and query that the upstream sees, without its base path.

    A path whose first segment named the upstream goes as it is. Otherwise OpenAI's `/v1/...` is
    moved to where the upstream keeps that API. Raises `AzureConfigMissing`.
    """
    path, query = address.path, address.query
    if upstream.provider == AZURE:
        query = _with_api_version(path, query, upstream.api_version)
    if address.upstream is None and address.dialect is not None:
        if address.dialect.family == "openai" and address.provider is None:
            path, query = _openai_path(path, query, upstream=upstream, model=model)
    elif address.upstream is None and path.startswith("/v1/"):
        path = _moved(path, upstream)
    return f"{path}?{query}" if query else path


def join_base(base_path: str, target: str) -> str:
    """Put a base URL's path before a target; what both have in common stands once.

    So `https://api.groq.com/openai/v1` and `https://api.groq.com` are equally good base URLs for
    `/openai/v1/chat/completions` and for `/chat/completions`.
    """
    base_path = base_path.rstrip("/")
    segments = base_path.split("/")[1:]
    for count in range(len(segments), 0, -1):
        shared = "/" + "/".join(segments[-count:])
        if target.startswith(shared + "/"):
            return base_path[: len(base_path) - len(shared)] + target
    return base_path + target


def base_path(upstream: Upstream) -> str:
    """Take the path out of the base URL, without a trailing slash."""
    return urlsplit(upstream.base_url).path.rstrip("/")


def route_of(dialect: Dialect | None, upstream: str | None) -> str:
    """Name the route for `http.route`: the dialect's, or `/<upstream>/*` for any other path."""
    if dialect is not None:
        return dialect.route
    return f"/{upstream}/*" if upstream is not None else ""


def _speaks(upstream: Upstream, family: Family) -> bool:
    return family in upstream.dialects


def _openai_path(
    path: str, query: str, *, upstream: Upstream, model: str | None
) -> tuple[str, str]:
    if upstream.provider != AZURE or not path.startswith("/v1/"):
        return _moved(path, upstream), query
    operation = path.removeprefix("/v1")
    if operation == "/responses" and "api-version=" not in query:
        return "/openai/v1/responses", query
    if "api-version=" not in query:
        raise AzureConfigMissing(
            "Azure needs an API version: set api_version on the upstream, or call the path with "
            "?api-version=2024-10-21"
        )
    if operation == "/responses":
        return "/openai/responses", query
    if model in (".", ".."):  # which the model's name must not become in a path
        raise UnknownPath("the model names no deployment")
    deployment = quote(model or "", safe="", errors="replace")
    return f"/openai/deployments/{deployment}{operation}", query


def _moved(path: str, upstream: Upstream) -> str:
    if path.startswith("/v1/"):
        return upstream.openai_root + path.removeprefix("/v1")
    if path in ("/chat/completions", "/completions", "/embeddings", "/responses"):
        return upstream.openai_root + path
    return path


def _with_api_version(path: str, query: str, api_version: str | None) -> str:
    if api_version is None or "api-version=" in query or path.startswith("/openai/v1/"):
        return query
    return f"{query}&api-version={api_version}" if query else f"api-version={api_version}"

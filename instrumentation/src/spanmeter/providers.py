"""What we know of each provider: its address, its credential header, its models, its habits.

A new provider is a row of this table; nowhere else may code ask "which provider is this?".
Hosts and roots are those of the providers' own documentation and of the recorded traffic in
`tests/recordings`. `stream_usage` is true only where `stream_options.include_usage` is known to be
accepted and is needed: a provider that refuses it would fail a call that worked without us.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from spanmeter.dialects.dialect import Family

AUTHORIZATION = "authorization"
"""Sent as `Bearer <credential>`; the other headers carry the bare credential."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider. `name` is the OpenTelemetry `gen_ai.provider.name`."""

    name: str
    aliases: tuple[str, ...]
    """Accepted in the configuration and in `X-Provider`; the first names its built-in upstream."""
    base_url: str | None = None
    """`None`: there is no address that is right for everybody."""
    hosts: tuple[str, ...] = ()
    """Whose names end like this, its other addresses; over TLS."""
    openai_root: str = "/v1"
    stream_usage: bool = False
    dialects: "tuple[Family, ...]" = ("openai",)
    native_header: str = AUTHORIZATION
    """The header of its own credential; on OpenAI's paths see `credential_header`."""
    prefixes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """Whole names that a prefix would miss or give to somebody else."""


PROVIDERS = (
    Provider(
        name="openai",
        aliases=("openai",),
        base_url="https://api.openai.com",
        hosts=(".api.openai.com",),  # a region before it: platform.openai.com/docs/guides/your-data
        stream_usage=True,  # openai/openai-openapi#248
        prefixes=(
            *("gpt-", "chatgpt-", "o1", "o3", "o4", "ft:", "codex-", "computer-use", "davinci"),
            *("babbage", "text-embedding-", "text-moderation", "omni-moderation", "dall-e"),
            *("whisper", "tts-", "sora-"),
        ),
    ),
    Provider(
        name="anthropic",
        aliases=("anthropic",),
        base_url="https://api.anthropic.com",
        # platform.claude.com/docs/en/api/openai-sdk: `stream_options` fully supported
        stream_usage=True,
        dialects=("anthropic", "openai"),
        native_header="x-api-key",
        prefixes=("claude-",),
    ),
    Provider(
        name="gcp.gemini",
        aliases=("gemini", "google"),
        base_url="https://generativelanguage.googleapis.com",
        openai_root="/v1beta/openai",
        # Usage comes unasked: discuss.ai.google.dev/t/92785
        dialects=("gemini", "openai"),
        native_header="x-goog-api-key",
        prefixes=("gemini-", "gemma-3", "learnlm-", "imagen-", "veo-"),
        models=("text-embedding-004",),
    ),
    Provider(
        name="groq",
        aliases=("groq",),
        base_url="https://api.groq.com",
        openai_root="/openai/v1",
        stream_usage=True,  # recordings: groq-stream-usage-twice-real-chunks
        prefixes=("llama-", "mixtral-", "gemma2-"),
        models=("deepseek-r1-distill-llama-70b", "mistral-saba-24b"),
    ),
    Provider(
        name="mistral_ai",
        aliases=("mistral",),
        base_url="https://api.mistral.ai",
        # Refuses `stream_options` with 422 (avante-corp/avante.nvim#2347); usage comes unasked.
        prefixes=(
            *("mistral-", "ministral-", "magistral-", "codestral-", "devstral-", "pixtral-"),
            *("voxtral-", "open-mistral-", "open-mixtral-"),
        ),
    ),
    Provider(
        name="deepseek",
        aliases=("deepseek",),
        base_url="https://api.deepseek.com",
        stream_usage=True,  # recordings: deepseek-stream-reasoning
        prefixes=("deepseek-",),
    ),
    Provider(
        name="x_ai",
        aliases=("xai",),
        base_url="https://api.x.ai",
        stream_usage=True,  # recordings: xai-stream-reasoning-cache-read
        prefixes=("grok-",),
    ),
    Provider(
        name="perplexity",
        aliases=("perplexity",),
        base_url="https://api.perplexity.ai",
        openai_root="",
        # Usage comes unasked, in every chunk: recordings, perplexity-stream-crlf-growing-usage
        prefixes=("sonar",),
    ),
    Provider(
        name="openrouter",
        aliases=("openrouter",),
        base_url="https://openrouter.ai",
        openai_root="/api/v1",
        # Usage always comes: openrouter.ai/docs/client-sdks/python/components/chatstreamoptions
        prefixes=("openrouter/",),
    ),
    Provider(
        name="cerebras",
        aliases=("cerebras",),
        base_url="https://api.cerebras.ai",
        stream_usage=True,  # recordings: cerebras-stream-emoji
        prefixes=("qwen-3-", "llama3.1-"),
        models=("llama-3.3-70b", "llama-4-scout-17b-16e-instruct"),
    ),
    Provider(
        name="together",
        aliases=("together",),
        base_url="https://api.together.xyz",
        stream_usage=True,  # vercel/ai#17986: some models give no usage unless asked
    ),
    Provider(
        name="fireworks",
        aliases=("fireworks",),
        base_url="https://api.fireworks.ai",
        openai_root="/inference/v1",
        # Usage comes unasked: fireworks.ai/docs/tools-sdks/openai-compatibility
        prefixes=("accounts/fireworks/",),
    ),
    Provider(
        name="cohere",
        aliases=("cohere",),
        base_url="https://api.cohere.ai",
        openai_root="/compatibility/v1",  # docs.cohere.com/docs/compatibility-api
        stream_usage=True,  # cohere-ai/cohere-developer-experience#606
        prefixes=("command-", "c4ai-aya-", "embed-"),
    ),
    Provider(
        name="moonshot_ai",
        aliases=("moonshot", "kimi"),
        base_url="https://api.moonshot.ai",
        # Usage comes unasked, in `choices[0].usage`: earendil-works/pi#2017
        prefixes=("kimi-", "moonshot-"),
    ),
    Provider(
        name="ai21",
        aliases=("ai21",),
        base_url="https://api.ai21.com",
        openai_root="/studio/v1",
        # Usage comes unasked: recordings, ai21-stream-crlf
        prefixes=("jamba-",),
    ),
    Provider(
        name="zai",
        aliases=("zai",),
        base_url="https://api.z.ai",
        openai_root="/api/paas/v4",
        stream_usage=True,  # recordings: zai-stream-cache-read
        prefixes=("glm-",),
    ),
    Provider(
        name="ollama",
        aliases=("ollama",),
        base_url="http://127.0.0.1:11434",
        stream_usage=True,  # ollama/ollama#6784
    ),
    Provider(
        name="gcp.vertex_ai",
        aliases=("vertex", "vertex_ai"),
        # cloud.google.com/vertex-ai/docs/general/locations
        hosts=("-aiplatform.googleapis.com", "aiplatform.googleapis.com"),
        openai_root="/v1/openapi",
        dialects=("gemini",),
    ),
    Provider(
        name="azure.ai.openai",
        aliases=("azure",),
        # learn.microsoft.com/azure/ai-services/openai/reference
        hosts=(".openai.azure.com", ".cognitiveservices.azure.com"),
        openai_root="/openai/v1",
        stream_usage=True,  # recordings: azure-openai/stream-prelude-usage
        native_header="api-key",
    ),
    Provider(
        name="azure.ai.inference",
        aliases=("azure_ai",),
        # learn.microsoft.com/azure/ai-foundry/model-inference/concepts/endpoints
        hosts=(".services.ai.azure.com", ".models.ai.azure.com"),
        openai_root="/models",
        native_header="api-key",
    ),
)


def provider_at(host: str, port: int) -> str | None:
    """Name the provider that answers at an address; `host` in lower case."""
    known = _BY_ADDRESS.get((host, port))
    if known is not None or port != _TLS_PORT:
        return known
    return next((name for ending, name in _BY_ENDING if host.endswith(ending)), None)


def _address(base_url: str) -> tuple[str, int]:
    url = urlsplit(base_url)
    return url.hostname or "", url.port or _TLS_PORT


_TLS_PORT = 443
_BY_ADDRESS = {_address(row.base_url): row.name for row in PROVIDERS if row.base_url is not None}
_BY_ENDING = [(ending, row.name) for row in PROVIDERS for ending in row.hosts]

"""Names and values of attributes on the spans and metrics of a call, whoever prints them.

Outside names are cited as GENAI (OpenTelemetry semantic-conventions-genai, docs/gen-ai), HTTP
(semantic-conventions, docs/http) and GENERAL (its docs/general).
"""

from typing import Literal

# -- attributes of our own namespace ---------------------------------------------------------------
FEATURE = "spanmeter.feature"
TASK = "spanmeter.task"
TAG_PREFIX = "spanmeter.tag."
TAGS = "spanmeter.tags"
OUTCOME = "spanmeter.outcome"
USAGE_SOURCE = "spanmeter.usage.source"
MODEL_ALIAS = "spanmeter.request.model_alias"

# -- attributes of the conventions -----------------------------------------------------------------
# GENAI client-inference.md: the inference span.
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
REQUEST_STREAM = "gen_ai.request.stream"
TOKEN_MODALITY = "gen_ai.token.modality"
# GENAI of v1.41, docs/gen-ai/gen-ai-metrics.md: `input` or `output`.
TOKEN_TYPE = "gen_ai.token.type"
# GENAI of v1.41, docs/gen-ai/gen-ai-spans.md: today's `cache_write`.
CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
# GENAI azure-ai-inference.md.
AZURE_NAMESPACE = "azure.resource_provider.namespace"
# GENAI openai.md.
OPENAI_API_TYPE = "openai.api.type"
OPENAI_REQUEST_TIER = "openai.request.service_tier"
OPENAI_RESPONSE_TIER = "openai.response.service_tier"
OPENAI_FINGERPRINT = "openai.response.system_fingerprint"
# GENERAL attributes.md and recording-errors.md.
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"

# GENAI client-inference.md and client-embeddings: names of what a request asked for, by the short
# name that a receipt's `parameters` uses, with the type that the conventions give.
ParameterKind = Literal["int", "double", "string", "strings"]
PARAMETERS: dict[str, tuple[str, ParameterKind]] = {
    "max_tokens": ("gen_ai.request.max_tokens", "int"),
    "temperature": ("gen_ai.request.temperature", "double"),
    "top_p": ("gen_ai.request.top_p", "double"),
    "top_k": ("gen_ai.request.top_k", "int"),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", "double"),
    "presence_penalty": ("gen_ai.request.presence_penalty", "double"),
    "seed": ("gen_ai.request.seed", "int"),
    "choice_count": ("gen_ai.request.choice.count", "int"),
    "reasoning_level": ("gen_ai.request.reasoning.level", "string"),
    "previous_response_id": ("gen_ai.request.previous_response.id", "string"),
    "output_type": ("gen_ai.output.type", "string"),
    "conversation_id": ("gen_ai.conversation.id", "string"),
    "prompt_name": ("gen_ai.prompt.name", "string"),
    "prompt_version": ("gen_ai.prompt.version", "string"),
    "encoding_format": ("gen_ai.request.encoding_formats", "strings"),
    "dimension_count": ("gen_ai.embeddings.dimension.count", "int"),
    "service_tier": (OPENAI_REQUEST_TIER, "string"),
}
# GENAI client-embeddings.md: the only ones on an embeddings span, and on no other.
EMBEDDINGS_PARAMETERS = frozenset({"encoding_format", "dimension_count"})
# Values that the conventions say are not worth an attribute: the default number of choices (GENAI
# client-inference.md) and the default tier (GENAI openai.md).
PARAMETER_DEFAULTS: dict[str, int | str] = {"choice_count": 1, "service_tier": "auto"}

# GENAI client-inference.md: token usage, by the field of `spanmeter.usage.Usage`.
USAGE: dict[str, str] = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "input_text_tokens": "gen_ai.usage.text.input_tokens",
    "input_image_tokens": "gen_ai.usage.image.input_tokens",
    "input_audio_tokens": "gen_ai.usage.audio.input_tokens",
    "output_text_tokens": "gen_ai.usage.text.output_tokens",
    "output_image_tokens": "gen_ai.usage.image.output_tokens",
    "output_audio_tokens": "gen_ai.usage.audio.output_tokens",
    "cache_read_audio_tokens": "gen_ai.usage.audio.cache_read.input_tokens",
}

# -- values ----------------------------------------------------------------------------------------
# GENAI openai.md: `openai.*` belongs to these two only; other upstreams speak the dialect, no more.
OPENAI_PROVIDERS = frozenset({"openai", "azure.ai.openai"})
# GENAI azure-ai-inference.md: the provider whose spans name the namespace, and what it is.
AZURE_NAMESPACE_BY_PROVIDER = {"azure.ai.inference": "Microsoft.CognitiveServices"}
# GENERAL recording-errors.md: the predefined fallback of `error.type`.
OTHER_ERROR = "_OTHER"
# GENAI client-inference.md: stands where a finish reason was expected and never came.
FINISH_ERROR = "error"
# GENAI gen-ai-token-metrics.md: where the provider gave no split.
UNKNOWN_MODALITY = "unknown"
EMBEDDINGS = "embeddings"
MAX_LABEL_CHARS = 100  # Spans and ledger keep the whole value.
MAX_MODEL_CHARS = 256  # No real name has so many.
DEFAULT_TAG_KEYS = ("env", "team", "project", "cost-center")
SCOPE = "spanmeter"
# GENAI README.md names it; the repository has tagged no release yet.
SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai/1.42.0"

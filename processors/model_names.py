"""Provider and model names, normalised, so that one model has one name whoever reports it.

Only spelling is changed here: which price a name has is the price table's business. A Bedrock region prefix
(`us.`, `eu.`, `global.`) stays, because it has a price of its own.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

NAME_MAX: Final = 256
"""Longest model name that is kept, characters."""

_PROVIDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("openai-chat", "openai-responses", "open_ai", "text-completion-openai"),
    "anthropic": ("anthropic-chat", "claude"),
    "azure.ai.openai": ("az.ai.openai", "azure", "azure_openai", "azure-openai", "azureopenai"),
    "azure.ai.inference": ("az.ai.inference", "azure_ai", "azure-ai", "azure_ai_inference"),
    "aws.bedrock": ("aws_bedrock", "aws", "bedrock", "bedrock_converse", "amazon_bedrock", "amazon-bedrock"),
    "gcp.gemini": ("gemini", "google_ai_studio", "google_genai", "google-genai", "google-gla"),
    "gcp.vertex_ai": ("vertex_ai", "vertexai", "google-vertex", "google_vertexai", "vertex_ai_beta"),
    "gcp.gen_ai": ("google", "gen_ai", "google_ai"),
    "x_ai": ("xai", "x-ai", "grok"),
    "mistral_ai": ("mistral", "mistralai", "mistral-ai"),
    "groq": (),
    "cohere": ("cohere_chat",),
    "deepseek": ("deep_seek",),
    "perplexity": ("pplx",),
    "moonshot_ai": ("moonshot", "moonshotai"),
    "ibm.watsonx.ai": ("watsonx", "ibm_watsonx"),
    "openrouter": ("open_router",),
    "together": ("together_ai", "togetherai", "together-ai"),
    "fireworks": ("fireworks_ai", "fireworksai", "fireworks-ai"),
    "cerebras": (),
    "novita": ("novita_ai",),
    "huggingface": ("hugging_face", "huggingface_cohere"),
    "ollama": ("ollama_chat",),
}
_PROVIDER_OF: Final[Mapping[str, str]] = {
    spelling: name for name, spellings in _PROVIDERS.items() for spelling in (name, *spellings)
}
_DOTTED: Final[Mapping[str, str]] = {
    "google.generative-ai": "gcp.gemini",
    "google.generativeai": "gcp.gemini",
    "google.vertex": "gcp.vertex_ai",
    "google.vertex.chat": "gcp.vertex_ai",
    "azure-openai.chat": "azure.ai.openai",
}
_FRAMEWORKS: Final = frozenset(
    {"langchain", "langgraph", "llamaindex", "llama_index", "crewai", "litellm", "litellm_proxy", "vercel",
     "none", "unknown", "custom", "custom_openai", "haystack", "dspy", "autogen", "openai_like"}
)  # fmt: skip
_PUBLISHER: Final[Mapping[str, str]] = {"google": "gcp.vertex_ai", "anthropic": "gcp.vertex_ai"}
_ARN: Final = re.compile(
    r"^arn:aws[\w-]*:bedrock:[^:]*:[^:]*:(?P<kind>[\w-]+)/(?P<name>.+)$",
)
_ROUTING: Final = frozenset({"nitro", "floor", "exacto", "online", "extended", "thinking", "beta", "free"})


class ModelName(NamedTuple):
    """A normalised name.

    Attributes:
        provider: Normalised provider; None where nobody said.
        model: Normalised model; None where nobody said.
        note: A reason why the price of this name is not the plain one, None as a rule:
            `router_suffix` for an OpenRouter routing suffix that the price table does not price.
    """

    provider: str | None
    model: str | None
    note: str | None = None


def normalise_provider(raw: str | None) -> str | None:
    """The OpenTelemetry name of a provider; None for a framework's name or no name.

    An unknown provider keeps its own lower-case name, so that an override can still name it.
    """
    name = (raw or "").strip().lower()[:NAME_MAX]
    if not name or name in _FRAMEWORKS:
        return None
    known = _PROVIDER_OF.get(name) or _DOTTED.get(name)
    if known:
        return known
    head = name.split(".", 1)[0]
    return _PROVIDER_OF.get(head, name)


def normalise_model(provider: str | None, raw: str) -> ModelName:
    """Normalises one model name.

    Args:
        provider: Normalised provider or None.
        raw: The name as the span spells it.

    Returns:
        The name without resource paths, provider prefixes and version marks that do not change the model.
    """
    model = raw.strip()[:NAME_MAX]
    provider, model = _without_path(provider, model)
    provider, model = _without_provider_prefix(provider, model)
    model = _without_route(model)
    if provider == "openrouter":
        return _without_routing(provider, model)
    if "@" in model:
        base, _, version = model.partition("@")
        model = base if version in ("", "default", "latest") else f"{base}-{version}"
    return ModelName(provider, model or None)


def _without_path(provider: str | None, model: str) -> tuple[str | None, str]:
    """Takes a name out of an ARN, a `publishers/…/models/…` path, a Fireworks account or `models/…`."""
    arn = _ARN.match(model)
    if arn:
        name = arn["name"] if arn["kind"] != "application-inference-profile" else model
        return provider or "aws.bedrock", name
    if "publishers/" in model and "/models/" in model:
        publisher, _, name = model.split("publishers/", 1)[1].partition("/models/")
        return provider or _PUBLISHER.get(publisher, "gcp.vertex_ai"), name
    if model.startswith("accounts/fireworks/models/"):
        return provider or "fireworks", model.removeprefix("accounts/fireworks/models/")
    if model.startswith("models/"):
        return provider, model.removeprefix("models/")
    return provider, model


def _without_provider_prefix(provider: str | None, model: str) -> tuple[str | None, str]:
    """Splits `openai/gpt-5` as LiteLLM and ADK write it; OpenRouter's own names keep their vendor."""
    prefix, slash, rest = model.partition("/")
    known = _PROVIDER_OF.get(prefix.lower())
    if not slash or not rest or known is None:
        return provider, model
    if provider in (None, known) or (provider, known) in _FAMILIES:
        return (known if provider is None else provider), rest
    return provider, model


_ROUTES: Final = ("converse/", "invoke/", "responses/")
"""How LiteLLM names the endpoint of a provider inside its model names."""


def _without_route(model: str) -> str:
    return next((model.removeprefix(route) for route in _ROUTES if model.startswith(route)), model)


_FAMILIES: Final = frozenset(
    {
        ("gcp.vertex_ai", "gcp.gen_ai"), ("gcp.gemini", "gcp.gen_ai"), ("gcp.gen_ai", "gcp.gemini"),
        ("gcp.gen_ai", "gcp.vertex_ai"), ("azure.ai.inference", "azure.ai.openai"),
        ("azure.ai.openai", "azure.ai.inference"), ("azure.ai.openai", "openai"),
    }
)  # fmt: skip
"""(provider that the span names, provider prefix of the model) that mean the same account."""


def _without_routing(provider: str, model: str) -> ModelName:
    base, colon, suffix = model.rpartition(":")
    if colon and suffix in _ROUTING - {"free"}:
        return ModelName(provider, base, "router_suffix")
    return ModelName(provider, model)


class Namer:
    """Names calls: aliases from configuration first, then normalisation; remembers what it has named.

    Args:
        aliases: Azure deployments, Bedrock application inference profiles and the like: raw name →
            (provider or None, model).
        remembered_max: Names that are remembered; above it the memory starts anew.
    """

    def __init__(
        self, aliases: Mapping[str, tuple[str | None, str]] | None = None, remembered_max: int = 4096
    ) -> None:
        self._aliases = dict(aliases or {})
        self._remembered: dict[tuple[str | None, str | None, str | None], ModelName] = {}
        self._remembered_max = remembered_max

    def name(self, provider: str | None, asked: str | None, answered: str | None) -> ModelName:
        """The name that is priced: the model that answered, else the model asked for.

        Bedrock prices depend on the region prefix, which only the request has.
        """
        key = (provider, asked, answered)
        known = self._remembered.get(key)
        if known is None:
            if len(self._remembered) >= self._remembered_max:
                self._remembered.clear()
            known = self._remembered[key] = self._work_out(provider, asked, answered)
        return known

    def _work_out(self, raw_provider: str | None, asked: str | None, answered: str | None) -> ModelName:
        provider = normalise_provider(raw_provider)
        for raw in (answered, asked):
            if raw is not None and raw in self._aliases:
                alias_provider, model = self._aliases[raw]
                return normalise_model(normalise_provider(alias_provider) or provider, model)
        if asked is None and answered is None:
            return ModelName(provider, None)
        from_request = normalise_model(provider, asked) if asked is not None else None
        from_answer = normalise_model(provider, answered) if answered is not None else None
        if from_request is None or from_answer is None:
            return from_request or from_answer or ModelName(provider, None)
        best = from_request if from_request.provider == "aws.bedrock" else from_answer
        return ModelName(best.provider or from_request.provider, best.model, best.note or from_request.note)

"""One model has one name, whoever reports it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.processors.model_names import NAME_MAX, ModelName, Namer, normalise_model, normalise_provider

SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
APPLICATION = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123"


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("openai", "openai"), ("OpenAI", "openai"), (" openai ", "openai"), ("openai.chat", "openai"),
        ("openai.responses", "openai"), ("anthropic.messages", "anthropic"), ("azure", "azure.ai.openai"),
        ("az.ai.openai", "azure.ai.openai"), ("azure.ai.openai", "azure.ai.openai"),
        ("azure_ai", "azure.ai.inference"), ("azure-openai.chat", "azure.ai.openai"), ("bedrock",
            "aws.bedrock"),
        ("aws.bedrock", "aws.bedrock"), ("bedrock_converse", "aws.bedrock"), ("AWS", "aws.bedrock"),
        ("gemini", "gcp.gemini"), ("google-gla", "gcp.gemini"), ("google.generative-ai", "gcp.gemini"),
        ("vertex_ai", "gcp.vertex_ai"), ("google.vertex.chat", "gcp.vertex_ai"), ("google", "gcp.gen_ai"),
        ("xai", "x_ai"), ("mistralai", "mistral_ai"), ("together_ai", "together"), ("acme-llm", "acme-llm"),
    ],
)  # fmt: skip
def test_a_provider_gets_its_opentelemetry_name(raw, name) -> None:
    assert normalise_provider(raw) == name


@pytest.mark.parametrize("raw", [None, "", " ", "langchain", "litellm", "custom_openai", "unknown", "None"])
def test_a_frameworks_name_is_no_provider(raw) -> None:
    assert normalise_provider(raw) is None


@pytest.mark.parametrize(
    ("provider", "raw", "name"),
    [
        # Bedrock: ids, regions, ARNs
        ("aws.bedrock", SONNET, ("aws.bedrock", SONNET)),
        ("aws.bedrock", f"us.{SONNET}", ("aws.bedrock", f"us.{SONNET}")),
        ("aws.bedrock", f"global.{SONNET}", ("aws.bedrock", f"global.{SONNET}")),
        (None, f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET}", ("aws.bedrock", SONNET)),
        (None, f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{SONNET}", ("aws.bedrock", SONNET)),
        (
            None, f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.{SONNET}",
            ("aws.bedrock", f"eu.{SONNET}"),
        ),
        (None, APPLICATION, ("aws.bedrock", APPLICATION)),
        (None, f"bedrock/us.{SONNET}", ("aws.bedrock", f"us.{SONNET}")),
        (None, f"bedrock/converse/us.{SONNET}", ("aws.bedrock", f"us.{SONNET}")),
        ("aws.bedrock", f"invoke/{SONNET}", ("aws.bedrock", SONNET)),
        # Vertex and Gemini
        ("gcp.vertex_ai", "claude-sonnet-4-5@20250929", ("gcp.vertex_ai", "claude-sonnet-4-5-20250929")),
        ("gcp.vertex_ai", "gemini-2.5-pro@default", ("gcp.vertex_ai", "gemini-2.5-pro")),
        (None, "publishers/google/models/gemini-2.5-pro", ("gcp.vertex_ai", "gemini-2.5-pro")),
        (
            None, "projects/p/locations/l/publishers/anthropic/models/claude-opus-4@20250514",
            ("gcp.vertex_ai", "claude-opus-4-20250514"),
        ),
        ("gcp.gemini", "models/gemini-2.5-flash", ("gcp.gemini", "gemini-2.5-flash")),
        (None, "gemini/gemini-2.5-flash", ("gcp.gemini", "gemini-2.5-flash")),
        ("gcp.gemini", "vertex_ai/x", ("gcp.gemini", "vertex_ai/x")),
        # provider prefixes
        (None, "openai/gpt-5", ("openai", "gpt-5")),
        ("openai", "openai/gpt-5", ("openai", "gpt-5")),
        (None, "openai/responses/gpt-5", ("openai", "gpt-5")),
        ("groq", "openai/gpt-oss-120b", ("groq", "openai/gpt-oss-120b")),
        (None, "azure/my-deployment", ("azure.ai.openai", "my-deployment")),
        (None, "acme/model", (None, "acme/model")),
        (None, "openai/", (None, "openai/")),
        # OpenRouter keeps the vendor; a routing suffix is noted
        ("openrouter", "openai/gpt-5", ("openrouter", "openai/gpt-5")),
        (None, "openrouter/openai/gpt-5", ("openrouter", "openai/gpt-5")),
        ("openrouter", "meta-llama/llama-3.1-8b:free", ("openrouter", "meta-llama/llama-3.1-8b:free")),
        ("openrouter", "openai/gpt-5:nitro", ("openrouter", "openai/gpt-5", "router_suffix")),
        ("openrouter", "openai/gpt-5:other", ("openrouter", "openai/gpt-5:other")),
        # others
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::a1", ("openai", "ft:gpt-4o-mini-2024-07-18:acme::a1")),
        ("fireworks", "accounts/fireworks/models/llama-v3", ("fireworks", "llama-v3")),
        ("openai", "  gpt-5 ", ("openai", "gpt-5")),
        ("openai", " ", ("openai", None)),
    ],
)  # fmt: skip
def test_a_model_gets_one_name(provider, raw, name) -> None:
    assert normalise_model(provider, raw) == ModelName(*name)


@given(st.sampled_from([None, "openai", "openrouter", "aws.bedrock", "gcp.vertex_ai"]), st.text(max_size=40))
def test_any_text_gets_a_name_and_naming_it_again_changes_nothing(provider, raw) -> None:
    once = normalise_model(provider, raw)
    assert once.model is None or len(once.model) <= NAME_MAX
    if once.model is not None and not {"/", "@", ":"} & set(raw):
        assert normalise_model(once.provider, once.model) == once


def test_the_answering_model_is_priced_and_bedrock_by_what_was_asked() -> None:
    namer = Namer()
    assert namer.name("openai", "gpt-5", "gpt-5-2025-08-07") == ModelName("openai", "gpt-5-2025-08-07")
    assert namer.name("openai", "gpt-5", None) == ModelName("openai", "gpt-5")
    assert namer.name("openai", None, "gpt-5-2025-08-07") == ModelName("openai", "gpt-5-2025-08-07")
    assert namer.name("aws.bedrock", f"us.{SONNET}", "claude-sonnet-4-5") == ModelName(
        "aws.bedrock", f"us.{SONNET}"
    )
    assert namer.name("openai", None, None) == ModelName("openai", None)


def test_an_alias_of_a_deployment_or_a_profile_goes_first() -> None:
    aliases = {
        "prod-chat": ("azure", "gpt-4o"),
        "own": (None, "gpt-5"),
        APPLICATION: ("bedrock", f"eu.{SONNET}"),
    }
    namer = Namer(aliases)
    assert namer.name("openai", "prod-chat", "prod-chat") == ModelName("azure.ai.openai", "gpt-4o")
    assert namer.name("openai", "own", None) == ModelName("openai", "gpt-5")
    assert namer.name("aws.bedrock", APPLICATION, None) == ModelName("aws.bedrock", f"eu.{SONNET}")


def test_the_memory_for_names_is_bounded() -> None:
    namer = Namer(remembered_max=10)
    for n in range(100):
        assert namer.name("openai", f"m-{n}", None).model == f"m-{n}"
    assert len(namer._remembered) <= 10

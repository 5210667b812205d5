"""The set-ups that are captured: what each installs, which instrumentations it turns on, what it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One capture.

    Attributes:
        driver: A file of `drivers/`; one that ends in `.mjs` runs on Node.
        requirements: What pip (or npm) installs; equal sets share one environment.
        instrumentors: `module:Class` of each instrumentation that the driver turns on.
        environment: Variables that the driver runs with.
        arguments: What the driver is told on its command line.
    """

    driver: str
    requirements: tuple[str, ...]
    instrumentors: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


CLIENTS = (
    "openai==3.54.0",
    "anthropic==2.12.0",
    "langchain==1.4.7",
    "langchain-openai==1.7.3",
    "langchain-anthropic==1.7.7",
    "opentelemetry-sdk==1.45.2",
)
OPENINFERENCE = (
    *CLIENTS,
    "openinference-instrumentation-openai==0.1.66",
    "openinference-instrumentation-anthropic==3.1.0",
    "openinference-instrumentation-langchain==0.1.80",
)
OPENLLMETRY = (
    *CLIENTS,
    "opentelemetry-instrumentation-openai==0.62.4",
    "opentelemetry-instrumentation-anthropic==0.62.4",
    "opentelemetry-instrumentation-langchain==0.62.4",
)
GENAI = (
    *CLIENTS,
    "opentelemetry-instrumentation-genai-openai==1.3b0",
    "opentelemetry-instrumentation-genai-anthropic==1.3b0",
    "opentelemetry-instrumentation-genai-langchain==1.3b0",
)

OI_OPENAI = "openinference.instrumentation.openai:OpenAIInstrumentor"
OI_ANTHROPIC = "openinference.instrumentation.anthropic:AnthropicInstrumentor"
OI_LANGCHAIN = "openinference.instrumentation.langchain:LangChainInstrumentor"
LL_OPENAI = "opentelemetry.instrumentation.openai:OpenAIInstrumentor"
LL_ANTHROPIC = "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor"
LL_LANGCHAIN = "opentelemetry.instrumentation.langchain:LangchainInstrumentor"
GA_OPENAI = "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor"
GA_ANTHROPIC = "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor"
GA_LANGCHAIN = "opentelemetry.instrumentation.genai.langchain:LangChainInstrumentor"

LITELLM = (
    "litellm==1.106.2",
    "openai==2.54.0",
    "mcp",
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-exporter-otlp-proto-http==1.45.2",
    "openinference-instrumentation-openai==0.1.66",
    "openinference-instrumentation-litellm==0.1.51",
    "opentelemetry-instrumentation-openai==0.62.4",
)
PYDANTIC_AI = (
    "pydantic-ai-slim[openai,anthropic]==2.68.0",
    "openai==3.54.0",
    "anthropic==2.12.0",
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-instrumentation-genai-openai==1.3b0",
    "openinference-instrumentation-pydantic-ai==0.1.30",
)
VERCEL = (
    "ai@7.0.173",
    "@ai-sdk/otel@1.0.173",
    "@ai-sdk/openai@3.0.141",
    "@ai-sdk/anthropic@3.0.140",
    "@opentelemetry/api",
    "@opentelemetry/context-async-hooks",
    "@opentelemetry/sdk-trace-base",
    "zod",
)
ADK = (
    "google-adk==2.13.0",
    "google-genai==2.34.0",
    "litellm==1.106.2",
    "mcp",
    "opentelemetry-sdk==1.44.0",
)
GOOGLE = (
    "google-genai==2.34.0",
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-instrumentation-google-genai==1.3b0",
    "openinference-instrumentation-google-genai==1.4.14",
    "opentelemetry-instrumentation-google-generativeai==0.62.4",
)
ADK_INSTRUMENTED = (
    *ADK,
    "openinference-instrumentation-google-adk==1.0.5",
    "opentelemetry-instrumentation-google-genai",
)
BEDROCK = (
    "boto3",
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-instrumentation-genai-bedrock==1.3b0",
    "opentelemetry-instrumentation-botocore==0.66b2",
    "opentelemetry-instrumentation-bedrock==0.62.4",
    "openinference-instrumentation-bedrock==0.1.61",
)
OPENLIT = ("openlit==1.45.0", "opentelemetry-sdk==1.45.1", "openai==2.54.0", "anthropic==0.125.0")
LANGFUSE = (
    "langfuse==5.0.4",
    "langsmith==0.15.0",
    "langchain==1.4.7",
    "langchain-openai==1.7.3",
    "langchain-anthropic==1.7.7",
    "openai==3.54.0",
    "anthropic==2.12.0",
    "opentelemetry-sdk==1.45.2",
)
OPENAI_V2 = (
    "opentelemetry-instrumentation-openai-v2==2.4b0",
    "opentelemetry-util-genai==0.4b0",
    "openai==2.54.0",
    "opentelemetry-sdk==1.45.2",
)
AGENTS = (
    "openai-agents==0.24.0",
    "opentelemetry-sdk==1.45.2",
    "openinference-instrumentation-openai-agents==2.6.0",
    "openinference-instrumentation-openai==0.1.66",
    "opentelemetry-instrumentation-openai-agents==0.62.4",
    "opentelemetry-instrumentation-genai-openai-agents==1.3b0",
    "opentelemetry-instrumentation-genai-openai==1.3b0",
)
STRANDS = ("strands-agents[openai,anthropic]==1.62.0",)
AGENT_FRAMEWORK = (
    "agent-framework-core==1.23.0",
    "agent-framework-openai==1.17.0",
    "openai==3.54.0",
    "opentelemetry-sdk==1.45.2",
)
SMOLAGENTS = (
    "smolagents[openai]==1.26.0",
    "opentelemetry-sdk==1.45.2",
    "openinference-instrumentation-smolagents==0.1.43",
    "openinference-instrumentation-openai==0.1.66",
)

OI_GOOGLE = "openinference.instrumentation.google_genai:GoogleGenAIInstrumentor"
OT_GOOGLE = "opentelemetry.instrumentation.google_genai:GoogleGenAiSdkInstrumentor"
LL_GOOGLE = "opentelemetry.instrumentation.google_generativeai:GoogleGenerativeAiInstrumentor"
OI_ADK = "openinference.instrumentation.google_adk:GoogleADKInstrumentor"
OI_BEDROCK = "openinference.instrumentation.bedrock:BedrockInstrumentor"
LL_BEDROCK = "opentelemetry.instrumentation.bedrock:BedrockInstrumentor"
GA_BEDROCK = "opentelemetry.instrumentation.genai.bedrock:BedrockInstrumentor"
OT_BOTOCORE = "opentelemetry.instrumentation.botocore:BotocoreInstrumentor"
OT_OPENAI_V2 = "opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor"
OI_AGENTS = "openinference.instrumentation.openai_agents:OpenAIAgentsInstrumentor"
LL_AGENTS = "opentelemetry.instrumentation.openai_agents:OpenAIAgentsInstrumentor"
GA_AGENTS = "opentelemetry.instrumentation.genai.openai_agents:OpenAIAgentsInstrumentor"
OI_SMOLAGENTS = "openinference.instrumentation.smolagents:SmolagentsInstrumentor"
OPENLIT_START = "openlit_start:OpenLIT"
OI_LITELLM = "openinference.instrumentation.litellm:LiteLLMInstrumentor"

# LiteLLM would else fetch its price list.
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
REQUEST_SPAN = {"USE_OTEL_LITELLM_REQUEST_SPAN": "true"}
LATEST = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}

# The Anthropic SDK traces itself whenever a global tracer provider is set.
QUIET = {"ANTHROPIC_OPEN_TELEMETRY": "false"}

GEMINI = {"GOOGLE_API_KEY": "none"}
LANGSMITH = {
    "LANGSMITH_TRACING": "true",
    "LANGSMITH_OTEL_ENABLED": "true",
    "LANGSMITH_OTEL_ONLY": "true",
    "LANGSMITH_API_KEY": "none",
}

SETUPS: Mapping[str, Setup] = {
    "langchain-openinference-both": Setup(
        driver="langchain_calls.py",
        requirements=OPENINFERENCE,
        instrumentors=(OI_OPENAI, OI_ANTHROPIC, OI_LANGCHAIN),
        environment=QUIET,
    ),
    "langchain-openllmetry-both": Setup(
        driver="langchain_calls.py",
        requirements=OPENLLMETRY,
        instrumentors=(LL_OPENAI, LL_ANTHROPIC, LL_LANGCHAIN),
        environment=QUIET,
    ),
    "anthropic-native-openinference": Setup(
        driver="anthropic_calls.py", requirements=OPENINFERENCE, instrumentors=(OI_ANTHROPIC,)
    ),
    "anthropic-native-openllmetry": Setup(
        driver="anthropic_calls.py", requirements=OPENLLMETRY, instrumentors=(LL_ANTHROPIC,)
    ),
    "anthropic-native-genai": Setup(
        driver="anthropic_calls.py", requirements=GENAI, instrumentors=(GA_ANTHROPIC,)
    ),
    "langchain-genai-both": Setup(
        driver="langchain_calls.py",
        requirements=GENAI,
        instrumentors=(GA_OPENAI, GA_ANTHROPIC, GA_LANGCHAIN),
        environment=QUIET,
    ),
    "langchain-genai": Setup(
        driver="langchain_calls.py", requirements=GENAI, instrumentors=(GA_LANGCHAIN,), environment=QUIET
    ),
    "litellm-latest": Setup(
        driver="litellm_calls.py", requirements=LITELLM, environment={**OFFLINE, **LATEST}
    ),
    "litellm-latest-reqspan": Setup(
        driver="litellm_calls.py", requirements=LITELLM, environment={**OFFLINE, **LATEST, **REQUEST_SPAN}
    ),
    "litellm-otel-openllmetry": Setup(
        driver="litellm_calls.py",
        requirements=LITELLM,
        instrumentors=(LL_OPENAI,),
        environment={**OFFLINE, **REQUEST_SPAN},
    ),
    "litellm-otel-openinference": Setup(
        driver="litellm_calls.py", requirements=LITELLM, instrumentors=(OI_OPENAI,), environment=OFFLINE
    ),
    "litellm-openinference": Setup(
        driver="litellm_calls.py",
        requirements=LITELLM,
        instrumentors=(OI_LITELLM,),
        environment=OFFLINE,
        arguments=("--no-callback",),
    ),
    "vercel-usage": Setup(driver="vercel_calls.mjs", requirements=VERCEL, arguments=("usage",)),
    "vercel-legacy": Setup(driver="vercel_calls.mjs", requirements=VERCEL, arguments=("legacy",)),
    "pydantic-ai-noagg": Setup(
        driver="pydantic_ai_calls.py",
        requirements=PYDANTIC_AI,
        environment={**QUIET, "CAPTURE_OPTIONS": '{"use_aggregated_usage_attribute_names": false}'},
    ),
    "pydantic-ai-genai-native": Setup(
        driver="pydantic_ai_calls.py", requirements=PYDANTIC_AI, instrumentors=(GA_OPENAI,)
    ),
    "google-adk": Setup(driver="adk_calls.py", requirements=ADK, environment={**OFFLINE, **GEMINI}),
    "google-genai-otel": Setup(
        driver="google_genai_calls.py", requirements=GOOGLE, instrumentors=(OT_GOOGLE,)
    ),
    "google-genai-openinference": Setup(
        driver="google_genai_calls.py", requirements=GOOGLE, instrumentors=(OI_GOOGLE,)
    ),
    "openlit-openai": Setup(driver="openai_calls.py", requirements=OPENLIT, instrumentors=(OPENLIT_START,)),
    "openlit-anthropic": Setup(
        driver="anthropic_calls.py", requirements=OPENLIT, instrumentors=(OPENLIT_START,), environment=QUIET
    ),
    "langfuse": Setup(driver="langfuse_calls.py", requirements=LANGFUSE, environment=QUIET),
    "langfuse-langchain": Setup(
        driver="langfuse_langchain_calls.py", requirements=LANGFUSE, environment=QUIET
    ),
    "langsmith": Setup(
        driver="langsmith_calls.py", requirements=LANGFUSE, environment={**QUIET, **LANGSMITH}
    ),
    "openinference-openai": Setup(
        driver="openai_calls.py", requirements=OPENINFERENCE, instrumentors=(OI_OPENAI,)
    ),
    "openinference-anthropic": Setup(
        driver="anthropic_calls.py",
        requirements=OPENINFERENCE,
        instrumentors=(OI_ANTHROPIC,),
        environment=QUIET,
    ),
    "genai-openai": Setup(driver="openai_calls.py", requirements=GENAI, instrumentors=(GA_OPENAI,)),
    "genai-anthropic": Setup(
        driver="anthropic_calls.py", requirements=GENAI, instrumentors=(GA_ANTHROPIC,), environment=QUIET
    ),
    "openllmetry-openai": Setup(
        driver="openai_calls.py", requirements=OPENLLMETRY, instrumentors=(LL_OPENAI,)
    ),
    "openai-v2": Setup(driver="openai_calls.py", requirements=OPENAI_V2, instrumentors=(OT_OPENAI_V2,)),
    "bedrock-genai": Setup(driver="bedrock_calls.py", requirements=BEDROCK, instrumentors=(GA_BEDROCK,)),
    "bedrock-openllmetry": Setup(
        driver="bedrock_calls.py", requirements=BEDROCK, instrumentors=(LL_BEDROCK,)
    ),
    "bedrock-openinference": Setup(
        driver="bedrock_calls.py", requirements=BEDROCK, instrumentors=(OI_BEDROCK,)
    ),
    "bedrock-botocore": Setup(driver="bedrock_calls.py", requirements=BEDROCK, instrumentors=(OT_BOTOCORE,)),
    "agents-openinference-both": Setup(
        driver="agents_sdk_calls.py",
        requirements=AGENTS,
        instrumentors=(
            OI_AGENTS,
            OI_OPENAI,
        ),
    ),
    "agents-openllmetry": Setup(
        driver="agents_sdk_calls.py", requirements=AGENTS, instrumentors=(LL_AGENTS,)
    ),
    "strands": Setup(driver="strands_calls.py", requirements=STRANDS, environment=QUIET),
    "smolagents-openinference-both": Setup(
        driver="smolagents_calls.py",
        requirements=SMOLAGENTS,
        instrumentors=(
            OI_SMOLAGENTS,
            OI_OPENAI,
        ),
    ),
    "agents-genai-both": Setup(
        driver="agents_sdk_calls.py", requirements=AGENTS, instrumentors=(GA_AGENTS, GA_OPENAI)
    ),
    "agent-framework": Setup(driver="agent_framework_calls.py", requirements=AGENT_FRAMEWORK),
    "google-adk-openinference": Setup(
        driver="adk_calls.py",
        requirements=ADK_INSTRUMENTED,
        instrumentors=(OI_ADK,),
        environment={**OFFLINE, **GEMINI},
    ),
    "google-genai-openllmetry": Setup(
        driver="google_genai_calls.py", requirements=GOOGLE, instrumentors=(LL_GOOGLE,)
    ),
}

"""Calls of pydantic-ai agents with its own instrumentation."""

import asyncio
import json
import os
from typing import Any

from anthropic import AsyncAnthropic
from harness import OPENAI_URL, URL, run_async_cases, start_tracing
from openai import AsyncOpenAI
from pydantic_ai import Agent, Embedder, InstrumentationSettings
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

OPENAI = OpenAIProvider(openai_client=AsyncOpenAI(base_url=OPENAI_URL, api_key="sk-none", max_retries=0))
ANTHROPIC = AnthropicProvider(anthropic_client=AsyncAnthropic(base_url=URL, api_key="none", max_retries=0))


def chat(model: str = "gpt-5") -> OpenAIChatModel:
    return OpenAIChatModel(model, provider=OPENAI)


def responses() -> OpenAIResponsesModel:
    return OpenAIResponsesModel("gpt-5", provider=OPENAI)


def claude() -> AnthropicModel:
    return AnthropicModel("claude-sonnet-4-5", provider=ANTHROPIC)


async def get_weather(city: str) -> str:
    """weather"""
    return f"sunny in {city}"


async def ask(model: Any, scenario: str, **settings: Any) -> None:
    await Agent(model, name="helper").run(f"hi scenario:{scenario}", model_settings=settings)


async def drain(model: Any, scenario: str) -> None:
    async with Agent(model, name="helper").run_stream(f"hi scenario:{scenario}") as result:
        await result.get_output()


async def abort(model: Any) -> None:
    async with Agent(model, name="helper").run_stream("hi scenario:stream_abort") as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            break


async def use_tool(model: Any) -> None:
    await Agent(model, name="helper", tools=[get_weather]).run("weather scenario:tool")


async def delegate() -> None:
    inner = Agent(chat("gpt-4o-mini"), name="inner")

    async def get_report(city: str) -> str:
        """report"""
        return (await inner.run(f"report of {city}, scenario:plain")).output

    await Agent(chat(), name="outer", tools=[get_report]).run("report scenario:tool")


async def together() -> None:
    await asyncio.gather(ask(chat(), "cached"), ask(chat(), "cached"))


async def embed() -> None:
    model = OpenAIEmbeddingModel("text-embedding-3-small", provider=OPENAI)
    await Embedder(model).embed_query("hi scenario:embeddings")


def main() -> None:
    provider = start_tracing()
    options = json.loads(os.environ.get("CAPTURE_OPTIONS", "{}"))
    settings = InstrumentationSettings(tracer_provider=provider, **options)
    Agent.instrument_all(settings)
    Embedder.instrument_all(settings)
    run_async_cases(
        {
            "pa.oa.plain": lambda: ask(chat("gpt-4o-mini"), "plain"),
            "pa.oa.cached": lambda: ask(chat(), "cached"),
            "pa.oa.cacheread": lambda: ask(chat(), "cacheread"),
            "pa.oa.cachewrite": lambda: ask(chat(), "cachewrite"),
            "pa.oa.audio": lambda: ask(chat("gpt-4o"), "audio"),
            "pa.oa.flex": lambda: ask(chat("gpt-5-mini"), "flex", openai_service_tier="flex"),
            "pa.oa.stream": lambda: drain(chat("gpt-4o"), "stream_usage"),
            "pa.oa.stream_abort": lambda: abort(chat("gpt-4o")),
            "pa.oa.responses": lambda: ask(responses(), "cached"),
            "pa.oa.responses_cachewrite": lambda: ask(responses(), "cachewrite"),
            "pa.oa.responses_stream": lambda: drain(responses(), "reasoning"),
            "pa.oa.err429": lambda: ask(chat("gpt-4o"), "err429"),
            "pa.oa.err500": lambda: ask(chat("gpt-4o"), "err500"),
            "pa.an.plain": lambda: ask(claude(), "plain"),
            "pa.an.cached": lambda: ask(claude(), "cached"),
            "pa.an.cachewrite": lambda: ask(claude(), "cachewrite"),
            "pa.an.thinking": lambda: ask(claude(), "thinking"),
            "pa.an.stream": lambda: drain(claude(), "stream_usage"),
            "pa.an.err529": lambda: ask(claude(), "err529"),
            "pa.agent_tool": lambda: use_tool(chat("gpt-4o-mini")),
            "pa.an.agent_tool": lambda: use_tool(claude()),
            "pa.delegate": delegate,
            "pa.together": together,
            "pa.emb": embed,
        }
    )


if __name__ == "__main__":
    main()

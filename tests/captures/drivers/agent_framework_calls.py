"""Calls of Microsoft's Agent Framework, which traces agents and chats itself."""

from typing import Any

from agent_framework import Agent
from agent_framework.observability import enable_instrumentation
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient
from harness import OPENAI_URL, run_async_cases, start_tracing
from openai import AsyncOpenAI

CLIENT = AsyncOpenAI(base_url=OPENAI_URL, api_key="sk-none", max_retries=0)


def get_weather(city: str) -> str:
    """weather"""
    return f"sunny in {city}"


def chat(model: str = "gpt-5") -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(model, async_client=CLIENT)


def responses(model: str = "gpt-5") -> OpenAIChatClient:
    return OpenAIChatClient(model, async_client=CLIENT)


async def ask(client: Any, scenario: str, *, tools: tuple[Any, ...] = ()) -> None:
    await Agent(client, name="helper", tools=list(tools)).run(f"hi scenario:{scenario}")


async def drain(client: Any, scenario: str) -> None:
    async for _ in Agent(client, name="helper").run(f"hi scenario:{scenario}", stream=True):
        pass


async def delegate() -> None:
    report = Agent(chat("gpt-4o-mini"), name="inner", description="report").as_tool(name="get_report")
    await ask(chat(), "tool", tools=(report,))


def main() -> None:
    start_tracing()
    enable_instrumentation(force=True)
    tools = (get_weather,)
    run_async_cases(
        {
            "af.chat.plain": lambda: ask(chat("gpt-4o-mini"), "plain"),
            "af.chat.cached": lambda: ask(chat(), "cached"),
            "af.chat.cachewrite": lambda: ask(chat(), "cachewrite"),
            "af.chat.stream": lambda: drain(chat("gpt-4o"), "stream_usage"),
            "af.chat.tool": lambda: ask(chat("gpt-4o-mini"), "tool", tools=tools),
            "af.chat.err429": lambda: ask(chat(), "err429"),
            "af.responses.cached": lambda: ask(responses(), "cached"),
            "af.responses.cachewrite": lambda: ask(responses(), "cachewrite"),
            "af.responses.stream": lambda: drain(responses(), "reasoning"),
            "af.responses.tool": lambda: ask(responses(), "tool", tools=tools),
            "af.delegate": delegate,
        }
    )


if __name__ == "__main__":
    main()

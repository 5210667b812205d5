"""Calls of the OpenAI Agents SDK: one agent, a tool, a handoff, streaming, both OpenAI interfaces."""

from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_trace_processors,
)
from harness import OPENAI_URL, run_async_cases, start_tracing
from openai import AsyncOpenAI

CLIENT = AsyncOpenAI(base_url=OPENAI_URL, api_key="sk-none", max_retries=0)


@function_tool
def get_weather(city: str) -> str:
    """weather"""
    return f"sunny in {city}"


def chat(model: str = "gpt-5") -> OpenAIChatCompletionsModel:
    return OpenAIChatCompletionsModel(model=model, openai_client=CLIENT)


def responses(model: str = "gpt-5") -> OpenAIResponsesModel:
    return OpenAIResponsesModel(model=model, openai_client=CLIENT)


async def ask(model: Any, scenario: str, *, tools: tuple[Any, ...] = (), **settings: Any) -> None:
    agent = Agent(name="helper", model=model, tools=list(tools), model_settings=ModelSettings(**settings))
    await Runner.run(agent, f"hi scenario:{scenario}", max_turns=3)


async def drain(model: Any, scenario: str, **settings: Any) -> None:
    agent = Agent(name="helper", model=model, model_settings=ModelSettings(**settings))
    async for _ in Runner.run_streamed(agent, f"hi scenario:{scenario}").stream_events():
        pass


async def delegate() -> None:
    inner = Agent(name="inner", model=responses("gpt-4o-mini"))
    report = inner.as_tool(tool_name="get_report", tool_description="report")
    await Runner.run(Agent(name="outer", model=responses(), tools=[report]), "hi scenario:tool", max_turns=3)


def main() -> None:
    set_trace_processors([])  # the SDK's own exporter would call OpenAI
    start_tracing()
    tools = (get_weather,)
    run_async_cases(
        {
            "ag.responses": lambda: ask(responses(), "cached"),
            "ag.responses_plain": lambda: ask(responses(), "plain"),
            "ag.responses_cachewrite": lambda: ask(responses(), "cachewrite"),
            "ag.responses_stream": lambda: drain(responses(), "reasoning"),
            "ag.responses_tool": lambda: ask(responses(), "tool", tools=tools),
            "ag.responses_err429": lambda: ask(responses(), "err429"),
            "ag.chat": lambda: ask(chat(), "cached"),
            "ag.chat_cachewrite": lambda: ask(chat(), "cachewrite"),
            "ag.chat_stream": lambda: drain(chat("gpt-4o"), "stream_usage", include_usage=True),
            "ag.chat_tool": lambda: ask(chat("gpt-4o-mini"), "tool", tools=tools),
            "ag.chat_err429": lambda: ask(chat(), "err429"),
            "ag.delegate": delegate,
        }
    )


if __name__ == "__main__":
    main()

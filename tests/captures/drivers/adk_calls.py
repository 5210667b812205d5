"""Calls of Google ADK agents: Gemini, and OpenAI and Anthropic through LiteLLM."""

import asyncio
import os
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models.lite_llm import LiteLlm
from google.adk.runners import InMemoryRunner
from google.genai import types
from harness import MAX_TOKENS, OPENAI_URL, URL, run_async_cases, start_tracing

GEMINI = "gemini-2.5-flash"


def get_weather(city: str) -> str:
    """weather"""
    return f"sunny in {city}"


def openai(model: str = "gpt-5") -> LiteLlm:
    return LiteLlm(model=f"openai/{model}", api_base=OPENAI_URL, api_key="sk-none", num_retries=0)


def anthropic() -> LiteLlm:
    model = "anthropic/claude-sonnet-4-5"
    return LiteLlm(model=model, api_base=URL, api_key="none", max_tokens=MAX_TOKENS, num_retries=0)


async def ask(model: Any, scenario: str, *, tools: tuple[Any, ...] = (), stream: bool = False) -> None:
    agent = LlmAgent(name="weather_agent", model=model, tools=list(tools))
    runner = InMemoryRunner(agent=agent, app_name="capture")
    session = await runner.session_service.create_session(app_name="capture", user_id="user-42")
    message = types.Content(role="user", parts=[types.Part(text=f"hi scenario:{scenario}")])
    config = RunConfig(streaming_mode=StreamingMode.SSE if stream else StreamingMode.NONE)
    events = runner.run_async(
        user_id="user-42", session_id=session.id, new_message=message, run_config=config
    )
    _ = [event async for event in events]


async def together() -> None:
    await asyncio.gather(ask(GEMINI, "cached"), ask(GEMINI, "cached"))


def main() -> None:
    os.environ["GOOGLE_GEMINI_BASE_URL"] = URL
    start_tracing()
    tools = (get_weather,)
    run_async_cases(
        {
            "adk.gemini.plain": lambda: ask(GEMINI, "plain"),
            "adk.gemini.cached": lambda: ask(GEMINI, "cached"),
            "adk.gemini.thinking": lambda: ask(GEMINI, "thinking"),
            "adk.gemini.stream": lambda: ask(GEMINI, "stream_usage", stream=True),
            "adk.gemini.tool": lambda: ask(GEMINI, "tool", tools=tools),
            "adk.gemini.together": together,
            "adk.gemini.err429": lambda: ask(GEMINI, "err429"),
            "adk.litellm.openai": lambda: ask(openai(), "cached"),
            "adk.litellm.openai_cachewrite": lambda: ask(openai(), "cachewrite"),
            "adk.litellm.openai_plain": lambda: ask(openai("gpt-4o-mini"), "plain"),
            "adk.litellm.openai_reasoning": lambda: ask(openai(), "reasoning"),
            "adk.litellm.openai_stream": lambda: ask(openai("gpt-4o"), "stream_usage", stream=True),
            "adk.litellm.openai_tool": lambda: ask(openai("gpt-4o-mini"), "tool", tools=tools),
            "adk.litellm.anthropic": lambda: ask(anthropic(), "cached"),
            "adk.litellm.anthropic_thinking": lambda: ask(anthropic(), "thinking"),
            "adk.litellm.anthropic_stream": lambda: ask(anthropic(), "stream_usage", stream=True),
            "adk.litellm.err429": lambda: ask(openai(), "err429"),
        }
    )


if __name__ == "__main__":
    main()

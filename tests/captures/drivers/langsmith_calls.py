"""LangSmith's wrapped clients and its LangChain tracer, in OpenTelemetry mode."""

from typing import Any

import anthropic_calls
import openai_calls
from anthropic import Anthropic
from harness import OPENAI_URL, URL, run_cases, start_tracing
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from langsmith import Client
from langsmith.wrappers import wrap_anthropic, wrap_openai
from openai import AsyncOpenAI, OpenAI

OPENAI = {"base_url": OPENAI_URL, "api_key": "sk-none", "max_retries": 0}
ANTHROPIC = {"base_url": URL, "api_key": "none", "max_retries": 0}


def ask(model: Any, scenario: str) -> None:
    model.invoke(f"hi scenario:{scenario}")


def langchain_cases() -> None:
    claude = ChatAnthropic(model="claude-sonnet-4-5", max_tokens=100, **ANTHROPIC)
    run_cases(
        {
            "ls.lc.plain": lambda: ask(ChatOpenAI(model="gpt-4o-mini", **OPENAI), "plain"),
            "ls.lc.cached": lambda: ask(ChatOpenAI(model="gpt-5", **OPENAI), "cached"),
            "ls.lc.cachewrite": lambda: ask(ChatOpenAI(model="gpt-5", **OPENAI), "cachewrite"),
            "ls.lc.an.cached": lambda: ask(claude, "cached"),
        }
    )


def main() -> None:
    provider = start_tracing()
    client = Client(api_url=URL, tracing_error_callback=lambda _: None)
    openai = {"tracing_extra": {"client": client}}
    openai_calls.all_cases(
        wrap_openai(OpenAI(**OPENAI), **openai), wrap_openai(AsyncOpenAI(**OPENAI), **openai)
    )
    calls = anthropic_calls.Calls(wrap_anthropic(Anthropic(**ANTHROPIC), **openai))
    anthropic_calls.plain_cases(calls)
    langchain_cases()
    client.flush()
    provider.force_flush()


if __name__ == "__main__":
    main()

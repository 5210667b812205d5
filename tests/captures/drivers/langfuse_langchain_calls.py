"""Calls of LangChain with Langfuse's callback handler."""

import os
from typing import Any

from harness import MAX_TOKENS, OPENAI_URL, URL, run_cases, start_tracing
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from langfuse import Langfuse
from langfuse.langchain import CallbackHandler

OPENAI = {"base_url": OPENAI_URL, "api_key": "sk-none", "max_retries": 0}


def start_langfuse() -> None:
    """Sends Langfuse's spans to the harness; its own exporter talks to the fake provider, which refuses."""
    os.environ |= {"LANGFUSE_PUBLIC_KEY": "none", "LANGFUSE_SECRET_KEY": "none", "LANGFUSE_BASE_URL": URL}
    Langfuse(tracer_provider=start_tracing())


def openai(model: str, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(model=model, **OPENAI, **options)


def anthropic() -> ChatAnthropic:
    options = {"base_url": URL, "api_key": "none", "max_retries": 0, "max_tokens": MAX_TOKENS}
    return ChatAnthropic(model="claude-sonnet-4-5", **options)


def langchain_cases() -> None:
    """Runs every case with a handler."""
    callbacks = {"callbacks": [CallbackHandler()]}

    def ask(model: Any, scenario: str) -> None:
        model.invoke(f"hi scenario:{scenario}", config=callbacks)

    def drain(model: Any, scenario: str) -> None:
        list(model.stream(f"hi scenario:{scenario}", config=callbacks))

    run_cases(
        {
            "lf.lc.plain": lambda: ask(openai("gpt-4o-mini"), "plain"),
            "lf.lc.cached": lambda: ask(openai("gpt-5"), "cached"),
            "lf.lc.cachewrite": lambda: ask(openai("gpt-5"), "cachewrite"),
            "lf.lc.audio": lambda: ask(openai("gpt-4o"), "audio"),
            "lf.lc.flex": lambda: ask(openai("gpt-5-mini", service_tier="flex"), "flex"),
            "lf.lc.priority": lambda: ask(openai("gpt-5", service_tier="priority"), "priority"),
            "lf.lc.stream": lambda: drain(openai("gpt-4o", stream_usage=True), "stream_usage"),
            "lf.lc.stream_nousage": lambda: drain(openai("gpt-4o", stream_usage=False), "stream_nousage"),
            "lf.lc.responses": lambda: ask(openai("gpt-5", use_responses_api=True), "cached"),
            "lf.lc.err429": lambda: ask(openai("gpt-5"), "err429"),
            "lf.lc.an.plain": lambda: ask(anthropic(), "plain"),
            "lf.lc.an.cached": lambda: ask(anthropic(), "cached"),
            "lf.lc.an.cachewrite": lambda: ask(anthropic(), "cachewrite"),
            "lf.lc.an.thinking": lambda: ask(anthropic(), "thinking"),
            "lf.lc.an.stream": lambda: drain(anthropic(), "stream_usage"),
            "lf.lc.an.err529": lambda: ask(anthropic(), "err529"),
        }
    )


def main() -> None:
    start_langfuse()
    langchain_cases()


if __name__ == "__main__":
    main()

"""Calls of LiteLLM with its own OpenTelemetry callback, which reports after the call has returned."""

import asyncio
import sys
import time
from typing import Any

import litellm
from harness import MAX_TOKENS, OPENAI_URL, URL, case, run_async_cases, run_cases, start_tracing
from litellm.integrations.opentelemetry import OpenTelemetry
from opentelemetry import trace

LOGGING_SECONDS = 0.5  # how long the callback's threads take at most
USAGE = {"include_usage": True}


def openai(model: str) -> dict[str, Any]:
    return {"model": f"openai/{model}", "api_base": OPENAI_URL, "api_key": "sk-none", "max_retries": 0}


def anthropic(model: str = "claude-sonnet-4-5") -> dict[str, Any]:
    options = {"api_base": URL, "api_key": "none", "max_retries": 0, "max_tokens": MAX_TOKENS}
    return {"model": f"anthropic/{model}", **options}


def gemini() -> dict[str, Any]:
    model = "gemini-2.5-flash"
    return {"model": f"gemini/{model}", "api_base": f"{URL}/v1beta/models/{model}", "api_key": "none"}


def prompt(scenario: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"hi scenario:{scenario}"}]


def complete(scenario: str, **options: Any) -> Any:
    return litellm.completion(messages=prompt(scenario), **options)


def logged(call: Any) -> Any:
    """Returns the call made to wait, under its parent span, until the callback has run."""

    def run() -> None:
        try:
            call()
        finally:
            time.sleep(LOGGING_SECONDS)

    return run


def embed() -> None:
    litellm.embedding(input=["hi scenario:embeddings"], **openai("text-embedding-3-small"))


def respond() -> None:
    litellm.responses(input="hi scenario:cached", **openai("gpt-5"))


def twice() -> None:
    for scenario in ("plain", "cached"):
        logged(lambda scenario=scenario: complete(scenario, **openai("gpt-5")))()


def under_inner_span() -> None:
    with trace.get_tracer("app").start_as_current_span("handle request"):
        logged(lambda: complete("cached", **openai("gpt-5")))()


def openai_cases() -> None:
    cases = {
        "ll.oa.plain": lambda: complete("plain", user="user-42", **openai("gpt-4o-mini")),
        "ll.oa.cached": lambda: complete("cached", **openai("gpt-5")),
        "ll.oa.cacheread": lambda: complete("cacheread", **openai("gpt-5")),
        "ll.oa.cachewrite": lambda: complete("cachewrite", **openai("gpt-5")),
        "ll.oa.reasoning": lambda: complete("reasoning", **openai("gpt-5")),
        "ll.oa.flex": lambda: complete("flex", service_tier="flex", **openai("gpt-5-mini")),
        "ll.oa.stream_usage": lambda: list(
            complete("stream_usage", stream=True, stream_options=USAGE, **openai("gpt-4o"))
        ),
        "ll.oa.stream_nousage": lambda: list(complete("stream_nousage", stream=True, **openai("gpt-4o"))),
        "ll.oa.err429": lambda: complete("err429", **openai("gpt-4o-mini")),
        "ll.oa.err500": lambda: complete("err500", **openai("gpt-4o-mini")),
        "ll.emb": embed,
        "ll.oa.responses": respond,
    }
    run_cases({name: logged(call) for name, call in cases.items()})


def other_cases() -> None:
    cases = {
        "ll.an.plain": lambda: complete("plain", **anthropic("claude-haiku-4-5")),
        "ll.an.cached": lambda: complete("cached", **anthropic()),
        "ll.an.cachewrite": lambda: complete("cachewrite", **anthropic()),
        "ll.an.thinking": lambda: complete("thinking", **anthropic()),
        "ll.an.stream": lambda: list(complete("stream_usage", stream=True, **anthropic())),
        "ll.an.err529": lambda: complete("err529", **anthropic()),
        "ll.gem.cached": lambda: complete("cached", **gemini()),
    }
    run_cases({name: logged(call) for name, call in cases.items()})


def parent_cases() -> None:
    """Calls whose parent has one child, two, none that is current, or ends before the callback runs."""
    run_cases({"ll.two_calls": twice, "ll.inner_span": under_inner_span})
    for name, call in (
        ("ll.parent_first", lambda: complete("cached", **openai("gpt-5"))),
        ("ll.an.parent_first", lambda: complete("cached", **anthropic())),
    ):
        with case(name):
            call()
        time.sleep(LOGGING_SECONDS)


def async_cases() -> None:
    async def call(**options: Any) -> None:
        await litellm.acompletion(messages=prompt("cached"), **options)
        await asyncio.sleep(LOGGING_SECONDS)

    async def together() -> None:
        await asyncio.gather(call(**openai("gpt-5")), call(**anthropic()))

    run_async_cases({"ll.oa.async": lambda: call(**openai("gpt-5")), "ll.async_together": together})


def main() -> None:
    provider = start_tracing()
    if "--no-callback" not in sys.argv:
        litellm.callbacks = [OpenTelemetry(tracer_provider=provider)]
    openai_cases()
    other_cases()
    parent_cases()
    async_cases()


if __name__ == "__main__":
    main()

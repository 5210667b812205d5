"""Calls of LangChain's OpenAI and Anthropic models, a chain, and an agent with a tool."""

import asyncio
from typing import Any

from harness import MAX_TOKENS, OPENAI_URL, URL, run_async_cases, run_cases, start_tracing
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

OPENAI = {"base_url": OPENAI_URL, "api_key": "sk-none", "max_retries": 0}


@tool
def get_weather(city: str) -> str:
    """weather"""
    return f"sunny in {city}"


def openai(model: str, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(model=model, **OPENAI, **options)


def anthropic(**options: Any) -> ChatAnthropic:
    options = {"max_tokens": MAX_TOKENS, **options}
    return ChatAnthropic(model="claude-sonnet-4-5", base_url=URL, api_key="none", max_retries=0, **options)


def ask(model: Any, scenario: str, **options: Any) -> None:
    model.invoke(f"hi scenario:{scenario}", **options)


def drain(model: Any, scenario: str) -> None:
    list(model.stream(f"hi scenario:{scenario}"))


def abort(model: Any) -> None:
    stream = model.stream("hi scenario:stream_abort")
    for number, _ in enumerate(stream):
        if number == 3:
            break
    stream.close()


def chain() -> None:
    prompt = ChatPromptTemplate.from_messages([("user", "{question}")])
    (prompt | openai("gpt-4o-mini") | StrOutputParser()).invoke({"question": "hi scenario:plain"})


def agent(model: Any) -> None:
    create_agent(model, [get_weather]).invoke({"messages": [("user", "weather scenario:tool")]})


def openai_cases() -> None:
    run_cases(
        {
            "lc.oa.plain": lambda: ask(openai("gpt-4o-mini"), "plain"),
            "lc.oa.cached": lambda: ask(openai("gpt-5"), "cached"),
            "lc.oa.cacheread": lambda: ask(openai("gpt-5"), "cacheread"),
            "lc.oa.cachewrite": lambda: ask(openai("gpt-5"), "cachewrite"),
            "lc.oa.reasoning": lambda: ask(openai("gpt-5"), "reasoning"),
            "lc.oa.flex": lambda: ask(openai("gpt-5-mini", service_tier="flex"), "flex"),
            "lc.oa.priority": lambda: ask(openai("gpt-5", service_tier="priority"), "priority"),
            "lc.oa.audio": lambda: ask(openai("gpt-4o"), "audio"),
            "lc.oa.chain": chain,
            "lc.oa.stream": lambda: drain(openai("gpt-4o", stream_usage=True), "stream_usage"),
            "lc.oa.stream_nousage": lambda: drain(openai("gpt-4o", stream_usage=False), "stream_nousage"),
            "lc.oa.stream_abort": lambda: abort(openai("gpt-4o", stream_usage=True)),
            "lc.oa.responses": lambda: ask(openai("gpt-5", use_responses_api=True), "cached"),
            "lc.oa.responses_plain": lambda: ask(openai("gpt-5", use_responses_api=True), "plain"),
            "lc.oa.responses_cachewrite": lambda: ask(openai("gpt-5", use_responses_api=True), "cachewrite"),
            "lc.oa.responses_stream": lambda: drain(openai("gpt-5", use_responses_api=True), "reasoning"),
            "lc.oa.err429": lambda: ask(openai("gpt-4o"), "err429"),
            "lc.oa.stream_err500": lambda: drain(openai("gpt-4o"), "err500"),
            "lc.oa.batch": lambda: openai("gpt-4o-mini").batch(["hi scenario:plain"] * 2),
            "lc.emb": lambda: OpenAIEmbeddings(
                model="text-embedding-3-small", check_embedding_ctx_length=False, **OPENAI
            ).embed_query("hi scenario:embeddings"),
        }
    )


def anthropic_cases() -> None:
    thinking = {"max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    run_cases(
        {
            "lc.an.plain": lambda: ask(anthropic(), "plain"),
            "lc.an.cached": lambda: ask(anthropic(), "cached"),
            "lc.an.cacheread": lambda: ask(anthropic(), "cacheread"),
            "lc.an.cachewrite": lambda: ask(anthropic(), "cachewrite"),
            "lc.an.warm": lambda: ask(anthropic(), "warm"),
            "lc.an.thinking": lambda: ask(anthropic(**thinking), "thinking"),
            "lc.an.stream": lambda: drain(anthropic(), "stream_usage"),
            "lc.an.stream_abort": lambda: abort(anthropic()),
            "lc.an.err": lambda: ask(anthropic(), "err529"),
            "lc.an.agent": lambda: agent(anthropic()),
            "lc.agent": lambda: agent(openai("gpt-4o-mini")),
            "lc.agent_responses": lambda: agent(openai("gpt-5", use_responses_api=True)),
        }
    )


def async_cases() -> None:
    async def together(model: Any) -> None:
        await asyncio.gather(model.ainvoke("hi scenario:cached"), model.ainvoke("hi scenario:cached"))

    async def stream(model: Any) -> None:
        _ = [chunk async for chunk in model.astream("hi scenario:stream_usage")]

    run_async_cases(
        {
            "lc.oa.async": lambda: openai("gpt-5").ainvoke("hi scenario:cached"),
            "lc.oa.async_stream": lambda: stream(openai("gpt-4o", stream_usage=True)),
            "lc.oa.async_together": lambda: together(openai("gpt-5")),
            "lc.an.async": lambda: anthropic().ainvoke("hi scenario:cached"),
            "lc.an.async_stream": lambda: stream(anthropic()),
        }
    )


def main() -> None:
    start_tracing()
    openai_cases()
    anthropic_cases()
    async_cases()


if __name__ == "__main__":
    main()

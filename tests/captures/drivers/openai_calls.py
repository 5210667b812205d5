"""Calls of the OpenAI SDK; other drivers hand in wrapped clients."""

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from harness import MAX_TOKENS, OPENAI_URL, URL, run_async_cases, run_cases, start_tracing
from openai import AsyncOpenAI, AzureOpenAI, OpenAI

TOOL = {
    "name": "get_weather",
    "description": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CHAT_TOOLS = [{"type": "function", "function": TOOL}]
USAGE = {"include_usage": True}


def messages(scenario: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": "be brief"}, {"role": "user", "content": f"hi scenario:{scenario}"}]


class Calls:
    """The cases of one synchronous client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def chat(self, scenario: str, model: str = "gpt-4o-mini", **options: Any) -> Any:
        return self._client.chat.completions.create(model=model, messages=messages(scenario), **options)

    def respond(self, scenario: str, **options: Any) -> Any:
        return self._client.responses.create(model="gpt-5", input=f"hi scenario:{scenario}", **options)

    def drain(self, scenario: str, **options: Any) -> None:
        list(self.chat(scenario, "gpt-4o", stream=True, **options))

    def abort(self, *, close: bool) -> None:
        stream = self.chat("stream_abort", "gpt-4o", stream=True, stream_options=USAGE)
        for number, _ in enumerate(stream):
            if number == 3:
                break
        if close:
            stream.close()
        del stream
        gc.collect()  # here: a stream that is collected while the client opens another can lock up

    def drain_in_context(self) -> None:
        with self.chat("stream_usage", "gpt-4o", stream=True, stream_options=USAGE) as stream:
            list(stream)

    def drain_helper(self) -> None:
        with self._client.chat.completions.stream(
            model="gpt-4o", messages=messages("stream_usage"), stream_options=USAGE
        ) as stream:
            stream.until_done()

    def drain_responses_helper(self) -> None:
        with self._client.responses.stream(model="gpt-5", input="hi scenario:cached") as stream:
            stream.until_done()

    def raw(self) -> None:
        create = self._client.chat.completions.with_raw_response.create
        create(model="gpt-4o-mini", messages=messages("plain")).parse()

    def embed(self) -> None:
        self._client.embeddings.create(model="text-embedding-3-small", input="hi scenario:embeddings")

    def twice(self) -> None:
        for _ in range(2):
            self.chat("plain")

    def together(self) -> None:
        contexts = [copy_context(), copy_context()]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda context: context.run(self.chat, "plain"), contexts))

    def tool_loop(self) -> None:
        asked = messages("tool")
        create = self._client.chat.completions.create
        message = create(model="gpt-4o-mini", messages=asked, tools=CHAT_TOOLS).choices[0].message
        call = message.tool_calls[0].model_dump()
        answer = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
        told = [*asked, {"role": "assistant", "tool_calls": [call]}, answer]
        create(model="gpt-4o-mini", messages=told, tools=CHAT_TOOLS)


def chat_cases(calls: Calls) -> None:
    run_cases(
        {
            "oa.plain": lambda: calls.chat("plain", max_tokens=MAX_TOKENS, temperature=0.2, user="user-42"),
            "oa.cached": lambda: calls.chat("cached", "gpt-5"),
            "oa.cacheread": lambda: calls.chat("cacheread", "gpt-5"),
            "oa.cachewrite": lambda: calls.chat("cachewrite", "gpt-5"),
            "oa.warm": lambda: calls.chat("warm", "gpt-4o"),
            "oa.reasoning": lambda: calls.chat("reasoning", "gpt-5"),
            "oa.flex": lambda: calls.chat("flex", "gpt-5-mini", service_tier="flex"),
            "oa.priority": lambda: calls.chat("priority", "gpt-5", service_tier="priority"),
            "oa.audio": lambda: calls.chat("audio", "gpt-4o"),
            "oa.tool": calls.tool_loop,
            "oa.twice": calls.twice,
            "oa.together": calls.together,
            "oa.raw_response": calls.raw,
            "oa.embeddings": calls.embed,
        }
    )


def stream_cases(calls: Calls) -> None:
    run_cases(
        {
            "oa.stream_usage": lambda: calls.drain("stream_usage", stream_options=USAGE),
            "oa.stream_nousage": lambda: calls.drain("stream_nousage"),
            "oa.stream_tool": lambda: calls.drain("tool", stream_options=USAGE, tools=CHAT_TOOLS),
            "oa.stream_abort": lambda: calls.abort(close=True),
            "oa.stream_abort_noclose": lambda: calls.abort(close=False),
            "oa.stream_ctxmgr": calls.drain_in_context,
            "oa.stream_helper": calls.drain_helper,
        }
    )


def error_cases(calls: Calls) -> None:
    run_cases(
        {
            "oa.err429": lambda: calls.chat("err429"),
            "oa.err500": lambda: calls.chat("err500"),
            "oa.stream_err429": lambda: calls.drain("err429"),
            "oa.responses_err429": lambda: calls.respond("err429"),
        }
    )


def response_cases(calls: Calls) -> None:
    tools = [{"type": "function", "strict": False, **TOOL}]
    run_cases(
        {
            "oa.responses": lambda: calls.respond("cached"),
            "oa.responses_plain": lambda: calls.respond("plain"),
            "oa.responses_cachewrite": lambda: calls.respond("cachewrite"),
            "oa.responses_flex": lambda: calls.respond("flex", service_tier="flex"),
            "oa.responses_tool": lambda: calls.respond("tool", tools=tools),
            "oa.responses_stream": lambda: list(calls.respond("cached", stream=True)),
            "oa.responses_stream_helper": calls.drain_responses_helper,
        }
    )


def async_cases(client: Any) -> None:
    async def chat(scenario: str, model: str) -> None:
        await client.chat.completions.create(model=model, messages=messages(scenario))

    async def stream() -> None:
        chunks = await client.chat.completions.create(
            model="gpt-4o", messages=messages("stream_usage"), stream=True, stream_options=USAGE
        )
        _ = [chunk async for chunk in chunks]

    async def together() -> None:
        await asyncio.gather(chat("plain", "gpt-4o-mini"), chat("plain", "gpt-4o-mini"))

    run_async_cases(
        {
            "oa.async": lambda: chat("cached", "gpt-5"),
            "oa.async_stream": stream,
            "oa.async_together": together,
        }
    )


def azure_case(client: Any) -> None:
    run_cases({"azure.plain": lambda: Calls(client).chat("plain", "my-gpt4o-deploy")})


def all_cases(client: Any, async_client: Any, azure_client: Any = None) -> None:
    """Runs every case with the clients given."""
    calls = Calls(client)
    for cases in (chat_cases, stream_cases, error_cases, response_cases):
        cases(calls)
    async_cases(async_client)
    if azure_client is not None:
        azure_case(azure_client)


def main() -> None:
    start_tracing()
    options = {"base_url": OPENAI_URL, "api_key": "sk-none", "max_retries": 0}
    azure = AzureOpenAI(azure_endpoint=URL, api_key="none", api_version="2024-10-21", max_retries=0)
    all_cases(OpenAI(**options), AsyncOpenAI(**options), azure)


if __name__ == "__main__":
    main()

"""Calls of the Anthropic SDK."""

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from anthropic import Anthropic, AsyncAnthropic
from harness import MAX_TOKENS, URL, run_async_cases, run_cases, start_tracing

TOOLS = [
    {
        "name": "get_weather",
        "description": "weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]
THINKING = {"type": "enabled", "budget_tokens": 1024}


def request(scenario: str, model: str = "claude-sonnet-4-5", **options: Any) -> dict[str, Any]:
    prompt = [{"role": "user", "content": f"hi scenario:{scenario}"}]
    return {"model": model, "max_tokens": MAX_TOKENS, "messages": prompt, **options}


class Calls:
    """The cases of one synchronous client."""

    def __init__(self, client: Any) -> None:
        self._messages = client.messages
        self._beta = client.beta.messages

    def create(self, scenario: str, model: str = "claude-sonnet-4-5", **options: Any) -> Any:
        return self._messages.create(**request(scenario, model, **options))

    def drain(self, scenario: str) -> None:
        list(self.create(scenario, stream=True))

    def drain_helper(self, scenario: str) -> None:
        with self._messages.stream(**request(scenario)) as stream:
            stream.get_final_message()

    def abort(self, *, close: bool) -> None:
        stream = self.create("stream_abort", stream=True)
        for number, _ in enumerate(stream):
            if number == 5:
                break
        if close:
            stream.close()
        del stream
        gc.collect()  # here: a stream that is collected while the client opens another can lock up

    def abort_helper(self) -> None:
        with self._messages.stream(**request("stream_abort")) as stream:
            for number, _ in enumerate(stream.text_stream):
                if number == 3:
                    break

    def raw(self) -> None:
        self._messages.with_raw_response.create(**request("cached")).parse()

    def beta(self) -> None:
        self._beta.create(**request("cachewrite"))

    def twice(self) -> None:
        for _ in range(2):
            self.create("plain", "claude-haiku-4-5")

    def together(self) -> None:
        contexts = [copy_context(), copy_context()]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda context: context.run(self.create, "cached"), contexts))

    def tool_loop(self) -> None:
        asked = request("tool", tools=TOOLS)
        content = [block.model_dump() for block in self._messages.create(**asked).content]
        answer = {"type": "tool_result", "tool_use_id": content[0]["id"], "content": "sunny"}
        asked["messages"] += [
            {"role": "assistant", "content": content},
            {"role": "user", "content": [answer]},
        ]
        self._messages.create(**asked)


def plain_cases(calls: Calls) -> None:
    search = [{"type": "web_search_20250305", "name": "web_search"}]
    run_cases(
        {
            "an.plain": lambda: calls.create("plain", "claude-haiku-4-5"),
            "an.cached": lambda: calls.create("cached", metadata={"user_id": "user-42"}),
            "an.cacheread": lambda: calls.create("cacheread"),
            "an.cachewrite": lambda: calls.create("cachewrite"),
            "an.warm": lambda: calls.create("warm"),
            "an.thinking": lambda: calls.create("thinking", max_tokens=2048, thinking=THINKING),
            "an.reasoning": lambda: calls.create("reasoning", max_tokens=2048, thinking=THINKING),
            "an.priority": lambda: calls.create("priority", service_tier="auto"),
            "an.websearch": lambda: calls.create("websearch", tools=search),
            "an.tool": calls.tool_loop,
            "an.twice": calls.twice,
            "an.together": calls.together,
            "an.raw_response": calls.raw,
            "an.beta": calls.beta,
        }
    )


def stream_cases(calls: Calls) -> None:
    run_cases(
        {
            "an.stream_plain": lambda: calls.drain("stream_plain"),
            "an.stream_cached": lambda: calls.drain("stream_usage"),
            "an.stream_thinking": lambda: calls.drain("thinking"),
            "an.stream_helper": lambda: calls.drain_helper("stream_usage"),
            "an.stream_abort": lambda: calls.abort(close=True),
            "an.stream_abort_noclose": lambda: calls.abort(close=False),
            "an.stream_helper_abort": calls.abort_helper,
        }
    )


def error_cases(calls: Calls) -> None:
    run_cases(
        {
            "an.err429": lambda: calls.create("err429"),
            "an.err529": lambda: calls.create("err529"),
            "an.stream_err529": lambda: calls.drain("err529"),
        }
    )


def async_cases(client: Any) -> None:
    async def create(scenario: str) -> None:
        await client.messages.create(**request(scenario))

    async def stream() -> None:
        events = await client.messages.create(**request("stream_usage", stream=True))
        _ = [event async for event in events]

    async def helper() -> None:
        async with client.messages.stream(**request("stream_usage")) as stream:
            await stream.get_final_message()

    async def together() -> None:
        await asyncio.gather(create("cached"), create("cached"))

    run_async_cases(
        {
            "an.async": lambda: create("cached"),
            "an.async_stream": stream,
            "an.async_stream_helper": helper,
            "an.async_together": together,
        }
    )


def all_cases(client: Any, async_client: Any) -> None:
    """Runs every case with the clients given."""
    calls = Calls(client)
    for cases in (plain_cases, stream_cases, error_cases):
        cases(calls)
    async_cases(async_client)


def main() -> None:
    start_tracing()
    options = {"base_url": URL, "api_key": "none", "max_retries": 0}
    all_cases(Anthropic(**options), AsyncAnthropic(**options))


if __name__ == "__main__":
    main()

"""Two fake providers, a ledger with hard budgets, and SpanBudget around the real SDKs."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import anthropic
import openai
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from ready_ledger import put_ledger

import spanbudget
from spanbudget.exporter.config import Config, parse_config
from spanbudget.exporter.demo.provider import Answered, FakeProvider
from spanbudget.exporter.demo.truth import Comparison, compare, standing
from spanbudget.exporter.instrument import current_pipeline
from spanbudget.exporter.ledger import open_ledger
from spanbudget.processors.call import PricedCall
from spanbudget.processors.money import usd_to_pico

GPT: Final[dict[str, Any]] = {"model": "gpt-4o", "max_tokens": 500}
HAIKU: Final[dict[str, Any]] = {"model": "claude-haiku-4-5", "max_tokens": 2000}
RATES: Final = {
    "gpt-4o": ("2.5", "1.25", "0", "10"),
    "text-embedding-3-small": ("0.02", "0", "0", "0"),
    "claude-haiku-4-5": ("1", "0.1", "1.25", "5"),
}
"""USD per million tokens: input, cache read, cache write for five minutes, output."""
BUDGETS: Final = """
  - {name: all, max_cost: 100, period: total, hard_limit: true}
  - {name: desk, match: {service.name: desk}, max_cost: 50, period: total, hard_limit: true}
  - {name: per-user, per: [user], max_cost: 10, period: daily, hard_limit: true}
"""


@dataclass
class World:
    """What a test has.

    Attributes:
        config: What SpanBudget runs with.
        openai_log: Answers as OpenAI, and keeps a log.
        anthropic_log: Answers as Anthropic.
        tracers: The application's tracer provider.
        pipeline: SpanBudget's.
        gpt: A client of the one.
        claude: A client of the other.
    """

    config: Config
    openai_log: FakeProvider
    anthropic_log: FakeProvider
    tracers: TracerProvider
    pipeline: spanbudget.Pipeline
    gpt: openai.OpenAI
    claude: anthropic.Anthropic

    @property
    def answered(self) -> tuple[Answered, ...]:
        """Every request that was answered."""
        return (*self.openai_log.answered, *self.anthropic_log.answered)

    @property
    def billed(self) -> list[Answered]:
        """What the providers bill."""
        return [one for one in self.answered if one.billed]

    def calls(self) -> list[PricedCall]:
        """The standing calls of the ledger."""
        assert self.pipeline.flush()
        ledger = open_ledger(self.config.ledger.url)
        try:
            return standing(ledger.entries())
        finally:
            ledger.close()

    def compared(self) -> Comparison:
        """The ledger beside the providers' logs."""
        return compare(self.calls(), self.answered)

    def spent(self, budget: str, child: str = "") -> tuple[int, int, int]:
        """Spent pico-USD, calls, and reserved pico-USD of a budget."""
        assert self.pipeline.flush()
        found = [one for one in self.pipeline.budget_states() if (one.budget, one.child) == (budget, child)]
        return (found[0].spent.cost, found[0].spent.requests, found[0].reserved) if found else (0, 0, 0)


def bill_of(answered: Sequence[Answered]) -> int:
    """What the requests cost by the price list above, pico-USD."""
    total = Decimal(0)
    for one in answered:
        counts = one.question.counts
        fresh, read, write, output = map(Decimal, RATES[one.question.model])
        total += counts.uncached_input * fresh + counts.cache_read * read + counts.cache_write_5m * write
        total += counts.cache_write_1h * fresh * 2 + counts.output * output
    return usd_to_pico(total / 1_000_000)


class Late(SpanProcessor):
    """Keeps a span back until what was settled before is in the ledger, and longer."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def on_end(self, span: ReadableSpan) -> None:
        """Runs before SpanBudget's own processor."""
        pipeline = current_pipeline()
        assert pipeline is not None
        assert pipeline.flush()
        time.sleep(self._seconds)


@contextmanager
def world(
    folder: Path,
    *,
    instrumented: bool = True,
    budgets: str = BUDGETS,
    metrics: str = "{exporter: none}",
    late_seconds: float | None = None,
) -> Iterator[World]:
    """SpanBudget with its guard around both SDKs.

    Args:
        folder: Where the ledger lies.
        instrumented: Whether the SDKs make spans.
        budgets: The budgets.
        metrics: Where metrics go.
        late_seconds: How long after its settlement a span comes, at least; None: at once.
    """
    tracers = TracerProvider(resource=Resource({"service.name": "desk"}), shutdown_on_exit=False)
    if late_seconds is not None:
        tracers.add_span_processor(Late(late_seconds))
    instrumentors: list[Any] = [OpenAIInstrumentor(), AnthropicInstrumentor()] if instrumented else []
    with FakeProvider() as gpt, FakeProvider() as claude:
        config = parse_config(
            f"ledger: {{url: 'sqlite:///{put_ledger(folder / 'budget.db')}'}}\n"
            f"metrics: {metrics}\n"
            "attribution: {baggage: [user.id]}\n"
            f"guard: {{hosts: {{{host(gpt, 'openai')}, {host(claude, 'anthropic')}}}}}\n"
            f"budgets: {budgets}",
            "budgets.yaml",
        )
        try:
            pipeline = spanbudget.instrument(config, tracer_provider=tracers, guard=True)
            assert pipeline is not None
            for one in instrumentors:
                one.instrument(tracer_provider=tracers)
            with (
                openai.OpenAI(base_url=f"{gpt.url}/v1", api_key="k", max_retries=0) as one,
                anthropic.Anthropic(base_url=claude.url, api_key="k", max_retries=0) as other,
            ):
                yield World(config, gpt, claude, tracers, pipeline, one, other)
        finally:
            for one in instrumentors:
                one.uninstrument()
            spanbudget.uninstrument()


def host(provider: FakeProvider, name: str) -> str:
    """An entry of the section `guard`."""
    return f"'{provider.url.removeprefix('http://')}': {{provider: {name}}}"


# What an application asks.


def asks(scenario: str) -> Any:
    return [{"role": "user", "content": f"scenario:{scenario}"}]


def chat(here: World) -> None:
    here.gpt.chat.completions.create(**GPT, messages=asks("cached"))


def raw_chat(here: World) -> None:
    here.gpt.chat.completions.with_raw_response.create(**GPT, messages=asks("plain")).parse()


def chat_stream(here: World) -> None:
    list(here.gpt.chat.completions.create(**GPT, messages=asks("stream_usage"), stream=True))


def chat_stream_with_usage(here: World) -> None:
    options: Any = {"stream": True, "stream_options": {"include_usage": True}}
    list(here.gpt.chat.completions.create(**GPT, messages=asks("stream_plain"), **options))


def chat_stream_manager(here: World) -> None:
    with here.gpt.chat.completions.stream(**GPT, messages=asks("stream_usage")) as events:
        events.get_final_completion()


def embed(here: World) -> None:
    here.gpt.embeddings.create(model="text-embedding-3-small", input="scenario:embeddings")


def respond(here: World) -> None:
    here.gpt.responses.create(model="gpt-4o", input="scenario:cached")


def respond_stream(here: World) -> None:
    list(here.gpt.responses.create(model="gpt-4o", input="scenario:stream_usage", stream=True))


def message(here: World) -> None:
    here.claude.messages.create(**HAIKU, messages=asks("cached"))


def message_stream(here: World) -> None:
    list(here.claude.messages.create(**HAIKU, messages=asks("stream_plain"), stream=True))


def message_stream_manager(here: World) -> None:
    with here.claude.messages.stream(**HAIKU, messages=asks("stream_usage")) as events:
        events.get_final_message()


async def gpt_async(here: World) -> None:
    url = f"{here.openai_log.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
        await client.chat.completions.create(**GPT, messages=asks("plain"))
        async for _ in await client.chat.completions.create(
            **GPT, messages=asks("stream_usage"), stream=True
        ):
            pass
        await client.embeddings.create(model="text-embedding-3-small", input="scenario:embeddings")


async def claude_async(here: World) -> None:
    url = here.anthropic_log.url
    async with anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client:
        await client.messages.create(**HAIKU, messages=asks("plain"))
        async with client.messages.stream(**HAIKU, messages=asks("stream_usage")) as events:
            await events.get_final_message()


def both_async(here: World) -> None:
    async def work() -> None:
        await asyncio.gather(gpt_async(here), claude_async(here), gpt_async(here), claude_async(here))

    asyncio.run(work())


ASKS = [
    chat, raw_chat, chat_stream, chat_stream_with_usage, chat_stream_manager, embed, respond, respond_stream,
    message, message_stream, message_stream_manager, both_async,
]  # fmt: skip

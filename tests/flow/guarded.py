"""Two fake providers, a ledger with hard budgets, and SpanBudget around the real SDKs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from openinference.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

import spanbudget
from spanbudget.exporter.config import Config, parse_config
from spanbudget.exporter.demo.provider import Answered, FakeProvider
from spanbudget.exporter.demo.truth import Comparison, compare, standing
from spanbudget.exporter.ledger import open_ledger
from spanbudget.processors.call import PricedCall
from spanbudget.processors.money import usd_to_pico

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
        openai: Answers as OpenAI.
        anthropic: Answers as Anthropic.
        tracers: The application's tracer provider.
        pipeline: SpanBudget's.
    """

    config: Config
    openai: FakeProvider
    anthropic: FakeProvider
    tracers: TracerProvider
    pipeline: spanbudget.Pipeline

    @property
    def answered(self) -> tuple[Answered, ...]:
        """Every request that was answered."""
        return (*self.openai.answered, *self.anthropic.answered)

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


def bill_of(answered: list[Answered]) -> int:
    """What the requests cost by the price list above, pico-USD."""
    total = Decimal(0)
    for one in answered:
        counts = one.question.counts
        fresh, read, write, output = map(Decimal, RATES[one.question.model])
        total += counts.uncached_input * fresh + counts.cache_read * read + counts.cache_write_5m * write
        total += counts.cache_write_1h * fresh * 2 + counts.output * output
    return usd_to_pico(total / 1_000_000)


@contextmanager
def world(
    folder: Path, *, instrumented: bool, budgets: str = BUDGETS, before: bool = False
) -> Iterator[World]:
    """SpanBudget with its guard around both SDKs.

    Args:
        folder: Where the ledger lies.
        instrumented: Whether the SDKs make spans.
        budgets: The budgets.
        before: Whether the instrumentations are there before SpanBudget.
    """
    resource = Resource({"service.name": "desk"})
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    with FakeProvider() as openai, FakeProvider() as anthropic:
        hosts = (
            f"{{'{openai.url[7:]}': {{provider: openai}}, '{anthropic.url[7:]}': {{provider: anthropic}}}}"
        )
        config = parse_config(
            f"ledger: {{url: 'sqlite:///{folder}/budget.db'}}\n"
            f"metrics: {{exporter: none}}\n"
            f"guard: {{hosts: {hosts}}}\nbudgets: {budgets}",
            "budgets.yaml",
        )
        instrumentors: list[Any] = [OpenAIInstrumentor(), AnthropicInstrumentor()] if instrumented else []
        try:
            for one in instrumentors if before else ():
                one.instrument(tracer_provider=tracers)
            pipeline = spanbudget.instrument(config, tracer_provider=tracers, guard=True)
            assert pipeline is not None
            for one in () if before else instrumentors:
                one.instrument(tracer_provider=tracers)
            yield World(config, openai, anthropic, tracers, pipeline)
        finally:
            for one in instrumentors:
                one.uninstrument()
            spanbudget.uninstrument()

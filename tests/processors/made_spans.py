"""Spans as the tests write them, and the calls that are left standing once they are booked."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from spanbudget.processors.attribution import Attribution
from spanbudget.processors.booking import Booker, Booking, Observed
from spanbudget.processors.budgets import Budget, BudgetBook
from spanbudget.processors.call import LLMCall, Usage
from spanbudget.processors.counting import CallCounter
from spanbudget.processors.dialects import ScopeRule
from spanbudget.processors.ledger import Entry, Ledger, MemoryLedger, entry_spend
from spanbudget.processors.model_names import Namer
from spanbudget.processors.overrides import PriceBook
from spanbudget.processors.periods import Period
from spanbudget.processors.rates import BucketRates, RateCard, RateHistory, RateSegment
from spanbudget.processors.reading import SpanReader
from spanbudget.processors.spans import STATUS_OK, STATUS_UNSET, SpanRecord

NOON_NS = 1_795_435_200_000_000_000
MS = 1_000_000
TRACE = 0xA1

GENAI_OPENAI = "opentelemetry.instrumentation.genai.openai"
GENAI_ANTHROPIC = "opentelemetry.instrumentation.genai.anthropic"
NATIVE = "com.anthropic.sdk.python"
LLMETRY_OPENAI = "opentelemetry.instrumentation.openai.v1"
LLMETRY_ANTHROPIC = "opentelemetry.instrumentation.anthropic"
INFERENCE_OPENAI = "openinference.instrumentation.openai"
INFERENCE_LANGCHAIN = "openinference.instrumentation.langchain"

CARD = RateCard("list:any", (BucketRates(input=1_000, cache_read=100, cache_write_5m=1_250, output=8_000),))
TOTAL = Budget(name="all", max_cost=10**15, period=Period("total"))


class FlatPrices:
    """A price source with one card for every model that has no `unpriced` in its name."""

    version = "flat"

    def compile(self, provider: str | None, model: str, tier: str | None) -> RateHistory | None:
        return None if "unpriced" in model else RateHistory((RateSegment(0, ((0, CARD),)),))


def span(
    span_id: int,
    attributes: Mapping[str, object] | None = None,
    *,
    parent: int = 0,
    trace: int = TRACE,
    at: tuple[float, float] = (0, 1000),
    name: str = "span",
    scope: str = "app",
    version: str = "1",
    status: int = STATUS_UNSET,
    description: str | None = None,
    resource: Mapping[str, object] | None = None,
    exceptions: tuple[tuple[str, str], ...] = (),
) -> SpanRecord:
    """A finished span; `at` is its start and end in milliseconds after noon."""
    start, end = at
    return SpanRecord(
        trace, span_id, parent, name, scope, version, NOON_NS + round(start * MS), NOON_NS + round(end * MS),
        status, description, dict(attributes or {}), dict(resource or {}), exceptions,
    )  # fmt: skip


def genai(
    input_tokens: int | None = 900,
    output_tokens: int | None = 60,
    *,
    model: str = "gpt-5",
    provider: str = "openai",
    operation: str = "chat",
    response_id: str | None = None,
    **more: object,
) -> dict[str, object]:
    """Attributes of a call in OpenTelemetry's current names; `read`, `write`, `reasoning` by short names."""
    short = {
        "read": "gen_ai.usage.cache_read.input_tokens",
        "write": "gen_ai.usage.cache_write.input_tokens",
        "reasoning": "gen_ai.usage.reasoning.output_tokens",
        "finish": "gen_ai.response.finish_reasons",
    }
    attributes: dict[str, object] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": input_tokens,
        "gen_ai.usage.output_tokens": output_tokens,
        "gen_ai.response.id": response_id,
        **{short.get(name, name): value for name, value in more.items()},
    }
    return {name: value for name, value in attributes.items() if value is not None}


def openinference(
    input_tokens: int | None = 900, output_tokens: int | None = 60, *, kind: str = "LLM",
    model: str = "gpt-5", provider: str | None = "openai", **more: object,
) -> dict[str, object]:  # fmt: skip
    """Attributes of a call in OpenInference's names."""
    short = {
        "read": "llm.token_count.prompt_details.cache_read",
        "write": "llm.token_count.prompt_details.cache_write",
        "reasoning": "llm.token_count.completion_details.reasoning",
    }
    attributes: dict[str, object] = {
        "openinference.span.kind": kind,
        "llm.system": provider,
        "llm.model_name": model,
        "llm.token_count.prompt": input_tokens,
        "llm.token_count.completion": output_tokens,
        **{short.get(name, name): value for name, value in more.items()},
    }
    return {name: value for name, value in attributes.items() if value is not None}


def openai_chat(span_id: int, tokens: tuple[int, int] = (900, 60), **where: object) -> SpanRecord:
    """A call as OpenTelemetry's OpenAI instrumentation tells it."""
    more = {name: where.pop(name) for name in ("model", "response_id", "read", "reasoning") if name in where}
    return span(span_id, genai(*tokens, **more), scope=GENAI_OPENAI, name="chat gpt-5", **where)  # type: ignore[arg-type]


def inference_chat(span_id: int, tokens: tuple[int, int] = (900, 60), **where: object) -> SpanRecord:
    """A call as OpenInference's OpenAI instrumentation tells it."""
    more = {name: where.pop(name) for name in ("model", "read", "write", "reasoning") if name in where}
    where = {"status": STATUS_OK, "scope": INFERENCE_OPENAI, "name": "ChatCompletion", **where}
    return span(span_id, openinference(*tokens, **more), **where)  # type: ignore[arg-type]


def agent(span_id: int, tokens: tuple[int, int] | None = None, **where: object) -> SpanRecord:
    """An agent's span, with or without the usage of its children."""
    model = where.pop("model", "gpt-5")
    usage = tokens if tokens is not None else (None, None)
    where = {"scope": "some.agents", "name": "invoke_agent writer", **where}
    return span(span_id, genai(*usage, model=model, operation="invoke_agent"), **where)  # type: ignore[arg-type]


def reader(
    scopes: Mapping[str, ScopeRule] | None = None,
    attribution: Attribution | None = None,
    aliases: Mapping[str, tuple[str | None, str]] | None = None,
) -> SpanReader:
    return SpanReader(attribution=attribution, namer=Namer(aliases), scopes=scopes)


def read(one: SpanRecord, scopes: Mapping[str, ScopeRule] | None = None) -> LLMCall:
    """The call that a span describes; the test fails where it describes none."""
    call = reader(scopes).read(one)
    assert call is not None
    return call


class Books:
    """A counter, a ledger and one budget over everything; `retention` in nanoseconds."""

    def __init__(
        self,
        ledger: Ledger | None = None,
        counter: CallCounter | None = None,
        retention_ns: int | None = None,
        budgets: Sequence[Budget] = (TOTAL,),
    ) -> None:
        self.ledger = ledger if ledger is not None else MemoryLedger()
        self.counter = counter if counter is not None else CallCounter()
        self.book_of_budgets = BudgetBook(budgets)
        self.booker = Booker(
            reader=reader(),
            counter=self.counter,
            prices=PriceBook(FlatPrices()),
            budgets=self.book_of_budgets,
            retention_ns=retention_ns,
        )
        self.bookings: list[Booking] = []

    def book(
        self, spans: Iterable[SpanRecord | Observed], now_ns: int = NOON_NS, batch: int = 100
    ) -> "Books":
        """Books spans in batches, as the pipeline does: read, ask the ledger, decide, append."""
        spans = list(spans)
        for start in range(0, len(spans), batch):
            observed = [
                one if isinstance(one, Observed) else self.booker.read(one)
                for one in spans[start : start + batch]
            ]
            for since_ns, until_ns in self.booker.unloaded(observed, now_ns):
                self.booker.remember(self.ledger.standing(since_ns, until_ns, limit=20_000))
            bookings = [self.booker.book(one, now_ns) for one in observed]
            self.ledger.append([entry for booking in bookings for entry in booking.entries])
            self.bookings += bookings
        return self

    def standing(self) -> list[Entry]:
        """The calls that are not reversed."""
        return self.ledger.standing(0, 1 << 62, limit=1_000_000)

    def calls(self) -> list[LLMCall]:
        return [entry.priced.call for entry in self.standing()]

    def tokens(self) -> list[tuple[int, int, int, int]]:
        """What is booked: (input, cache read, cache write, output) of each call, sorted."""
        return sorted(buckets(call.usage) for call in self.calls())

    def reasons(self) -> list[str]:
        """Why each span was decided as it was, in their order."""
        return [booking.decision.reason for booking in self.bookings]

    def tallies(self, name: str) -> dict[str, int]:
        """How often each reason was counted under a metric."""
        return {reason: n for (metric, reason), n in self.booker.tallies.items() if metric == name}

    def check_sums(self) -> None:
        """The running total of the budget is the sum over the standing calls, whatever was restated."""
        totals = list(
            self.ledger.spend({key for entry in self.ledger.entries() for key in entry.windows}).values()
        )
        standing = self.standing()
        assert sum(total.requests for total in totals) == len(standing)
        assert sum(total.tokens for total in totals) == sum(one.priced.call.usage.total for one in standing)
        assert sum(total.cost for total in totals) == sum(one.priced.cost or 0 for one in standing)
        assert sum(total.unpriced for total in totals) == sum(one.priced.cost is None for one in standing)
        assert Counter(entry_spend(entry).requests for entry in self.ledger.entries())[1] >= len(standing)


def buckets(usage: Usage) -> tuple[int, int, int, int]:
    return (usage.input or 0, usage.cache_read or 0, usage.cache_write or 0, usage.output or 0)


def booked(spans: Iterable[SpanRecord]) -> Books:
    """Books over a new ledger, with the sums checked."""
    books = Books().book(spans)
    books.check_sums()
    return books

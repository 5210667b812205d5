"""What a replay prints: calls as JSON lines, explanations, and a summary as a table or JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from spanbudget.processors.booking import Booking
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.call import PricedCall
from spanbudget.processors.ledger import Entry
from spanbudget.processors.money import display_usd, pico_to_text
from spanbudget.processors.spans import SpanRecord


def call_json(entry: Entry) -> str:
    """One counted call as a line of JSON; tokens are integers or null, money is a decimal string or null."""
    priced = entry.priced
    call, usage = priced.call, priced.call.usage
    return json.dumps(
        {
            "trace_id": f"{call.trace_id:032x}",
            "span_id": f"{call.span_id:016x}",
            "response_id": call.response_id,
            "provider": call.provider,
            "model": call.model,
            "service_tier": call.tier,
            "input": usage.input,
            "cache_read": usage.cache_read,
            "cache_write": usage.cache_write,
            "cache_write_5m": usage.cache_write_5m,
            "cache_write_1h": usage.cache_write_1h,
            "output": usage.output,
            "reasoning": usage.reasoning,
            "cost_usd": None if priced.cost is None else pico_to_text(priced.cost),
            "price_id": priced.price_id,
            "usage_confidence": call.usage_confidence,
            "confidence": priced.confidence,
            "reasons": all_reasons(priced),
            "labels": dict(call.labels),
        }
    )


def all_reasons(priced: PricedCall) -> list[str]:
    """The reasons of the usage and of the cost, each once."""
    return list(dict.fromkeys((*priced.call.reasons, *priced.reasons)))


def explanation(span: SpanRecord, booking: Booking) -> dict[str, object]:
    """Why a span was counted, merged or skipped."""
    decision = booking.decision
    counted = decision.counted
    told: dict[str, object] = {
        "trace_id": f"{span.trace_id:032x}",
        "span_id": f"{span.span_id:016x}",
        "name": span.name,
        "scope": span.scope,
        "decision": decision.action,
        "reason": decision.reason,
    }
    if counted is not None:
        call = counted.call
        told |= {
            "call": f"{call.span_id:016x}",
            "model": call.model,
            "usage": {name: count for name, count in call.usage._asdict().items() if count is not None},
            "usage_confidence": call.usage_confidence,
            "reasons": list(call.reasons),
        }
    if decision.taken_back:
        told["taken_back"] = [f"{one.call.span_id:016x}" for one in decision.taken_back]
    return told


def explanation_line(told: Mapping[str, object]) -> str:
    """An explanation for a person, one line."""
    line = f"{told['decision']:8} {told['reason']:15} {told['span_id']} {told['name']} [{told['scope']}]"
    if "call" not in told:
        return line
    usage = told["usage"]
    tokens = " ".join(f"{name}={count}" for name, count in usage.items()) if isinstance(usage, dict) else ""
    reasons = told["reasons"]
    why = f" ({', '.join(reasons)})" if isinstance(reasons, list) and reasons else ""
    into = "" if told["decision"] == "count" else f" → call {told['call']}"
    return f"{line}{into}: {told['model']} {tokens or 'no tokens'} {told['usage_confidence']}{why}"


@dataclass(slots=True)
class ModelSummary:
    """The calls of one model.

    Attributes:
        provider: Normalised provider, None where unknown.
        model: Normalised model, None where unknown.
        calls: Counted calls.
        exact: Calls whose usage is exact.
        estimated: Calls whose usage is estimated.
        unknown: Calls whose usage is unknown.
        input: Uncached prompt tokens.
        cache_read: Prompt tokens read from a cache.
        cache_write: Prompt tokens written to a cache.
        output: Answer tokens.
        cost: Pico-USD of the priced calls.
        unpriced: Calls without a price.
        reasons: Reason → calls.
    """

    provider: str | None
    model: str | None
    calls: int = 0
    exact: int = 0
    estimated: int = 0
    unknown: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    cost: int = 0
    unpriced: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Adds one call."""
        priced = entry.priced
        usage = priced.call.usage
        self.calls += 1
        confidence = priced.call.usage_confidence
        setattr(self, confidence, getattr(self, confidence) + 1)
        self.input += usage.input or 0
        self.cache_read += usage.cache_read or 0
        self.cache_write += usage.cache_write or 0
        self.output += usage.output or 0
        self.cost += priced.cost or 0
        self.unpriced += priced.cost is None
        for reason in all_reasons(priced):
            self.reasons[reason] = self.reasons.get(reason, 0) + 1


@dataclass(frozen=True, slots=True)
class Summary:
    """What a replay found.

    Attributes:
        spans: Spans read.
        malformed: Spans that lack what every span has.
        models: One line for each model, the dearest first.
        decisions: How spans were decided, by reason.
        budgets: The budgets in the window of the newest span.
    """

    spans: int
    malformed: int
    models: Sequence[ModelSummary]
    decisions: Mapping[str, int]
    budgets: Sequence[BudgetState]


def models_of(entries: Iterable[Entry]) -> list[ModelSummary]:
    """Sums calls by provider and model, the dearest first."""
    by_model: dict[tuple[str | None, str | None], ModelSummary] = {}
    for entry in entries:
        call = entry.priced.call
        key = (call.provider, call.model)
        by_model.setdefault(key, ModelSummary(*key)).add(entry)
    return sorted(by_model.values(), key=lambda line: (-line.cost, -line.calls, line.model or ""))


def summary_json(summary: Summary) -> str:
    """The summary as one JSON object."""
    models = [asdict(line) | {"cost_usd": pico_to_text(line.cost)} for line in summary.models]
    for line in models:
        del line["cost"]
    budgets = [
        {
            "budget": state.budget,
            "child": state.child,
            "status": state.status,
            "spent_usd": pico_to_text(state.spent.cost),
            "limit_usd": None if state.limit_cost is None else pico_to_text(state.limit_cost),
            "tokens": state.spent.tokens,
            "requests": state.spent.requests,
            "unpriced": state.spent.unpriced,
        }
        for state in summary.budgets
    ]
    return json.dumps(
        {
            "spans": summary.spans,
            "malformed": summary.malformed,
            "calls": sum(line.calls for line in summary.models),
            "cost_usd": pico_to_text(sum(line.cost for line in summary.models)),
            "unpriced": sum(line.unpriced for line in summary.models),
            "models": models,
            "decisions": dict(summary.decisions),
            "budgets": budgets,
        },
        indent=2,
    )


def print_summary(summary: Summary, console: Console) -> None:
    """The summary as tables."""
    console.print(_model_table(summary))
    if summary.budgets:
        console.print(_budget_table(summary.budgets))
    reasons: dict[str, int] = {}
    for line in summary.models:
        for reason, count in line.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    console.print(_counts("Spans", {"read": summary.spans, **dict(summary.decisions)}))
    if reasons:
        console.print(_counts("Calls with a reason", reasons))
    if summary.malformed:
        console.print(f"{summary.malformed} malformed spans were left out")


def _model_table(summary: Summary) -> Table:
    table = Table(title="Calls, each counted once", title_justify="left", show_footer=True)
    models = summary.models
    table.add_column("Provider", footer="all")
    table.add_column("Model", overflow="fold")
    columns = ("calls", "exact", "estimated", "unknown", "input", "cache_read", "cache_write", "output")
    for name in columns:
        total = sum(getattr(line, name) for line in models)
        table.add_column(name.replace("_", " "), justify="right", footer=f"{total:,}")
    table.add_column("cost", justify="right", footer=display_usd(sum(line.cost for line in models)))
    table.add_column("unpriced", justify="right", footer=f"{sum(line.unpriced for line in models):,}")
    for line in models:
        counts = (f"{getattr(line, name):,}" for name in columns)
        unpriced = f"{line.unpriced:,}" if line.unpriced else ""
        table.add_row(line.provider or "?", line.model or "?", *counts, display_usd(line.cost), unpriced)
    return table


def _budget_table(states: Sequence[BudgetState]) -> Table:
    table = Table(title="Budgets", title_justify="left")
    for name in ("budget", "child"):
        table.add_column(name, overflow="fold")
    for name in ("spent", "limit", "used", "tokens", "requests"):
        table.add_column(name, justify="right")
    table.add_column("status")
    for state in states:
        limit = "" if state.limit_cost is None else display_usd(state.limit_cost)
        table.add_row(
            state.budget,
            state.child,
            display_usd(state.spent.cost),
            limit,
            f"{state.utilization:.1%}",
            f"{state.spent.tokens:,}",
            f"{state.spent.requests:,}",
            state.status,
        )
    return table


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    return table

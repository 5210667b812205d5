"""How a run has ended, for a person and as JSON."""

import shlex
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spanbudget.exporter.replay.report import ModelSummary
from spanbudget.exporter.runs.outcome import Outcome
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.money import display_usd, pico_to_text

COMMAND_CHARS_MAX: Final = 60
_COUNTS: Final = ("calls", "input", "cache_read", "cache_write", "output")


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome for a machine: money as decimal strings in USD, tokens as integers."""
    state = outcome.spending.state
    return {
        "command": list(outcome.command),
        "exit_code": outcome.exit_code,
        "program_exit_code": outcome.program_code,
        "stopped_by_budget": outcome.stopped,
        "seconds": round(outcome.seconds, 3),
        "ledger": outcome.ledger,
        "budget": {
            "name": state.budget,
            "limit_usd": pico_to_text(state.limit_cost or 0),
            "spent_usd": pico_to_text(state.spent.cost),
            "reserved_usd": pico_to_text(state.reserved),
            "left_usd": pico_to_text(_left(state)),
            "estimated_usd": pico_to_text(state.spent.estimated),
            "requests": state.spent.requests,
            "unpriced_requests": state.spent.unpriced,
        },
        "models": [_model_json(model) for model in outcome.spending.models],
        "refused": {
            "calls": outcome.refusals.count,
            "by_reason": [
                {"budget": budget, "reason": reason, "calls": calls}
                for (budget, reason), calls in sorted(outcome.refusals.by_reason.items())
            ],
            "last": outcome.refusals.last or None,
        },
        "python_processes": {"capped": outcome.capped, "not_capped": dict(outcome.uncapped)},
    }


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Writes the outcome for a person."""
    console.print()
    console.print(_headline(outcome))
    if outcome.spending.models:
        console.print(_table(outcome.spending.models))
    else:
        console.print("No call of a language model was seen.")
    console.print(_cap_line(outcome))
    for line in _warnings(outcome):
        console.print(Text(line, "yellow"), soft_wrap=True)


def _headline(outcome: Outcome) -> Text:
    command = shlex.join(outcome.command)
    if len(command) > COMMAND_CHARS_MAX:
        command = command[: COMMAND_CHARS_MAX - 1] + "…"
    code = outcome.program_code
    ended = f"exit {code}" if code >= 0 else f"ended by signal {-code}"
    text = Text.assemble(("SpanBudget run: ", "bold"), f"{command}, {outcome.seconds:.1f} s, {ended}")
    if outcome.stopped:
        text.append(", stopped by its budget", "bold red")
    return text


def _table(models: Sequence[ModelSummary]) -> Table:
    several = len(models) > 1
    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False, show_footer=several)
    table.add_column("Provider", footer="all", no_wrap=True)
    table.add_column("Model", overflow="fold")
    for name in _COUNTS:
        title = name.replace("_", " ").capitalize()
        table.add_column(title, _sum(models, name), justify="right", no_wrap=True)
    table.add_column("Cost", display_usd(sum(model.cost for model in models)), justify="right", no_wrap=True)
    doubtful = any(map(_doubts, models))
    if doubtful:
        table.add_column("Not exact")
    for model in models:
        counts = (f"{getattr(model, name):,}" for name in _COUNTS)
        cells = (model.provider or "?", model.model or "?", *counts, display_usd(model.cost))
        table.add_row(*cells, *([Text(_doubts(model), "yellow")] if doubtful else []))
    return table


def _sum(models: Sequence[ModelSummary], name: str) -> str:
    return f"{sum(getattr(model, name) for model in models):,}"


def _doubts(model: ModelSummary) -> str:
    counts = {"estimated": model.estimated, "unknown usage": model.unknown, "unpriced": model.unpriced}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _cap_line(outcome: Outcome) -> Text:
    state = outcome.spending.state
    over = _left(state) < 0
    text = Text.assemble(
        "Cap ", (display_usd(state.limit_cost or 0), "bold"),
        ", spent ", (display_usd(state.spent.cost), "bold red" if over else "bold"),
        ", ", (f"{display_usd(-_left(state))} over" if over else f"left {display_usd(_left(state))}", "bold"),
    )  # fmt: skip
    if state.reserved:
        text.append(f", {display_usd(state.reserved)} held by calls that have not ended")
    if outcome.ledger is not None:
        text.append(f"; budget {state.budget} in {outcome.ledger}")
    return text


def _warnings(outcome: Outcome) -> list[str]:
    found = []
    if outcome.refusals.count:
        calls = "1 call was" if outcome.refusals.count == 1 else f"{outcome.refusals.count:,} calls were"
        found.append(f"{calls} refused; the last: {outcome.refusals.last}")
    for program, processes in sorted(outcome.uncapped.items()):
        times = "1 process" if processes == 1 else f"{processes} processes"
        found.append(f"Not capped: {times} of {program}, which has no SpanBudget; install it there")
    if not outcome.capped and not outcome.uncapped:
        found.append(
            "Nothing was capped: the program started no Python that looks for SpanBudget. Only Python"
            " programs are capped, and not those that ignore their environment (python -I, -E or -S)."
        )
    return found


def _left(state: BudgetState) -> int:
    return (state.limit_cost or 0) - state.spent.cost - state.reserved


def _model_json(model: ModelSummary) -> dict[str, Any]:
    return {
        "provider": model.provider,
        "model": model.model,
        **{name: getattr(model, name) for name in _COUNTS},
        "cost_usd": pico_to_text(model.cost),
        "estimated_calls": model.estimated,
        "unknown_usage_calls": model.unknown,
        "unpriced_calls": model.unpriced,
        "reasons": model.reasons,
    }

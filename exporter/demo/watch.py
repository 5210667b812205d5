"""What a person sees of the budgets: a table that is drawn again and again, or plain lines."""

from collections.abc import Sequence
from typing import Final, Literal

from rich.bar import Bar
from rich.table import Table
from rich.text import Text

from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.children import child_labels
from spanbudget.processors.money import display_usd, pico_to_usd

STYLES: Final = {
    "ok": "green",
    "warning": "yellow",
    "critical": "dark_orange",
    "exceeded": "bold red",
    "suspended": "bold red",
}
"""Budget status → colour."""
_BAR_COLUMNS: Final = 16
_TITLES: Final = ("Budget", "Child", "Spent", "Limit", "Used", "", "Status", "Requests", "Unpriced")
_LEFT: Final = ("Budget", "Child", "", "Status")


def budget_table(states: Sequence[BudgetState], title: str | None = None) -> Table:
    """A table of budgets, in the order given, each with the fullest of its limits."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for name in _TITLES:
        justify: Literal["left", "right"] = "left" if name in _LEFT else "right"
        # Only the bar, whose title is empty, gives way where a terminal is narrow.
        table.add_column(name, justify=justify, no_wrap=bool(name), max_width=None if name else _BAR_COLUMNS)
    last = None
    for state in states:
        spent, limit = _fullest(state)
        style = STYLES[state.status]
        table.add_row(
            "" if state.budget == last else state.budget,
            child_text(state.child),
            spent,
            limit,
            Text(f"{state.utilization:.0%}", style),
            Bar(1, 0, min(1.0, state.utilization), color=style.split()[-1]),
            Text(state.status, style),
            f"{state.spent.requests:,}",
            f"{state.spent.unpriced:,}" if state.spent.unpriced else "",
        )
        last = state.budget
    return table


def status_line(states: Sequence[BudgetState]) -> str:
    """The budgets that are not `ok`, in one line of text."""
    told = [
        f"{state.budget} {child_text(state.child)}".strip() + f" {state.utilization:.0%} {state.status}"
        for state in states
        if state.status != "ok"
    ]
    return ", ".join(told) or "all budgets ok"


def child_text(child: str) -> str:
    """The values of a child's labels: `user=alice` → `alice`."""
    labels = child_labels(child)
    return ", ".join("(unknown)" if value is None else value for _, value in labels) if labels else child


def _fullest(state: BudgetState) -> tuple[str, str]:
    """Spent and limit of the limit that is nearest to its end, with their unit."""
    spent = state.spent
    measures = (
        (spent.cost, state.limit_cost, ""),
        (spent.tokens, state.limit_tokens, "tokens"),
        (spent.requests, state.limit_requests, "calls"),
    )
    limited = [(used / limit, used, limit, unit) for used, limit, unit in measures if limit is not None]
    _, used, limit, unit = max(limited)
    if not unit:
        return f"${pico_to_usd(used):,.4f}", display_usd(limit)
    millions, rest = divmod(limit, 1_000_000)
    return f"{used:,}", f"{limit:,} {unit}" if rest else f"{millions:,}M {unit}"

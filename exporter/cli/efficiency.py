"""`spanbudget efficiency`: how much of the money was needed, as a score from 0 to 100 with its parts."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from spanbudget.exporter.checks.limits import with_stored
from spanbudget.exporter.cli.advise import window_json, window_lines, window_of, window_options
from spanbudget.exporter.cli.ledger_choice import chosen, ledger_options
from spanbudget.exporter.cli.listing import Row, Titles, clean, print_rows
from spanbudget.processors.errors import InputError
from spanbudget.processors.money import display_usd, pico_to_text
from spanbudget.processors.selectors import canonical_label

if TYPE_CHECKING:
    from spanbudget.exporter.advice.examining import Examined, Window
    from spanbudget.rules.advice.efficiency import Efficiency

_OWN: Final = ("provider", "model", "operation", "tier")
_ROWS_MAX: Final = 50
_GOOD, _FAIR = 90.0, 75.0
"""Scores from which a line is green, and yellow."""


@click.command()
@click.argument("budget", required=False)
@ledger_options
@window_options
@click.option(
    "--by", metavar="LABEL", help="Score apart: model, user, service, provider, or any other label."
)
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def efficiency(
    budget: str | None,
    given: Path | None,
    db: Path | None,
    *,
    child: str | None,
    last: int,
    calls_max: int,
    by: str | None,
    as_json: bool,
) -> None:
    """Score how well money was spent, of all calls and each budget, or of BUDGET alone.

    The score is 100 x (1 - avoidable / spent) x success rate. Avoidable is what `spanbudget advise` calls
    exact and counterfactual; hypotheses are not in it. All times are UTC.

    \b
    Examples:
      spanbudget efficiency
      spanbudget efficiency production --by user
      spanbudget efficiency --by model --last 7d --json
    """  # noqa: D301 - click's mark of lines that stay as they are
    # pandas takes half a second, which neither --help nor a wrong option should.
    from spanbudget.exporter.advice.examining import examine  # noqa: PLC0415
    from spanbudget.rules.advice.settings import Settings  # noqa: PLC0415

    window = window_of(budget, child, last, calls_max)
    found = examine(with_stored(chosen(given, db)), window, Settings())
    scores = _scores(found, window, by)
    if as_json:
        told = [_as_json(name, one, by) for name, one in scores]
        click.echo(json.dumps({**window_json(found, window), "scores": told}, indent=2))
    else:
        _print(found, window, scores, by)


def _scores(found: "Examined", window: "Window", by: str | None) -> list[tuple[str | None, "Efficiency"]]:
    """Scores with the name of what they are of; None for calls that do not tell."""
    from spanbudget.rules.advice.efficiency import efficiency as score  # noqa: PLC0415 - see above

    frame, avoidable = found.loaded.frame, found.advice.avoidable
    if by is not None:
        column = _column(frame.columns, by) if len(frame) else by
        made = score(frame, avoidable, (column,)) if len(frame) else ()
        return [(one.group[column], one) for one in made]
    whole = window.child or window.budget or "all calls"
    scores: list[tuple[str | None, Efficiency]] = [(whole, score(frame, avoidable)[0])]
    if window.budget is None:
        scores += [
            (name, score(frame.loc[rows], avoidable[rows])[0]) for name, rows in found.loaded.budgets.items()
        ]
    return scores


def _column(columns: Any, by: str) -> str:
    """The column of a name that a person gave.

    Raises:
        InputError: No call has it.
    """
    name = canonical_label(by)
    column = name if name in _OWN else f"label.{name}"
    if column not in columns:
        labels = sorted(one.removeprefix("label.") for one in columns if one.startswith("label."))
        raise InputError(f"no call has the label {by!r}; there are {', '.join([*_OWN, *labels])}")
    return column


def _print(
    found: "Examined", window: "Window", scores: list[tuple[str | None, "Efficiency"]], by: str | None
) -> None:
    for line in window_lines(found, window):
        click.echo(line)
    if not found.advice.calls:
        return
    click.echo()
    first = "OF" if by is None else by.upper()
    rows = [_row(name, one) for name, one in scores[:_ROWS_MAX]]
    titles = ("SCORE", "AVOIDABLE", "SPENT", "SUCCEEDED", "CALLS", first)
    print_rows(Titles(titles, (), frozenset(titles[1:-1])), rows)
    if len(scores) > _ROWS_MAX:
        click.echo(f"… and {len(scores) - _ROWS_MAX:,} more, which spent no more; --json has all.")
    unpriced = scores[0][1].unpriced if by is None else sum(one.unpriced for _, one in scores)
    if unpriced:
        click.echo(f"{unpriced:,} of the calls have no price: they are in SUCCEEDED and not in the money.")


def _row(name: str | None, one: "Efficiency") -> Row:
    shown = "(unknown)" if name is None else clean(name)
    if not one.has_data:
        return Row(("-", "", "", "", "0", shown), (), "dim")
    style = "green" if one.score >= _GOOD else "yellow" if one.score >= _FAIR else "bold red"
    cells = (
        f"{one.score:.1f}",
        f"{display_usd(one.avoidable_pico)} ({100 * one.avoidable_share:.1f}%)",
        display_usd(one.spent_pico),
        f"{100 * one.success_rate:.1f}%",
        f"{one.calls:,}",
        shown,
    )
    return Row(cells, (), style)


def _as_json(name: str | None, one: "Efficiency", by: str | None) -> dict[str, Any]:
    return {
        "by": by,
        "of": name,
        "score": one.score if one.has_data else None,
        "spent_usd": pico_to_text(one.spent_pico),
        "avoidable_usd": pico_to_text(one.avoidable_pico),
        "avoidable_share": one.avoidable_share,
        "success_rate": one.success_rate if one.has_data else None,
        "calls": one.calls,
        "failed": one.failed,
        "unpriced": one.unpriced,
    }

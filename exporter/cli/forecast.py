"""`spanbudget forecast`: where budgets will end, within which bounds, and when they run out."""

import json
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click

from spanbudget.exporter.cli.forecast_plot import WIDTH_MIN, drawing_of, drawn
from spanbudget.exporter.cli.ledger_choice import NS_PER_SECOND, chosen, ledger_options
from spanbudget.exporter.cli.listing import Row, Titles, clean, counted, iso, print_rows
from spanbudget.exporter.forecasts import Forecast, WhatIf, forecasts
from spanbudget.processors.errors import InputError
from spanbudget.processors.money import PICO_PER_USD, display_usd
from spanbudget.rules.durations import NS_PER_MS
from spanbudget.rules.projection.bins import is_endless

if TYPE_CHECKING:
    from rich.text import Text

_ROWS_MAX: Final = 100
_GROWTH_MIN, _GROWTH_MAX = -99.0, 10_000.0
"""Percent: all but a hundredth gone, or a hundred times as much."""


class Percent(click.ParamType[float]):
    """A change in percent, `10%` or `-5`, as a factor."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The factor.

        Raises:
            BadParameter: It is no such change.
        """
        if isinstance(value, float):
            return value
        try:
            percent = float(str(value).removesuffix("%"))
        except ValueError:
            percent = float("nan")
        if not _GROWTH_MIN <= percent <= _GROWTH_MAX:
            self.fail(f"{value!r} is no change from -99% to 10000%, such as 10% or -5%", param, ctx)
        return 1 + percent / 100


class ModelFactor(click.ParamType[tuple[str, float]]):
    """A model and what its calls will cost, `gpt-4o=0.4` for two fifths."""

    name = "model=factor"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """The model and the factor.

        Raises:
            BadParameter: It is no such pair.
        """
        if isinstance(value, tuple):
            return value
        model, _, text = str(value).rpartition("=")
        try:
            factor = float(text)
        except ValueError:
            factor = float("nan")
        if not model or not 0 <= factor <= 1_000:
            self.fail(f"{value!r} is no model and factor from 0 to 1000, such as gpt-4o=0.4", param, ctx)
        return model, factor


@click.command()
@click.argument("budget", required=False)
@ledger_options
@click.option("--child", help="Only this child of BUDGET: user=ann.")
@click.option(
    "--drop-model", "dropped", multiple=True, metavar="MODEL", help="What if MODEL were not called any more?"
)
@click.option(
    "--scale-model",
    "scaled",
    multiple=True,
    type=ModelFactor(),
    help="What if the calls of a model cost this part of what they do, on another model, say?",
)
@click.option(
    "--growth", type=Percent(), default="0%", help="What if all that is left to spend grew by this? 10%, -5%"
)
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write the picture to a file too."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def forecast(  # noqa: PLR0913 - one for each option
    budget: str | None,
    given: Path | None,
    db: Path | None,
    *,
    child: str | None,
    dropped: tuple[str, ...],
    scaled: tuple[tuple[str, float], ...],
    growth: float,
    svg: Path | None,
    as_json: bool,
) -> None:
    """Project the end of every budget's window, or of BUDGET's with a picture.

    The median and the bounds that hold in 90 of 100 cases go by the rhythm of days, the trend and the recent
    level; with less than three weeks of history they are wide, and close to run-rate. What is spent stays
    spent: --drop-model, --scale-model and --growth change what is to come.

    \b
    Examples:
      spanbudget forecast
      spanbudget forecast production --growth 10%
      spanbudget forecast production --drop-model gpt-4o --svg production.svg
    """  # noqa: D301 - click's mark of lines that stay as they are
    if child is not None and budget is None:
        raise click.UsageError("--child needs the name of its budget")
    what_if = WhatIf({**dict(scaled), **dict.fromkeys(dropped, 0.0)}, growth)
    found = forecasts(chosen(given, db), time.time_ns(), budget, child, what_if)
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in found], indent=2))
    elif not found:
        raise InputError(
            f"budget {budget!r} has no child with calls in this window, so there is nothing to project"
        )
    elif len(found) == 1 and budget is not None:
        _print_one(found[0], what_if)
    else:
        _print_all(found)
    if svg is not None:
        from spanbudget.exporter.cli import forecast_svg  # noqa: PLC0415 - only pictures need it

        shown = found[:_ROWS_MAX]
        pictures = (_lines(one, what_if, forecast_svg.WIDTH) for one in shown)
        forecast_svg.write_svg(svg, "spanbudget forecast", pictures)


def _print_all(found: Sequence[Forecast]) -> None:
    rows = []
    for one in found[:_ROWS_MAX]:
        state, projection = one.state, one.projection
        ends = projection.ends if projection is not None else None
        reached = projection.exhaustion.median if projection and projection.exhaustion else None
        cells = (
            _name(one),
            display_usd(state.spent.cost),
            "" if state.limit_cost is None else display_usd(state.limit_cost),
            "" if ends is None else _usd(ends.median),
            "" if ends is None else f"{_usd(ends.low)} to {_usd(ends.high)}",
            "" if is_endless(state.window) or state.is_rolling else _moment(one, state.window.end_ns),
        )
        runs_out = "" if reached is None else f"runs out {_moment(one, reached)}"
        note = one.problem or (projection.note if projection is not None else "")
        rows.append(Row(cells, (runs_out, note), _style(one)))
    titles = ("BUDGET", "SPENT", "LIMIT", "PROJECTED", "90 %", "ENDS")
    right = frozenset({"SPENT", "LIMIT", "PROJECTED", "90 %"})
    print_rows(Titles(titles, ("RUNS OUT", "NOTE"), right), rows)
    if len(found) > _ROWS_MAX:
        click.echo(f"… and {counted(len(found) - _ROWS_MAX, 'budget')} more, less full; --json has all.")


def _print_one(one: Forecast, what_if: WhatIf) -> None:
    """Prints a budget with its picture.

    Raises:
        InputError: It cannot be projected.
    """
    if one.projection is None:
        raise InputError(f"{_name(one)}: {one.problem}")
    from rich.console import Console  # noqa: PLC0415 - neither a list nor JSON needs it

    console = Console(highlight=False)
    is_ascii = not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    for line in _lines(one, what_if, console.width, is_ascii=is_ascii):
        console.print(line, soft_wrap=True)


def _lines(one: Forecast, what_if: WhatIf, width: int, *, is_ascii: bool = False) -> "Sequence[Text]":
    from rich.text import Text  # noqa: PLC0415 - as above

    first, *others = _told(one, what_if)
    lines = [Text(first, "bold"), *map(Text, others)]
    drawing = drawing_of(one)
    if drawing is not None and width >= WIDTH_MIN:
        picture = drawn(drawing, width, lambda at_ns: _moment(one, at_ns), is_ascii=is_ascii)
        lines += [Text(), *picture]
    return lines


def _told(one: Forecast, what_if: WhatIf) -> Sequence[str]:
    """What is known of a budget, in sentences."""
    state, projection = one.state, one.projection
    if projection is None:
        return (f"{_name(one)}: {one.problem}",)
    limit = "" if state.limit_cost is None else f" of {display_usd(state.limit_cost)}"
    lines = [f"{_name(one)}: {display_usd(state.spent.cost)}{limit} spent by {_moment(one, one.now_ns)}"]
    if projection.ends is not None:
        ends = projection.ends
        lines.append(
            f"Projected by {_moment(one, state.window.end_ns)}: {_usd(ends.median)},"
            f" with 90 % from {_usd(ends.low)} to {_usd(ends.high)}"
        )
    changes = [
        f"without {name}" if not part else f"{name} at {part:g} of its cost"
        for name, part in what_if.models.items()
    ]
    changes += [f"{100 * (what_if.growth - 1):+g} % of what is to come"] if what_if.growth != 1 else []
    lines += [f"What if: {clean(', '.join(changes))}"] if changes else []
    if projection.exhaustion is not None:
        lines.append(_when(one))
    return [*lines, projection.note] if projection.note else lines


def _when(one: Forecast) -> str:
    """When the limit is reached."""
    found = one.projection.exhaustion if one.projection is not None else None
    ends = "within a year" if is_endless(one.state.window) else "before the window ends"
    first = None if found is None else found.median if found.earliest is None else found.earliest
    if found is None or first is None:
        return f"The limit is not reached {ends}."
    if found.median is not None and found.median <= one.now_ns:
        return "The limit is reached."
    earliest = _moment(one, first)
    if found.median is None:
        return f"The limit is not reached {ends} by the median; it may be by {earliest}."
    latest = "not at all" if found.latest is None else f"by {_moment(one, found.latest)}"
    median = _moment(one, found.median)
    if latest == f"by {median}" and earliest == median:
        return f"The limit is reached by {median}."
    return f"The limit is reached by {median}; at the earliest by {earliest}, at the latest {latest}."


def _style(one: Forecast) -> str:
    ends, limit = one.projection.ends if one.projection else None, one.state.limit_cost
    if ends is None or limit is None:
        return ""
    usd = limit / PICO_PER_USD
    return "red" if ends.low > usd else "yellow" if ends.median > usd else "green"


def _name(one: Forecast) -> str:
    return clean(f"{one.state.budget} {one.state.child}".strip())


def _usd(usd: float) -> str:
    return display_usd(round(usd * PICO_PER_USD))


def _moment(one: Forecast, at_ns: int) -> str:
    """A moment in the time zone of the budget, as fine as its window needs; days near by have no year."""
    at = datetime.fromtimestamp(at_ns // NS_PER_SECOND, ZoneInfo(one.period.zone))
    window = one.state.window
    is_short = window.end_ns - window.start_ns <= 8 * 86_400 * NS_PER_SECOND
    return f"{at:%m-%d %H:%M}" if is_short else f"{at:%Y-%m-%d}"


def _as_json(one: Forecast) -> dict[str, Any]:
    state, projection = one.state, one.projection
    endless = is_endless(state.window)
    told: dict[str, Any] = {
        "budget": state.budget,
        "child": state.child,
        "period": one.period.text,
        "at": iso(one.now_ns // NS_PER_MS),
        "window_start": None if endless else iso(state.window.start_ns // NS_PER_MS),
        "window_end": None if endless else iso(state.window.end_ns // NS_PER_MS),
        "limit_usd": None if state.limit_cost is None else state.limit_cost / PICO_PER_USD,
        "spent_usd": state.spent.cost / PICO_PER_USD,
        "problem": one.problem or None,
    }
    if projection is None:
        return told
    ends, exhaustion = projection.ends, projection.exhaustion
    return {
        **told,
        "projected_usd": None if ends is None else {"0.05": ends.low, "0.5": ends.median, "0.95": ends.high},
        "method": projection.method,
        "days_of_history": round(projection.days_of_history, 3),
        "note": projection.note or None,
        "limit_reached_at": None
        if exhaustion is None
        else {
            name: None if at_ns is None else iso(at_ns // NS_PER_MS)
            for name, at_ns in zip(("median", "earliest", "latest"), exhaustion, strict=True)
        },
        "path": [
            {"at": iso(at_ns // NS_PER_MS), "0.05": point.low, "0.5": point.median, "0.95": point.high}
            for at_ns, point in projection.path
        ],
    }

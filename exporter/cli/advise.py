"""`spanbudget advise`: what was spent that need not have been, with the calls that show it."""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from spanbudget.exporter.checks.limits import with_stored
from spanbudget.exporter.cli.ledger_choice import NS_PER_SECOND, Length, chosen, ledger_options
from spanbudget.exporter.cli.listing import Row, Titles, clean, counted, iso, minute, print_rows
from spanbudget.processors.money import display_usd, pico_to_text, usd_to_pico
from spanbudget.rules.durations import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanbudget.exporter.advice.examining import Examined, Window
    from spanbudget.rules.advice.suggestion import Suggestion

_HOUR_NS: Final = 3_600 * NS_PER_SECOND
_EVIDENCE_SHOWN: Final = 3
CALLS_MAX: Final = 500_000
"""Calls that are read unless the option says otherwise; a table of so many takes about 500 MB."""
_CONFIDENCES: Final = {
    "exact": "was paid for nothing",
    "counterfactual": "less would have bought the same calls, at prices that exist",
    "hypothesis": "at most may be saved by changes that have to be tried",
}
_STYLES: Final = {"exact": "bold green", "counterfactual": "green", "hypothesis": "yellow"}


def window_options(command: Any) -> Any:
    """Adds what chooses calls: `--last`, `--child` and `--max-calls`."""
    for option in (
        click.option(
            "--max-calls", "calls_max", type=click.IntRange(1, 10_000_000), default=CALLS_MAX,
            show_default=True, help="Most calls to read, the newest; 1 KB of memory each.",
        ),
        click.option("--last", type=Length(), default="30d", show_default=True, help="How far back to look."),
        click.option("--child", help="Only this child of BUDGET: user=ann."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@click.argument("budget", required=False)
@ledger_options
@window_options
@click.option(
    "--by",
    multiple=True,
    default=("service",),
    show_default=True,
    metavar="LABEL",
    help="Labels to split suggestions by, besides the model.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def advise(
    budget: str | None,
    given: Path | None,
    db: Path | None,
    *,
    child: str | None,
    last: int,
    calls_max: int,
    by: tuple[str, ...],
    as_json: bool,
) -> None:
    """Suggest what would have saved money, of all calls or of BUDGET's.

    Savings that overlap are counted once, where they are surest; the amounts below SAVED add up. Prompts are
    never read from the ledger, as they are not in it. All times are UTC.

    \b
    Examples:
      spanbudget advise
      spanbudget advise production --last 7d
      spanbudget advise per-user --child user=ann --json
    """  # noqa: D301 - click's mark of lines that stay as they are
    # pandas takes half a second, which neither --help nor a wrong option should.
    from spanbudget.exporter.advice.examining import examine  # noqa: PLC0415
    from spanbudget.rules.advice.settings import Settings  # noqa: PLC0415

    window = window_of(budget, child, last, calls_max)
    found = examine(with_stored(chosen(given, db)), window, Settings(by=by))
    if as_json:
        click.echo(json.dumps(_as_json(found, window), indent=2))
    else:
        _print(found, window)


def window_of(budget: str | None, child: str | None, last_ns: int, calls_max: int) -> "Window":
    """The window that ends now.

    Raises:
        UsageError: There is a child of no budget.
    """
    from spanbudget.exporter.advice.examining import Window  # noqa: PLC0415 - see above

    if child is not None and budget is None:
        raise click.UsageError("--child needs the name of its budget")
    until_ns = time.time_ns()
    return Window(max(0, until_ns - last_ns), until_ns, budget, child, calls_max)


def window_lines(found: "Examined", window: "Window") -> list[str]:
    """What was examined, and what of it could not be, for people."""
    loaded, advice = found.loaded, found.advice
    whose = "" if window.budget is None else f" of {clean(window.child or window.budget)}"
    when = f"{minute(loaded.since_ns // NS_PER_MS)} to {minute(loaded.until_ns // NS_PER_MS)} UTC"
    lines = [f"{counted(advice.calls, 'call')}{whose}, {display_usd(advice.spent_pico)}, {when}"]
    if not advice.calls:
        return [f"There is no call{whose} in this time."]
    if not loaded.complete:
        lines.append(
            f"There are more: these are the newest {window.calls_max:,}; --max-calls takes in older ones."
        )
    elif loaded.since_ns > window.since_ns + _HOUR_NS:
        lines.append("There is no earlier call; amounts for a month count from there.")
    return lines


def _print(found: "Examined", window: "Window") -> None:
    for line in window_lines(found, window):
        click.echo(line)
    advice = found.advice
    if not advice.calls:
        return
    for confidence, meaning in _CONFIDENCES.items():
        pico = advice.counted_pico.get(confidence, 0)  # type: ignore[call-overload]
        if pico:
            click.echo(f"{display_usd(pico)} {meaning} ({confidence}).")
    if not advice.suggestions:
        click.echo("Nothing to suggest.")
    else:
        click.echo()
        print_rows(
            Titles(
                ("CONFIDENCE", "SAVED", "A MONTH", "CALLS", "SUGGESTION"),
                ("WHERE", "WHY", "HOW", "EVIDENCE"),
                frozenset({"SAVED", "A MONTH", "CALLS"}),
            ),
            [_row(one) for one in advice.suggestions],
        )
    if advice.below:
        click.echo(
            f"{counted(advice.below, 'suggestion')} too small to make, {display_usd(advice.below_pico)}"
            " together at most."
        )
    if found.unexamined:
        click.echo()
        click.echo("Not examined:")
        for one in found.unexamined:
            kind = "" if one.kind == "*" else f"{one.kind.replace('_', ' ')}: "
            click.echo(_fitted(f"{kind}{counted(one.calls, 'call')}: {clean(one.why)}"))


def _fitted(line: str) -> str:
    """A line, indented; in a terminal it goes on below itself."""
    if not sys.stdout.isatty():
        return f"  {line}"
    width = shutil.get_terminal_size().columns
    return click.wrap_text(line, width, initial_indent="  ", subsequent_indent="    ")


def _row(one: "Suggestion") -> Row:
    month = "" if one.monthly_usd is None else display_usd(usd_to_pico(one.monthly_usd))
    most = "up to " if one.upper_bound else ""
    spans = [f"{trace}/{span}" for trace, span in one.evidence[:_EVIDENCE_SHOWN]]
    rest = one.calls - len(spans)
    evidence = f"{', '.join(spans)}{f' and {rest:,} more' if rest else ''}"
    where = ", ".join(f"{name} {value}" for name, value in one.group.items() if name != "variant")
    money = (display_usd(one.counted_pico), f"{most}{month}" if month else "")
    cells = (one.confidence, *money, f"{one.calls:,}", one.title)
    return Row(cells, (where, one.explanation, one.how, evidence), _STYLES.get(one.confidence, ""))


def _as_json(found: "Examined", window: "Window") -> dict[str, Any]:
    advice = found.advice
    return {
        **window_json(found, window),
        "counted_usd": {name: pico_to_text(pico) for name, pico in advice.counted_pico.items()},
        "suggestions": [_suggestion_json(one) for one in advice.suggestions],
        "below": {"suggestions": advice.below, "usd": pico_to_text(advice.below_pico)},
        "unexamined": [{"kind": one.kind, "calls": one.calls, "why": one.why} for one in found.unexamined],
    }


def window_json(found: "Examined", window: "Window") -> dict[str, Any]:
    """What was examined, for programs."""
    loaded, advice = found.loaded, found.advice
    return {
        "budget": window.budget,
        "child": window.child,
        "since": iso(loaded.since_ns // NS_PER_MS),
        "until": iso(loaded.until_ns // NS_PER_MS),
        "calls": advice.calls,
        "complete": loaded.complete,
        "spent_usd": pico_to_text(advice.spent_pico),
    }


def _suggestion_json(one: "Suggestion") -> dict[str, Any]:
    evidence: Sequence[tuple[str, str]] = one.evidence
    return {
        "kind": one.kind,
        "title": one.title,
        "confidence": one.confidence,
        "upper_bound": one.upper_bound,
        "saving_usd": pico_to_text(one.saving_pico),
        "counted_usd": pico_to_text(one.counted_pico),
        "monthly_usd": None if one.monthly_usd is None else f"{one.monthly_usd:f}",
        "calls": one.calls,
        "group": dict(one.group),
        "explanation": one.explanation,
        "how": one.how,
        "evidence": [{"trace_id": trace, "span_id": span} for trace, span in evidence],
    }

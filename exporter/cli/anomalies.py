"""`spanbudget anomalies`: unusual spend, who made it, and what people say about it."""

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.anomalies.wording import WHAT, contributor_text, usd_text, value_text
from spanbudget.exporter.cli.anomalies_backtest import backtest
from spanbudget.exporter.cli.anomaly_marks import acknowledged, expectation, mark_json, print_marks, window
from spanbudget.exporter.cli.anomaly_rows import (
    counted_anomalies,
    episode_json,
    print_episodes,
    state_of,
    told_length,
)
from spanbudget.exporter.cli.ledger_choice import Length, Moment, chosen, ledger_options
from spanbudget.exporter.cli.listing import clean, counted, minute
from spanbudget.processors.errors import InputError
from spanbudget.rules.durations import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanbudget.exporter.anomalies.records import EpisodeRecord
    from spanbudget.exporter.anomalies.store import SqlAnomalies

_SOON: Final = "A running evaluator takes note within seconds."


@click.group()
def anomalies() -> None:
    """See unusual spend and who made it, and say what it was. All times are UTC."""


anomalies.add_command(backtest)


@anomalies.command("list", short_help="List anomalies, the latest first.")
@ledger_options
@click.option("--open", "only_open", is_flag=True, help="Only those that have not ended.")
@click.option("--since", type=Length(), default="7d", show_default=True, help="How far back.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_anomalies(
    given: Path | None, db: Path | None, since: int, *, only_open: bool, as_json: bool
) -> None:
    """List anomalies, the latest first: those that are open, and those that ended not long ago.

    \b
    Examples:
      spanbudget anomalies list --open
      spanbudget anomalies list --since 30d --json
    """  # noqa: D301 - click's mark of lines that stay as they are
    now_ms = time.time_ns() // NS_PER_MS
    with _kept(given, db) as kept:
        found = kept.episodes(now_ms - since // NS_PER_MS, only_open=only_open)
    if as_json:
        click.echo(json.dumps([episode_json(one) for one in found], indent=2))
    elif found:
        print_episodes(found, now_ms)
    else:
        click.echo("No anomaly is open." if only_open else "There was no anomaly in this time.")


@anomalies.command(short_help="Show one anomaly, and who made its excess.")
@click.argument("id_", metavar="ID")
@ledger_options
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show(id_: str, given: Path | None, db: Path | None, *, as_json: bool) -> None:
    """Show one anomaly, and who made its excess.

    \b
    Example:
      spanbudget anomalies show 48314c1a6cd2
    """  # noqa: D301 - as above
    with _kept(given, db) as kept:
        found = _episode(kept, id_)
        said = [one for one in kept.marks() if one.episode == id_]
    if as_json:
        click.echo(json.dumps({**episode_json(found), "said": [mark_json(one) for one in said]}, indent=2))
        return
    _print_one(found, time.time_ns() // NS_PER_MS)
    for one in said:
        click.echo(f"{one.kind.capitalize():14}{minute(one.created_ms)}  {clean(one.comment)}".rstrip())


@anomalies.command(short_help="Say that an anomaly was a real incident.")
@click.argument("id_", metavar="ID")
@ledger_options
@click.option("--comment", default="", help="What it was.")
def ack(id_: str, given: Path | None, db: Path | None, comment: str) -> None:
    """Say that an anomaly was a real incident: its time is not the measure of what comes later.

    It holds for anomalies of the same budget that have a part in it, too.

    \b
    Example:
      spanbudget anomalies ack 48314c1a6cd2 --comment "retry loop in search, fixed"
    """  # noqa: D301 - as above
    with _kept(given, db) as kept:
        marked = acknowledged(kept, _episode(kept, id_), comment, time.time_ns() // NS_PER_MS)
    click.echo(f"{counted_anomalies(len(marked))} acknowledged. {_SOON}")


@anomalies.command(short_help="Say that unusual spend is, or will be, no anomaly.")
@click.argument("target", metavar="ID|BUDGET")
@ledger_options
@click.option("--dimension", help="Only this part of the budget: model=gpt-5.")
@click.option("--child", help="Only this child of a budget with `per`: user=ann.")
@click.option("--from", "since", type=Moment(future=True), help="Begin: 2026-11-27T08:00Z, 2h (ago), +2h.")
@click.option("--until", type=Moment(future=True), help="End, likewise.")
@click.option("--comment", default="", help="Why.")
def expect(
    target: str,
    given: Path | None,
    db: Path | None,
    dimension: str | None,
    child: str | None,
    since: int | None,
    until: int | None,
    comment: str,
) -> None:
    """Say that unusual spend is no anomaly: of an anomaly that was found, or of a time, also one ahead.

    Nothing is told of that time, and it is not the measure of what comes later. A part of a budget is named
    by --dimension; the budget's total, which holds it, is expected with it.

    \b
    Examples:
      spanbudget anomalies expect 48314c1a6cd2 --comment "load test"
      spanbudget anomalies expect production --from +2h --until +8h --comment "batch import"
      spanbudget anomalies expect production --dimension model=gpt-5 --until 2026-12-01
    """  # noqa: D301 - as above
    now_ms = time.time_ns() // NS_PER_MS
    times = _ms(since), _ms(until)
    config = chosen(given, db)
    with _kept(given, db) as kept:
        episode = kept.episode(target)
        if episode is not None and (dimension or child):
            raise click.UsageError("an anomaly has its part: leave --dimension and --child out")
        if episode is None:
            mark = window(config, kept, target, (dimension, child), times, comment, now_ms)
            told = f"Expected from {minute(mark.since_ms)} to {minute(mark.until_ms)} ({mark.id})."
        else:
            marked = expectation(kept, episode, times, comment, now_ms)
            told = f"{counted_anomalies(len(marked))} expected."
    click.echo(f"{told} {_SOON}")


@anomalies.command(short_help="List what was said about anomalies and times.")
@ledger_options
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def marks(given: Path | None, db: Path | None, *, as_json: bool) -> None:
    """List what was said with `ack` and `expect`, the oldest first."""
    with _kept(given, db) as kept:
        found = kept.marks()
    if as_json:
        click.echo(json.dumps([mark_json(one) for one in found], indent=2))
    elif found:
        print_marks(found)
    else:
        click.echo("Nothing was said about any anomaly or time.")


@anomalies.command(short_help="Take back what was said.")
@click.argument("id_", metavar="ID")
@ledger_options
def unmark(id_: str, given: Path | None, db: Path | None) -> None:
    """Take back what was said of an anomaly, or a mark that `anomalies marks` lists.

    The budget learns anew from the last two weeks in the ledger.
    """
    with _kept(given, db) as kept:
        gone = kept.unmark(id_)
    if not gone:
        raise InputError(f"there is no mark {id_!r}; `spanbudget anomalies marks` lists them")
    click.echo(f"{counted(gone, 'mark')} taken back. {_SOON}")


def _ms(at_ns: int | None) -> int | None:
    return None if at_ns is None else at_ns // NS_PER_MS


@contextmanager
def _kept(given: Path | None, db: Path | None) -> "Iterator[SqlAnomalies]":
    store = open_alert_store(chosen(given, db).ledger.url, create=False)
    try:
        yield store.anomalies
    finally:
        store.close()


def _episode(kept: "SqlAnomalies", id_: str) -> "EpisodeRecord":
    found = kept.episode(id_)
    if found is None:
        raise InputError(f"there is no anomaly {id_!r}; `spanbudget anomalies list --since 90d` lists them")
    return found


def _print_one(one: "EpisodeRecord", now_ms: int) -> None:
    lasted = told_length((now_ms if one.end_ms is None else one.end_ms) - one.start_ms)
    lines = [
        ("Anomaly", f"{one.id}  {state_of(one)}"),
        ("Series", clean(one.series.text)),
        ("What", WHAT.get(one.signal, one.signal)),
        ("Start", f"{minute(one.start_ms)} UTC"),
        ("End", f"{'lasts' if one.end_ms is None else minute(one.end_ms) + ' UTC'} ({lasted})"),
        ("Observed", value_text(one.signal, one.observed)),
        ("Expected", value_text(one.signal, one.expected)),
        *([] if one.excess_usd is None else [("Excess", usd_text(one.excess_usd))]),
        ("Peak score", f"{one.peak_score:.3g} (1 is the alert level)"),
    ]
    for name, text in lines:
        click.echo(f"{name:14}{text}")
    for number, contributor in enumerate(one.contributors):
        click.echo(f"{'' if number else 'Made by':14}{clean(contributor_text(contributor))}")

"""`spanbudget anomalies backtest`: what the watch would have found in the ledger's past."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from spanbudget.exporter.checks.limits import with_stored
from spanbudget.exporter.cli.anomaly_rows import counted_anomalies, episode_json, print_episodes
from spanbudget.exporter.cli.ledger_choice import Length, chosen, ledger_options
from spanbudget.exporter.cli.listing import counted, iso, minute
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.tallies import LedgerTallies, TallyQuestion, open_tallies
from spanbudget.processors.errors import InputError
from spanbudget.rules.durations import NS_PER_MS

if TYPE_CHECKING:
    from spanbudget.exporter.anomalies.watch import Watch

_WEEK_MS: Final = 604_800_000


@click.command(short_help="Tell what would have been found in the past.")
@ledger_options
@click.option("--last", type=Length(), default="14d", show_default=True, help="How far back to begin.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def backtest(given: Path | None, db: Path | None, last: int, *, as_json: bool) -> None:
    """Tell which anomalies would have been found in the ledger's past, and keep nothing.

    The budgets are those that the configuration watches; where it watches none, all of them. It learns from
    up to two weeks before, and looks at whole slots of ten minutes. Marks do not count. All times are UTC.

    \b
    Example:
      spanbudget anomalies backtest --last 14d
    """  # noqa: D301 - click's mark of lines that stay as they are
    config = with_stored(chosen(given, db))
    # It needs the detectors, which other commands do without.
    from spanbudget.exporter.anomalies.plan import plan_of  # noqa: PLC0415 - as above
    from spanbudget.exporter.anomalies.records import KeptAnomalies  # noqa: PLC0415 - as above
    from spanbudget.exporter.anomalies.watch import BACK_MS, Sources, Watch  # noqa: PLC0415 - as above

    plan = plan_of(config, config.budgets, every=not config.watches)
    if not plan.budgets:
        raise InputError("there is no budget to watch; name a configuration with budgets by --config")
    open_ledger(config.ledger.url, create=False).close()

    def tallies(question: TallyQuestion) -> LedgerTallies:
        return open_tallies(config.ledger.url, question=question)

    now_ms = time.time_ns() // NS_PER_MS
    since_ms = now_ms - last // NS_PER_MS
    back_ms = now_ms - since_ms + BACK_MS
    watch = Watch(plan, Sources(tallies, tuple), KeptAnomalies(), now_ms, back_ms=back_ms)
    try:
        _run(watch, now_ms, quiet=as_json or not sys.stderr.isatty())
    finally:
        watch.close()
    changed = watch.change().episodes
    found = sorted(
        (one for one in changed if one.until_ms > since_ms), key=lambda one: (-one.start_ms, one.id)
    )
    if as_json:
        told = {"since": iso(since_ms), "until": iso(now_ms), "series": len(watch.lines)}
        click.echo(json.dumps({**told, "anomalies": [episode_json(one) for one in found]}, indent=2))
        return
    watched = f"{len(watch.lines):,} series of {counted(len(plan.budgets), 'budget')}"
    click.echo(f"{watched}, {minute(since_ms)} to {minute(now_ms)} UTC")
    weeks = (now_ms - since_ms) / _WEEK_MS
    rate = f", {len(found) / len(watch.lines) / weeks:.2f} a week and series" if found and weeks >= 1 else ""
    click.echo(f"{counted_anomalies(len(found))}{rate}")
    if watch.first_ms is None:
        click.echo("There is no call in this time.")
    elif watch.first_ms > since_ms:
        click.echo(f"The first call was at about {minute(watch.first_ms)}; it learns from there.")
    if found:
        click.echo()
        print_episodes(found, now_ms)


def _run(watch: "Watch", now_ms: int, *, quiet: bool) -> None:
    begin_ms = watch.until_ms
    if quiet:
        watch.run_to(now_ms)
        return
    with click.progressbar(length=1_000, label="Replaying", file=sys.stderr) as bar:
        span_ms = max(1, now_ms - begin_ms)
        watch.run_to(now_ms, lambda: bar.update(int((watch.until_ms - begin_ms) / span_ms * 1_000) - bar.pos))
        bar.update(1_000 - bar.pos)

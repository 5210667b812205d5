"""`spanbudget rules backtest`: what rules would have fired on the ledger's past."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from spanbudget.exporter.alerting.backtest import Backtest, Backtested, Incident, by_alert
from spanbudget.exporter.alerting.needs import needs_of_groups
from spanbudget.exporter.alerting.replaying import make_stage, restored_from_ns
from spanbudget.exporter.alerting.rule_sets import rule_groups
from spanbudget.exporter.checks.limits import with_stored
from spanbudget.exporter.cli.ledger_choice import NS_PER_SECOND, Length, chosen, ledger_options
from spanbudget.exporter.cli.listing import Row, Titles, counted, iso, minute, print_rows
from spanbudget.exporter.cli.rule_choice import no_rules, number_text, pairs, rule_paths
from spanbudget.exporter.config import Config
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.tallies import LedgerTallies, open_tallies
from spanbudget.exporter.rule_files import load_rule_files
from spanbudget.rules.budget_gauges import BudgetGauges
from spanbudget.rules.durations import NS_PER_MS
from spanbudget.rules.groups import RuleGroup
from spanbudget.rules.labels import label_value
from spanbudget.rules.templates import Externals

_HOUR_NS: Final = 3_600 * NS_PER_SECOND
_DAY_NS: Final = 24 * _HOUR_NS
_WEEK_DAYS: Final = 7
_ROWS_MAX: Final = 100


@click.command()
@click.argument("files", nargs=-1)
@ledger_options
@click.option("--since", type=Length(), default="30d", show_default=True, help="How far back to begin.")
@click.option("--step", type=Length(), default="1m", show_default=True, help="How often rules are evaluated.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def backtest(
    files: tuple[str, ...], given: Path | None, db: Path | None, since: int, step: int, *, as_json: bool
) -> None:
    """Tell what the rules of FILES would have fired on the ledger's past.

    FILES are names, patterns such as 'rules/*.yaml', or packs such as pack:budget. Without them, the rules of
    the configuration are taken: its files and packs, and what the budgets' `alerts` expand to. Nothing is
    sent. Limits are those of today; grants and reservations are not replayed. All times are UTC.

    \b
    Examples:
      spanbudget rules backtest --since 30d
      spanbudget rules backtest --since 7d new-rules.yaml pack:spend
    """  # noqa: D301 - click's mark of lines that stay as they are
    config = with_stored(chosen(given, db))
    groups = load_rule_files(rule_paths(files)) if files else rule_groups(config)
    if not groups:
        raise no_rules()
    open_ledger(config.ledger.url, create=False).close()
    found, first_ns = _found(config, groups, since, step, quiet=as_json)
    if as_json:
        click.echo(json.dumps(_as_json(found, first_ns), indent=2))
    else:
        _print(found, groups, first_ns)


def _found(
    config: Config, groups: Sequence[RuleGroup], since: int, step: int, *, quiet: bool
) -> tuple[Backtested, int | None]:
    needs = needs_of_groups(groups)
    until_ns = time.time_ns()
    since_ns = until_ns - since
    since_ns -= since_ns % step
    stage = make_stage(config, config.budgets, needs, BudgetGauges(), restored_from_ns(needs, since_ns))
    externals = Externals(
        tuple(sorted(config.alerting.external_labels.items())), config.alerting.external_url
    )
    reader = open_tallies(config.ledger.url, question=stage.question)
    test = Backtest(stage, groups, needs, externals)
    try:
        first_ns = _first_call_ns(reader, since_ns, until_ns)
        if quiet or not sys.stderr.isatty():
            return test.run(reader, since_ns, until_ns, step), first_ns
        with click.progressbar(length=1_000, label="Replaying", file=sys.stderr) as bar:
            found = test.run(
                reader, since_ns, until_ns, step, lambda part: bar.update(int(part * 1_000) - bar.pos)
            )
            bar.update(1_000 - bar.pos)
        return found, first_ns
    finally:
        reader.close()


def _first_call_ns(reader: LedgerTallies, since_ns: int, until_ns: int) -> int | None:
    """The hour of the first call, so that a ledger that is young is not taken for a quiet one."""
    hours = reader.tallies_between(since_ns - since_ns % _HOUR_NS, until_ns, _HOUR_NS)
    first = next(iter(hours), None)
    return None if first is None else first.bucket_ns


def _print(found: Backtested, groups: Sequence[RuleGroup], first_ns: int | None) -> None:
    rules = sum(len(group.rules) for group in groups)
    shown_rate = _Rate.of(
        found.since_ns if first_ns is None else max(first_ns, found.since_ns), found.until_ns
    )
    count = len(found.incidents)
    click.echo(
        f"{counted(rules, 'rule')}, every {_told_length(found.step_ns // NS_PER_MS)},"
        f" {minute(found.since_ns // NS_PER_MS)} to {minute(found.until_ns // NS_PER_MS)} UTC"
    )
    click.echo(f"{counted(found.requests, 'call')}, {counted(count, 'alert')}{shown_rate.of_all(count)}")
    if first_ns is None:
        click.echo("There is no call in this time.")
    elif first_ns > found.since_ns + _HOUR_NS:
        click.echo(f"The first call was at about {minute(first_ns // NS_PER_MS)}; rates count from there.")
    at_start = sum(
        one.fired_at_ms <= (found.since_ns + found.step_ns) // NS_PER_MS for one in found.incidents
    )
    if at_start:
        click.echo(f"{counted(at_start, 'alert')} fired from the start on, and may have begun before it.")
    if found.incidents:
        click.echo()
        _print_incidents(found, shown_rate)
    for (group, rule), (times, error) in found.failures.items():
        click.echo(f"FAILED: {group}: {rule}, {counted(times, 'time')}, first with: {error}")
    if found.truncated:
        click.echo("There were more alerts than are kept; the numbers above are too low.")


class _Rate(NamedTuple):
    """How often something happened in a time that is long enough to say so.

    Attributes:
        title: Of the column; "" where the time is too short.
        times: How many of its units the time has.
    """

    title: str
    times: float

    @classmethod
    def of(cls, since_ns: int, until_ns: int) -> "_Rate":
        """The rate that suits a time."""
        days = (until_ns - since_ns) / _DAY_NS
        if days < 1:
            return cls("", 1)
        return cls("A DAY", days) if days < _WEEK_DAYS else cls("A WEEK", days / _WEEK_DAYS)

    def of_all(self, count: int) -> str:
        """What the first line says."""
        return f", {count / self.times:.1f} {self.title.lower()}" if self.title and count else ""


def _print_incidents(found: Backtested, shown_rate: _Rate) -> None:
    """Prints what fired, the most frequent first."""
    rates = (shown_rate.title,) if shown_rate.title else ()
    rows = []
    kinds = sorted(by_alert(found).items(), key=lambda one: (-len(one[1]), one[0]))
    for labels, incidents in kinds[:_ROWS_MAX]:
        rate = (f"{len(incidents) / shown_rate.times:.1f}",) if rates else ()
        last = incidents[-1]
        lasts = minute(last.fired_at_ms)
        longest = _told_length(max(_length(one, found) for one in incidents))
        now = "firing" if last.resolved_at_ms is None else ""
        name = label_value(labels, "alertname")
        rows.append(
            Row((name, f"{len(incidents):,}", *rate, lasts, longest, now), (pairs(labels, "alertname"),))
        )
    titles = ("ALERT", "FIRED", *rates, "LAST (UTC)", "LONGEST", "NOW")
    print_rows(Titles(titles, ("LABELS",), frozenset({"FIRED", "LONGEST", *rates})), rows)
    if len(kinds) > _ROWS_MAX:
        click.echo(f"… and {len(kinds) - _ROWS_MAX:,} more, which fired no more often; --json has all.")


def _length(incident: Incident, found: Backtested) -> int:
    end_ms = found.until_ns // NS_PER_MS if incident.resolved_at_ms is None else incident.resolved_at_ms
    return end_ms - incident.fired_at_ms


def _told_length(length_ms: int) -> str:
    if length_ms < 60_000:
        return f"{length_ms // 1_000}s"
    minutes = length_ms // 60_000
    days, hours = divmod(minutes // 60, 24)
    return f"{days}d {hours}h" if days else f"{hours}h {minutes % 60}m" if hours else f"{minutes}m"


def _as_json(found: Backtested, first_ns: int | None) -> dict[str, Any]:
    return {
        "since": iso(found.since_ns // NS_PER_MS),
        "until": iso(found.until_ns // NS_PER_MS),
        "step_seconds": found.step_ns // NS_PER_SECOND,
        "requests": found.requests,
        "first_call_hour": None if first_ns is None else iso(first_ns // NS_PER_MS),
        "truncated": found.truncated,
        "alerts": [
            {
                "labels": dict(one.alert.labels),
                "annotations": dict(one.alert.annotations),
                "value": number_text(one.alert.value),
                "fired_at": iso(one.fired_at_ms),
                "resolved_at": None if one.resolved_at_ms is None else iso(one.resolved_at_ms),
            }
            for one in found.incidents
        ],
        "failures": [
            {"group": group, "rule": rule, "count": count, "error": error}
            for (group, rule), (count, error) in found.failures.items()
        ],
    }

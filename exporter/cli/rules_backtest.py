"""`spanbudget rules backtest`: what rules would have fired on the ledger's past."""

import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from spanbudget.exporter.alerting.backtest import Backtest, Backtested, Incident, by_alert
from spanbudget.exporter.alerting.needs import needs_of_groups
from spanbudget.exporter.alerting.replaying import NS_PER_MS, make_stage, restored_from_ns
from spanbudget.exporter.alerting.rule_sets import rule_groups
from spanbudget.exporter.checks.limits import with_stored
from spanbudget.exporter.cli.ledger_choice import NS_PER_SECOND, Length, chosen, ledger_options
from spanbudget.exporter.config import Config
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.tallies import open_tallies
from spanbudget.exporter.rule_files import load_rule_files
from spanbudget.processors.errors import InputError
from spanbudget.rules.budget_gauges import BudgetGauges
from spanbudget.rules.groups import RuleGroup
from spanbudget.rules.labels import Labels
from spanbudget.rules.templates import Externals

if TYPE_CHECKING:
    from rich.console import Console

_WEEK_NS: Final = 7 * 86_400 * NS_PER_SECOND
_PIPE_COLUMNS: Final = 160
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@ledger_options
@click.option("--since", type=Length(), default="30d", show_default=True, help="How far back to begin.")
@click.option("--step", type=Length(), default="1m", show_default=True, help="How often rules are evaluated.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def backtest(
    files: Sequence[Path], given: Path | None, db: Path | None, since: int, step: int, *, as_json: bool
) -> None:
    """Tell what the rules of FILES would have fired on the ledger's past.

    Without FILES, the rules of the configuration are taken: its files and packs, and what the budgets'
    `alerts` expand to. Nothing is sent. Limits are those of today; grants and reservations are not replayed.

    \b
    Examples:
      spanbudget rules backtest --since 30d
      spanbudget rules backtest --since 7d new-rules.yaml
    """  # noqa: D301 - click's mark of lines that stay as they are
    config = with_stored(chosen(given, db))
    groups = load_rule_files(files) if files else rule_groups(config)
    if not groups:
        raise InputError(
            "there are no rules: name files, or give `rules` or a budget's `alerts` in the configuration"
        )
    open_ledger(config.ledger.url, create=False).close()
    found = _found(config, groups, since, step, quiet=as_json)
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        _print(found, groups)


def _found(config: Config, groups: Sequence[RuleGroup], since: int, step: int, *, quiet: bool) -> Backtested:
    needs = needs_of_groups(groups)
    until_ns = time.time_ns()
    since_ns = until_ns - since
    since_ns -= since_ns % step
    known_ns = restored_from_ns(needs, since_ns)
    stage = make_stage(config, config.budgets, needs, BudgetGauges(), known_ns)
    externals = Externals(
        tuple(sorted(config.alerting.external_labels.items())), config.alerting.external_url
    )
    reader = open_tallies(config.ledger.url, question=stage.question)
    test = Backtest(stage, groups, needs, externals)
    try:
        if quiet or not sys.stderr.isatty():
            return test.run(reader, since_ns, until_ns, step)
        with click.progressbar(length=1_000, label="Replaying", file=sys.stderr) as bar:
            return test.run(
                reader, since_ns, until_ns, step, lambda part: bar.update(int(part * 1_000) - bar.pos)
            )
    finally:
        reader.close()


def _print(found: Backtested, groups: Sequence[RuleGroup]) -> None:
    from rich.console import Console  # noqa: PLC0415 - JSON does not need it
    from rich.text import Text  # noqa: PLC0415 - as above

    console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS, highlight=False)
    rules = sum(len(group.rules) for group in groups)
    weeks = (found.until_ns - found.since_ns) / _WEEK_NS
    console.print(
        f"{rules} rules, {_day(found.since_ns // NS_PER_MS)} to {_day(found.until_ns // NS_PER_MS)}, every"
        f" {timedelta(seconds=found.step_ns // NS_PER_SECOND)}: {found.requests:,} calls,"
        f" {len(found.incidents):,} alerts, {len(found.incidents) / weeks:.1f} a week"
    )
    if found.incidents:
        _print_incidents(console, found, weeks)
    for (group, rule), (count, error) in found.failures.items():
        console.print(Text(f"{group}: {rule} failed {count:,} times: {error}", "red"))
    if found.truncated:
        console.print(Text("There were more alerts than are kept; the numbers above are too low.", "red"))


def _print_incidents(console: "Console", found: Backtested, weeks: float) -> None:
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in ("ALERT", "LABELS", "FIRED", "A WEEK", "FIRST", "LAST", "LONGEST"):
        right = title in ("FIRED", "A WEEK", "LONGEST")
        table.add_column(title, justify="right" if right else "left", overflow="fold")
    for labels, incidents in by_alert(found).items():
        name, rest = _named(labels)
        longest = max(_length(one, found) for one in incidents)
        table.add_row(
            name,
            rest,
            f"{len(incidents):,}",
            f"{len(incidents) / weeks:.1f}",
            _day(incidents[0].fired_at_ms),
            _day(incidents[-1].fired_at_ms),
            _told_length(longest),
        )
    console.print(table)


def _named(labels: Labels) -> tuple[str, str]:
    told = dict(labels)
    name = told.pop("alertname", "")
    return name, " ".join(f"{label}={value}" for label, value in told.items())


def _length(incident: Incident, found: Backtested) -> int:
    end_ms = found.until_ns // NS_PER_MS if incident.resolved_at_ms is None else incident.resolved_at_ms
    return end_ms - incident.fired_at_ms


def _told_length(length_ms: int) -> str:
    minutes = length_ms // 60_000
    days, hours = divmod(minutes // 60, 24)
    return f"{days}d {hours}h" if days else f"{hours}h {minutes % 60}m" if hours else f"{minutes}m"


def _day(at_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=at_ms)).strftime("%Y-%m-%d %H:%M")


def _as_json(found: Backtested) -> dict[str, Any]:
    return {
        "since": _iso(found.since_ns // NS_PER_MS),
        "until": _iso(found.until_ns // NS_PER_MS),
        "step_seconds": found.step_ns // NS_PER_SECOND,
        "requests": found.requests,
        "truncated": found.truncated,
        "alerts": [
            {
                "labels": dict(one.alert.labels),
                "annotations": dict(one.alert.annotations),
                "value": str(one.alert.value),
                "fired_at": _iso(one.fired_at_ms),
                "resolved_at": None if one.resolved_at_ms is None else _iso(one.resolved_at_ms),
            }
            for one in found.incidents
        ],
        "failures": [
            {"group": group, "rule": rule, "count": count, "error": error}
            for (group, rule), (count, error) in found.failures.items()
        ],
    }


def _iso(at_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat().replace("+00:00", "Z")

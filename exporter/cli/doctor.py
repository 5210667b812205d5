"""`spanbudget doctor`: proves on this machine that limits hold."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from spanbudget.exporter.checks.clock import check_clock
from spanbudget.exporter.checks.finding import Finding
from spanbudget.exporter.checks.limits import check_limits, with_stored
from spanbudget.exporter.checks.prices import check_prices
from spanbudget.exporter.checks.sdks import check_sdks
from spanbudget.exporter.checks.store import check_store
from spanbudget.exporter.checks.tracing import check_tracing
from spanbudget.exporter.config import Config, load_config
from spanbudget.processors.names_out import CONFIG_VARIABLE

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_COLUMNS: Final = 160  # of a pipe or a file, which have no width of their own
_TITLES: Final[Mapping[str, str]] = {
    "limits": "Limits: a copy of each hard budget, spent by 8 threads until it refuses",
    "spans": "Spans: what is counted of them",
    "clock": "Clock, and the windows of the budgets",
    "ledger": "Ledger",
    "prices": "Prices",
    "guard": "SDKs of this environment",
}
_STYLES: Final = {"pass": "green", "info": "dim", "warn": "yellow", "fail": "bold red"}
_MARKS: Final = {"pass": "PASS", "info": "--", "warn": "WARN", "fail": "FAIL"}


@click.command()
@click.argument(
    "given", metavar="[CONFIG]", required=False, envvar=CONFIG_VARIABLE, type=click.Path(path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def doctor(given: Path | None, *, as_json: bool) -> None:
    """Prove that the limits of CONFIG hold, on this machine, with what is installed here.

    A copy of each hard budget is spent on a throw-away SQLite ledger, and whatever could make the real one
    miss spend is looked at: sampling, clocks, the ledger, prices, SDKs. The real ledger is only read. Without
    CONFIG, `SPANBUDGET_CONFIG` names it. Exit code 1 means that something fails.
    """
    config = with_stored(load_config(given) if given is not None else Config())
    findings = list(_findings(config))
    failed = sum(finding.verdict == "fail" for finding in findings)
    if as_json:
        click.echo(json.dumps(_as_json(given, findings), indent=2))
    else:
        _print(findings)
    if failed:
        raise SystemExit(1)


def _findings(config: Config) -> Iterator[Finding]:
    now_ns = time.time_ns()
    checks: tuple[Callable[[], Iterable[Finding]], ...] = (
        lambda: check_limits(config),
        lambda: check_tracing(config),
        lambda: check_clock(config.budgets, now_ns),
        lambda: check_store(config.ledger.url),
        lambda: check_prices(config, now_ns),
        lambda: check_sdks(config),
    )
    for check in checks:
        yield from check()


def _print(findings: list[Finding]) -> None:
    from rich.console import Console  # noqa: PLC0415 - JSON does not need it
    from rich.text import Text  # noqa: PLC0415 - as above

    console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS, highlight=False)
    order = list(_TITLES)
    for area, found in groupby(sorted(findings, key=lambda one: order.index(one.area)), lambda one: one.area):
        console.print(Text(_TITLES[area], "bold"))
        _print_area(console, list(found))
        console.print()
    counts = {mark: sum(one.verdict == mark for one in findings) for mark in _MARKS}
    text = f"{counts['pass']} passed, {counts['warn']} warned, {counts['fail']} failed"
    console.print(Text(text, _STYLES["fail" if counts["fail"] else "warn" if counts["warn"] else "pass"]))


def _print_area(console: "Console", findings: list[Finding]) -> None:
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=40)
    table.add_column(overflow="fold")
    for finding in findings:
        style = _STYLES[finding.verdict]
        table.add_row(Text(_MARKS[finding.verdict], style), Text(finding.subject), Text(finding.told))
    console.print(table)


def _as_json(given: Path | None, findings: list[Finding]) -> dict[str, Any]:
    return {
        "config": None if given is None else str(given),
        "ok": not any(finding.verdict == "fail" for finding in findings),
        "findings": [
            {
                "area": one.area,
                "subject": one.subject,
                "verdict": one.verdict,
                "told": one.told,
                "numbers": dict(one.numbers),
            }
            for one in findings
        ],
    }

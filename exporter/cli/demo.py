"""`spanbudget demo`: two real applications spend at a fake provider while their budgets are shown."""

import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console
from rich.live import Live

from spanbudget.exporter.demo.runner import Demo, missing_packages
from spanbudget.exporter.demo.summary import Outcome, print_summary
from spanbudget.exporter.demo.watch import budget_table, status_line

if TYPE_CHECKING:
    from rich.table import Table

_REDRAW_SECONDS = 0.25
_LINE_SECONDS = 2.0
_PLAIN_COLUMNS = 160  # of a pipe or a file, which have no width of their own


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=20,
    show_default=True,
    help="How long calls are made.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses the calls and their tokens.")
@click.option("--db", type=click.Path(path_type=Path, dir_okay=False), help="Ledger to make; it is kept.")
@click.option("--keep", is_flag=True, help="Keep ledger and logs, and say where they are.")
def demo(seconds: float, seed: int, db: Path | None, *, keep: bool) -> None:
    """Watch two applications spend at a fake provider: no key, no network.

    One uses OpenAI's client and is not changed at all, the other one Anthropic's client in another dialect of
    spans. Both share one ledger and send OTLP to a receiver. At the end the ledger is compared with what the
    provider would have billed. Exit code 1 means that something differs.
    """
    _refuse_unready(db)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    folder = Path(tempfile.mkdtemp(prefix="spanbudget-demo-"))
    try:
        started = time.monotonic()
        with Demo(folder, db or folder / "ledger.db", seconds=seconds, seed=seed) as running:
            _watch(running, seconds)
            states = running.states(time.time_ns())
            outcome = Outcome(
                time.monotonic() - started, running.comparison(), running.receiver, states, running.failures()
            )
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    print_summary(Console(width=None if sys.stdout.isatty() else _PLAIN_COLUMNS), outcome)
    if keep:
        click.echo(f"Kept: {folder}", err=True)
    if db:
        click.echo(f"Ledger: {db}", err=True)
    if not outcome.ok:
        raise SystemExit(1)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """Ends as Ctrl-C does, so that the applications end too; the exit code is what shells expect."""
    raise SystemExit(128 + number)


def _refuse_unready(db: Path | None) -> None:
    """Refuses to start where something is missing, or would be mixed up."""
    missing = missing_packages()
    if missing:
        click.echo(
            f"spanbudget demo needs {', '.join(missing)}; install them with: pip install 'spanbudget[demo]'",
            err=True,
        )
        raise SystemExit(2)
    if db is not None and db.exists():
        click.echo(
            f"{db} exists; the demo wants a ledger of its own: name a file that does not exist", err=True
        )
        raise SystemExit(2)


def _watch(running: Demo, seconds: float) -> None:
    """Shows the budgets until the applications have ended: a live table, or lines without a terminal."""
    console = Console(stderr=True)
    started = time.monotonic()
    if not console.is_terminal:
        console.print(f"Two applications make calls for {seconds:g} s ...")
        while running.running():
            time.sleep(min(_LINE_SECONDS, _REDRAW_SECONDS + seconds / 10))
            console.print(f"{time.monotonic() - started:5.1f} s  {_line(running)}", soft_wrap=True)
        return
    with Live(_table(running, 0), console=console, auto_refresh=False, transient=True) as live:
        while running.running():
            time.sleep(_REDRAW_SECONDS)
            live.update(_table(running, time.monotonic() - started), refresh=True)


def _table(running: Demo, elapsed: float) -> "Table":
    states = running.states(time.time_ns())
    return budget_table(states, f"{_heading(running)}, {elapsed:.0f} s")


def _heading(running: Demo) -> str:
    return f"SpanBudget demo: {len(running.provider.answered):,} requests answered"


def _line(running: Demo) -> str:
    return f"{len(running.provider.answered):,} requests; {status_line(running.states(time.time_ns()))}"

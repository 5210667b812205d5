"""`spanbudget replay`: files of spans through the whole road into a ledger."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from spanbudget.exporter.config import Config, load_config
from spanbudget.exporter.ledger import open_ledger, url_of
from spanbudget.exporter.replay.files import SpanFile
from spanbudget.exporter.replay.report import (
    Summary,
    call_json,
    explanation,
    explanation_line,
    models_of,
    print_summary,
    summary_json,
)
from spanbudget.exporter.replay.run import Replay
from spanbudget.processors.booking import Booking
from spanbudget.processors.spans import SpanRecord

_PIPE_COLUMNS = 200  # a pipe or a file has no width of its own


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--db", metavar="LEDGER", help="Ledger to append to, a file or a URL; a temporary one without it."
)
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="Budgets, prices and rules.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", help="Form of the summary."
)
@click.option(
    "--calls", "show", flag_value="calls", help="Print one JSON line for each counted call instead."
)
@click.option(
    "--explain", "show", flag_value="explain", help="Print why each span was counted or not instead."
)
def replay(
    files: tuple[Path, ...], db: str | None, config_path: Path | None, form: str, show: str | None
) -> None:
    """Price and count the spans of FILES, each call once.

    FILES are OTLP/JSON as the Collector's file exporter writes it, or captured spans, one JSON document a
    line, plain or gzip. Replaying the same spans into the same ledger changes nothing. Exit code 2 means that
    a line could not be read; the rest was replayed.
    """
    config = load_config(config_path) if config_path is not None else Config()
    problems: list[str] = []
    with ExitStack() as stack:
        opened = [SpanFile(path) for path in files]  # all of them, before anything is written
        ledger = open_ledger(url_of(db or _temporary(stack)))
        run = Replay(ledger, config, retention=db is not None)
        stack.callback(run.close)
        track = stack.enter_context(_progress(files))
        run.run(
            _spans(opened, track, problems), time.time_ns(), _explainer(form) if show == "explain" else None
        )
        track.stop()
        if show == "calls":
            for entry in run.calls():
                click.echo(call_json(entry))
        elif show is None:
            _summarise(run, sum(file.decoder.malformed for file in opened), form)
    if problems:
        raise SystemExit(2)


def _temporary(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spanbudget-"))) / "replay.db"


def _progress(files: tuple[Path, ...]) -> Progress:
    """A bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    bar.add_task("replay", total=sum(path.stat().st_size for path in files))
    return bar


def _spans(files: list[SpanFile], bar: Progress, problems: list[str]) -> Iterator[SpanRecord]:
    """All spans, with the bar moved on and each unreadable line told as it comes."""
    task = bar.task_ids[0]
    done = 0
    for file in files:
        told = 0
        for span in file.spans():
            for problem in file.problems[told:]:
                click.echo(problem, err=True)
            told = len(file.problems)
            bar.update(task, completed=done + file.position)
            yield span
        for problem in file.problems[told:]:
            click.echo(problem, err=True)
        problems.extend(file.problems)
        done += file.position


def _explainer(form: str) -> Callable[[SpanRecord, Booking], None]:
    def tell(span: SpanRecord, booking: Booking) -> None:
        told = explanation(span, booking)
        click.echo(json.dumps(told) if form == "json" else explanation_line(told))

    return tell


def _summarise(run: Replay, malformed: int, form: str) -> None:
    summary = Summary(
        spans=run.spans,
        malformed=malformed,
        models=models_of(run.calls()),
        decisions=run.decisions(),
        budgets=run.budget_states(run.newest_ns) if run.newest_ns else [],
    )
    if form == "json":
        click.echo(summary_json(summary))
    else:
        console = Console()
        print_summary(summary, console if console.is_terminal else Console(width=_PIPE_COLUMNS))

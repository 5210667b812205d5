"""`spanbudget run`: any program under a cap, without configuration."""

import json
import os
import re
import shutil
import sys
import tempfile
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, Final

import click

from spanbudget.exporter.cli.config import ledger_place
from spanbudget.exporter.runs.configuration import Cap, RunConfiguration, write_configuration
from spanbudget.exporter.runs.notes import FOLDER_VARIABLE, LABEL_VARIABLE, PARENT_VARIABLE, Notes
from spanbudget.exporter.runs.outcome import (
    Outcome,
    exit_code_of,
    prepare_ledger,
    processes_of,
    refusals_of,
    spending_of,
)
from spanbudget.exporter.runs.program import ProgramError, environment, run_program
from spanbudget.processors.errors import SpanBudgetError
from spanbudget.processors.names_out import CONFIG_VARIABLE

WAIT_MS: Final = 10_000
"""How long a call waits for the others of the program to end before it is refused (10 s): together they hold
more than they will cost."""
_PERIODS: Final = ("hourly", "daily", "weekly", "monthly", "yearly", "total")
_PIPE_COLUMNS: Final = 160  # of a pipe or a file, which have no width of their own


def _usd(context: click.Context, parameter: click.Parameter, given: str) -> Decimal:
    """`2`, `2.50` or `$2.50`.

    Raises:
        BadParameter: It is no amount, or not above 0.
    """
    try:
        amount = Decimal(given.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount <= 0:
        raise click.BadParameter(f"{given!r} is not an amount of USD above 0", context, parameter)
    return amount


def _providers(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """`localhost:11434=openai`: host → provider.

    Raises:
        BadParameter: A part is missing.
    """
    hosts = {}
    for text in given:
        host, _, provider = text.partition("=")
        if not (host and provider):
            told = f"{text!r} is not HOST=PROVIDER, as localhost:11434=openai is"
            raise click.BadParameter(told, context, parameter)
        hosts[host] = provider
    return hosts


def _checked(context: click.Context, parameter: click.Parameter, given: str) -> str:
    """A name that can stand in a pattern.

    Raises:
        BadParameter: It cannot.
    """
    if not re.fullmatch(r"[\w.-]{1,64}", given):
        raise click.BadParameter("must be 1 to 64 letters, digits and . _ -", context, parameter)
    return given


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--max-cost", metavar="USD", callback=_usd, required=True, help="Most that the program may spend."
)
@click.option(
    "--period",
    type=click.Choice(_PERIODS),
    help="All runs of this name in a period share the cap, by a ledger.",
)
@click.option(
    "--config", "given", type=click.Path(path_type=Path), envvar=CONFIG_VARIABLE,
    help="Further budgets, prices and the ledger.  [env: SPANBUDGET_CONFIG]",
)  # fmt: skip
@click.option("--name", default="run", callback=_checked, show_default=True, help="Name of the budget.")
@click.option(
    "--on-exceed", type=click.Choice(["block", "clamp"]), default="block", show_default=True,
    help="Refuse a call that may cost too much, or shorten its answer.",
)  # fmt: skip
@click.option(
    "--wait-ms", type=click.IntRange(0, 600_000), default=WAIT_MS, show_default=True,
    help="How long a call waits for others to end before it is refused.",
)  # fmt: skip
@click.option(
    "--host",
    "hosts",
    metavar="HOST=PROVIDER",
    callback=_providers,
    multiple=True,
    help="A further host that is guarded.",
)
@click.option("--json", "json_file", type=click.File("w"), help="Also write the outcome as JSON.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(  # noqa: PLR0913 - one for each option
    *,
    max_cost: Decimal,
    period: str | None,
    given: Path | None,
    name: str,
    on_exceed: str,
    wait_ms: int,
    hosts: dict[str, str],
    json_file: IO[str] | None,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND with its calls of language models counted and capped, and tell what they cost.

    Every Python process that COMMAND starts shares the cap; other programs are not capped themselves. A call
    that may cost more than is left is refused with HTTP 402 before it is sent. The exit code is 4 where the
    budget has refused a call and COMMAND has failed, and that of COMMAND otherwise.
    """
    cap = Cap(name, max_cost, period, on_exceed, wait_ms, hosts)
    folder = Path(tempfile.mkdtemp(prefix="spanbudget-run-"))
    try:
        code = _run(folder, cap, _base(given), command, json_file)
    except ProgramError as error:
        click.echo(f"spanbudget: {error}", err=True)
        code = error.exit_code
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(code)


def _run(
    folder: Path, cap: Cap, given: Path | None, command: tuple[str, ...], json_file: IO[str] | None
) -> int:
    configured = write_configuration(folder, cap, given=given, outer=os.environ.get(LABEL_VARIABLE))
    prepare_ledger(configured)
    variables = {
        **configured.variables,
        CONFIG_VARIABLE: str(configured.path),
        FOLDER_VARIABLE: str(folder),
        LABEL_VARIABLE: configured.label,
        PARENT_VARIABLE: str(os.getpid()),
    }
    since_ns, started = time.time_ns(), time.monotonic()
    code = run_program(command, environment(variables))
    seconds = time.monotonic() - started
    try:
        outcome = _outcome(folder, configured, command, code, seconds, since_ns)
    except SpanBudgetError as error:
        click.echo(f"spanbudget: what was spent cannot be told: {error}", err=True)
        return exit_code_of(code, refusals_of(Notes(folder).read()))
    _tell(outcome, json_file)
    return outcome.exit_code


def _outcome(
    folder: Path, run: RunConfiguration, command: tuple[str, ...], code: int, seconds: float, since_ns: int
) -> Outcome:
    notes = Notes(folder).read()
    capped, uncapped = processes_of(notes)
    place = ledger_place(run.config.ledger.url) if run.kept else None
    spending = spending_of(run, since_ns)
    return Outcome(command, code, seconds, spending, refusals_of(notes), capped, uncapped, place)


def _tell(outcome: Outcome, json_file: IO[str] | None) -> None:
    from rich.console import Console  # noqa: PLC0415 - needed at the end only

    from spanbudget.exporter.runs.outcome_text import outcome_json, print_outcome  # noqa: PLC0415 - as above

    print_outcome(Console(stderr=True, width=None if sys.stderr.isatty() else _PIPE_COLUMNS), outcome)
    if json_file is not None:
        json.dump(outcome_json(outcome), json_file, indent=2)
        json_file.write("\n")
        json_file.flush()


def _base(given: Path | None) -> Path | None:
    """The configuration to add to; in a run inside of a run it is that of the outer one, whose cap holds too.

    Raises:
        UsageError: Another one is given there.
    """
    outer = os.environ.get(CONFIG_VARIABLE) if os.environ.get(FOLDER_VARIABLE) else None
    if outer and given is not None and given != Path(outer):
        raise click.UsageError(
            "--config cannot be given inside of a run: the cap of the outer one would be lost"
        )
    return given

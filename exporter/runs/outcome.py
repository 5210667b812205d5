"""What a run has spent, read from its ledger when its program has ended."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from spanbudget.exporter.replay.report import ModelSummary, models_of
from spanbudget.exporter.runs.configuration import RunConfiguration
from spanbudget.exporter.runs.notes import LABEL
from spanbudget.exporter.wiring import open_counted, open_pipeline
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.ledger import Entry

if TYPE_CHECKING:
    from spanbudget.exporter.admission.keeper import Keeper

EXIT_STOPPED: Final = 4
"""The budget has refused a call, and the program has ended with an error."""
_FLUSH_SECONDS: Final = 30.0
_NOT_BILLED: Final = "not_billed"


@dataclass(frozen=True, slots=True)
class Spending:
    """What a ledger tells of a run.

    Attributes:
        state: The budget that caps it.
        models: The calls of the run by model, the dearest first.
    """

    state: BudgetState
    models: Sequence[ModelSummary]


@dataclass(frozen=True, slots=True)
class Refusals:
    """The calls that budgets have refused.

    Attributes:
        by_reason: (budget, reason) → calls.
        last: What the last one was told; "" where there was none.
    """

    by_reason: Counter[tuple[str, str]]
    last: str

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.by_reason.values())


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run has ended.

    Attributes:
        command: The program and its arguments.
        program_code: Its exit code; minus the number of the signal that ended it.
        seconds: How long it ran.
        spending: What was spent.
        refusals: What was refused.
        capped: Python processes that were capped.
        uncapped: Python programs without SpanBudget → processes.
        ledger: Where the spend is kept; None where it is not.
    """

    command: Sequence[str]
    program_code: int
    seconds: float
    spending: Spending
    refusals: Refusals
    capped: int
    uncapped: Counter[str]
    ledger: str | None

    @property
    def stopped(self) -> bool:
        """Whether the budget stopped the program: it refused a call, and the program ended with an error."""
        return self.exit_code == EXIT_STOPPED and bool(self.refusals.count)

    @property
    def exit_code(self) -> int:
        """See `exit_code_of`."""
        return exit_code_of(self.program_code, self.refusals)


def exit_code_of(program_code: int, refusals: Refusals) -> int:
    """4 where the budget stopped the program; else the program's own code, 128 + n for the signal n.

    Args:
        program_code: Its exit code; minus the number of the signal that ended it.
        refusals: What was refused. A program that copes with it, or is ended by a signal, was not stopped.
    """
    if program_code < 0:
        return 128 - program_code
    return EXIT_STOPPED if program_code and refusals.count else program_code


def prepare_ledger(run: RunConfiguration) -> None:
    """Makes the ledger before the processes of a run come for it all at once.

    Raises:
        LedgerError: It cannot be used.
    """
    open_counted(run.config).close()


def spending_of(run: RunConfiguration, since_ns: int) -> Spending:
    """What a run has spent, with what killed processes have left in their journals.

    Args:
        run: The configuration of the run.
        since_ns: When it began, nanoseconds since the epoch.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    pipeline = open_pipeline(run.config)
    try:
        cast("Keeper", pipeline.admission).sweep(time.time_ns())
        pipeline.flush(_FLUSH_SECONDS)
        found = _own_calls(pipeline.ledger.entries(since_ns=since_ns), run.label)
        states = pipeline.budget_states()
    finally:
        pipeline.shutdown()
    state = next(one for one in states if one.budget == run.budget)
    return Spending(state, models_of(found))


def refusals_of(notes: Iterable[dict[str, Any]]) -> Refusals:
    """The refusals among the notes of a run."""
    found = [note for note in notes if "refusal" in note]
    told = Counter((str(note.get("budget")), str(note.get("reason"))) for note in found)
    return Refusals(told, str(found[-1].get("message", "")) if found else "")


def processes_of(notes: Iterable[dict[str, Any]]) -> tuple[int, Counter[str]]:
    """How many Python processes were capped, and those that could not be, by their program."""
    found = [note for note in notes if "process" in note]
    uncapped = Counter(str(note.get("executable")) for note in found if not note.get("capped"))
    return len({note["process"] for note in found if note.get("capped")}), uncapped


def _own_calls(entries: Iterable[Entry], label: str) -> list[Entry]:
    """The standing calls of a run, and of runs inside of it, but those that failed and cost nothing."""
    own: dict[bytes, Entry] = {}
    for entry in entries:
        told = dict(entry.priced.call.labels).get(LABEL, "")
        free = entry.priced.cost == 0 and _NOT_BILLED in (*entry.priced.reasons, *entry.priced.call.reasons)
        if free or (told != label and not told.startswith(f"{label}/")):
            continue
        if entry.kind == "call":
            own[entry.id[:-1]] = entry
        else:
            own.pop(entry.id[:-1], None)
    return list(own.values())

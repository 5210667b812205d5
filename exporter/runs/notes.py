"""What the processes of a run tell the one that has started it: lines of a file, which survive `kill -9`.

Only the standard library is used, because `sitecustomize` loads this file in every Python process of a run,
in environments without SpanBudget too.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

FOLDER_VARIABLE: Final = "SPANBUDGET_RUN"
"""The folder of the run that a process belongs to; unset outside of one."""
LABEL_VARIABLE: Final = "SPANBUDGET_RUN_LABEL"
"""What every call of the run is labelled with."""
PARENT_VARIABLE: Final = "SPANBUDGET_RUN_PARENT"
"""The id of the process that has started the run."""
LABEL: Final = "spanbudget.run"
"""The label: `agent/2f61c0`, and `agent/2f61c0/inner/77b0d1` in a run inside of that one."""

NOTES_BYTES_MAX: Final = 1 << 20
"""Beyond it nothing is noted (1 MiB, about 3,000 refusals): the first ones tell enough."""
MESSAGE_CHARS_MAX: Final = 400


class Notes:
    """The notes of one run.

    Args:
        folder: The folder of the run.
    """

    def __init__(self, folder: str | Path) -> None:
        self._path = os.path.join(folder, "notes.jsonl")  # noqa: PTH118 - pathlib costs every process 10 ms

    def process(self, *, capped: bool) -> None:
        """Notes this process.

        Args:
            capped: Whether SpanBudget is there to cap it.
        """
        self._add({"process": os.getpid(), "executable": sys.executable, "capped": capped})

    def refusal(self, budget: str, reason: str, message: str) -> None:
        """Notes a refused call.

        Args:
            budget: The budget that refused it.
            reason: `BudgetExceeded.reason`.
            message: Its text.
        """
        told = message[:MESSAGE_CHARS_MAX]
        self._add({"refusal": os.getpid(), "budget": budget, "reason": reason, "message": told})

    def read(self) -> list[dict[str, Any]]:
        """All notes, in their order; a line that a killed process has cut off is left out."""
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
                lines = file.read().splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [note for note in found if isinstance(note, dict)]

    def _add(self, note: dict[str, Any]) -> None:
        # The folder is gone where the run has ended and this process has not: there is nobody to tell.
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                if os.fstat(descriptor).st_size < NOTES_BYTES_MAX:
                    os.write(descriptor, json.dumps(note).encode() + b"\n")  # one write: no line is torn
            finally:
                os.close(descriptor)


def own_notes() -> Notes | None:
    """The notes of the run that this process belongs to; None outside of one."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Notes(folder) if folder else None

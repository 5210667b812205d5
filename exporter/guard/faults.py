"""The border to the application's call: a fault of ours must not become the application's."""

import logging
import os
from types import TracebackType
from typing import Self

from spanbudget.processors import names_out as names

_logger = logging.getLogger(__name__)


class Faults:
    """Counts faults, logs the first, and swallows them, except under `SPANBUDGET_RERAISE`.

    As a context manager it stands around everything that the guard does on the application's thread, but
    never around the application's own call.

    Attributes:
        count: Faults so far.
    """

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        """Guards what follows."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Takes note of a fault; True swallows it. What ends a program or a task is no fault."""
        if not isinstance(error, Exception):
            return False
        self.count += 1
        if self.count == 1:
            _logger.error("A call was not guarded in full; further faults are only counted", exc_info=error)
        return not os.environ.get(names.RERAISE_VARIABLE)

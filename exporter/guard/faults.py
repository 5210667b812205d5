"""The border to the application's call: a fault of ours must not become the application's."""

import logging
import os
from types import TracebackType
from typing import Self

from spanbudget.processors import names_out as names

_logger = logging.getLogger(__name__)


class Faults:
    """Counts faults, logs the first, and swallows them, except under `SPANBUDGET_RERAISE`.

    It stands around everything that the guard does on the application's thread, but never around the
    application's own call: as a context manager, or, on the way of every call, in an `except`, which costs
    nothing where nothing fails.

    Attributes:
        count: Faults so far.
    """

    def __init__(self) -> None:
        self.count = 0

    def take(self, error: Exception) -> None:
        """Takes note of a fault; raises it again where faults are not to be swallowed."""
        if not self._swallow(error):
            raise error

    def __enter__(self) -> Self:
        """Guards what follows."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Takes note of a fault; True swallows it. What ends a program or a task is no fault."""
        return isinstance(error, Exception) and self._swallow(error)

    def _swallow(self, error: Exception) -> bool:
        self.count += 1
        if self.count == 1:
            _logger.error("A call was not guarded in full; further faults are only counted", exc_info=error)
        return not os.environ.get(names.RERAISE_VARIABLE)

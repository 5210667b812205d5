"""The stretch of time that a function over a range looks at."""

from typing import NamedTuple


class RangeWindow(NamedTuple):
    """A range, already shifted by `offset` and `@`; it holds what is after its start, up to its end.

    Attributes:
        start_ms: Its open end, milliseconds since the epoch.
        end_ms: Its closed end, milliseconds since the epoch.
        at_ms: The time of evaluation, which no `offset` shifts, milliseconds since the epoch.
    """

    start_ms: int
    end_ms: int
    at_ms: int

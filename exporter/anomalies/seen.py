"""What a detector says about a slot, whatever it looks at."""

from typing import NamedTuple, Protocol

from spanbudget.rules.anomalies.slots import Slot


class Open(NamedTuple):
    """The episode that lasts.

    Attributes:
        start_ms: Its begin, milliseconds since the epoch.
        signal: What was unusual when it began.
        observed: What there was in it, US dollars or the signal's own unit.
        expected: What was expected of that time.
        peak_score: The highest score so far.
    """

    start_ms: int
    signal: str
    observed: float
    expected: float
    peak_score: float


class Seen(NamedTuple):
    """What a detector says about a slot.

    Attributes:
        signal: What its score is about.
        status: `learning`, `ok`, or `anomalous` while there is an episode.
        score: 1 is the alert level.
        expected: What was to be expected of the slot, US dollars or the signal's own unit; None where that is
            not known.
        low: What is usual, at least; None likewise.
        high: What is usual, at most; None likewise.
        excess_usd: US dollars beyond what was expected since the begin of the episode, 0 outside of one; None
            where the signal is not about money.
        episode: The episode that lasts; None where there is none.
    """

    signal: str
    status: str
    score: float
    expected: float | None
    low: float | None
    high: float | None
    excess_usd: float | None
    episode: Open | None

    @property
    def alarms(self) -> bool:
        """Whether the slot itself is unusual enough to be told, not only one before it."""
        return self.episode is not None and self.score >= 1


class Detector(Protocol):
    """Looks at the slots of one series."""

    def observe(self, slot: Slot) -> Seen:
        """Says what it thinks of a slot, and learns of it; slots come in order."""
        ...

    def peek(self, slot: Slot) -> Seen | None:
        """Says what it thinks of the slot that has not ended; None where it only judges whole slots."""
        ...

    def exclude(self, start_ms: int, end_ms: int) -> None:
        """Does not learn of a time."""
        ...

    def expect(self, start_ms: int, end_ms: int) -> None:
        """Does not learn of a time, and finds nothing in it."""
        ...

    def state(self) -> bytes:
        """What it has learnt."""
        ...

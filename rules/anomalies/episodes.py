"""Episodes: alarms that belong together are one anomaly, which alerts once."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal, TypeAlias, get_args

from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.slots import SLOT_MS

Signal: TypeAlias = Literal["spend", "cost_per_request", "silence"]
SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)
APART_MS: Final = 21_600_000
"""Alarms that are less than 6 hours apart are one episode."""
KEPT: Final = 8
"""Episodes that are remembered."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One anomaly of one series.

    Attributes:
        id: 12 hexadecimal digits, the same whenever the same series is looked at again.
        signal: What was unusual when it began.
        start_ms: Its begin, milliseconds since the epoch.
        end_ms: The end of its last unusual slot, milliseconds since the epoch; None while it is open.
        peak_score: The highest score; 1 is the alert level.
        observed_usd: What was spent in it, from its begin to its last unusual slot.
        expected_usd: What was expected in that time; for `cost_per_request` what its requests usually cost.
    """

    id: str
    signal: Signal
    start_ms: int
    end_ms: int | None
    peak_score: float
    observed_usd: float
    expected_usd: float

    @property
    def excess_usd(self) -> float:
        """What was spent beyond what was expected; below 0 where calls are missing."""
        return self.observed_usd - self.expected_usd


def episode_id(series: str, start_ms: int, signal: Signal) -> str:
    """What names an episode of a series."""
    text = f"{series}\0{start_ms}\0{signal}".encode()
    return blake2b(text, digest_size=6, person=b"spanbudget").hexdigest()


class Episodes:
    """The open episode of a series, and the last ones.

    Args:
        series: Names the series.

    Attributes:
        is_open: Whether an episode is open.
        signal: What began the open episode, or else the last one.
        start_ms: Begin of the open episode.
        slots: Slots of the open episode that may become usual in the end.
    """

    __slots__ = (
        "_expected", "_last_ms", "_observed", "_past", "_peak", "_series", "_since_expected",
        "_since_observed", "is_open", "signal", "slots", "start_ms",
    )  # fmt: skip

    def __init__(self, series: str) -> None:
        self._series = series
        self._past: list[Episode] = []
        self.is_open = False
        self.signal: Signal = "spend"
        self.start_ms = 0
        self.slots = 0
        self._last_ms = 0
        self._peak = self._observed = self._expected = 0.0
        self._since_observed = self._since_expected = 0.0

    @property
    def excess_usd(self) -> float:
        """What the open episode spent beyond what was expected, so far; 0 where none is open."""
        return self._observed - self._expected if self.is_open else 0.0

    def known(self) -> tuple[Episode, ...]:
        """The last episodes in order of time; the open one is the last."""
        return (*self._past, self._now(None)) if self.is_open else tuple(self._past)

    def begin(
        self, start_ms: int, signal: Signal, observed_usd: float = 0.0, expected_usd: float = 0.0
    ) -> None:
        """Opens an episode.

        Args:
            start_ms: Its begin; it begins no earlier than the last one ended.
            signal: What is unusual.
            observed_usd: What its slots cost that are over.
            expected_usd: What was expected of these.
        """
        ended = self._past[-1].end_ms if self._past else None
        self.is_open, self.signal = True, signal
        self.start_ms = start_ms if ended is None else max(start_ms, ended)
        self.slots, self._last_ms, self._peak = 0, start_ms, 0.0
        self._observed, self._expected = observed_usd, expected_usd
        self._since_observed = self._since_expected = 0.0

    def add(
        self, at_ms: int, score: float, observed_usd: float, expected_usd: float, *, unusual: bool
    ) -> None:
        """Takes a slot of the open episode in; it counts as soon as it, or a later one, is unusual."""
        self._since_observed += observed_usd
        self._since_expected += expected_usd
        if not unusual:
            return
        self._last_ms, self._peak = at_ms, max(self._peak, score)
        self._observed += self._since_observed
        self._expected += self._since_expected
        self._since_observed = self._since_expected = 0.0

    def is_over(self, at_ms: int) -> bool:
        """Whether an unusual slot that starts now would be another episode."""
        return self.is_open and at_ms - self._last_ms >= APART_MS

    def end(self) -> None:
        """Closes the open episode."""
        self._past = [*self._past, self._now(self._last_ms + SLOT_MS)][-KEPT:]
        self.is_open = False

    def _now(self, end_ms: int | None) -> Episode:
        """The open episode."""
        id_ = episode_id(self._series, self.start_ms, self.signal)
        return Episode(id_, self.signal, self.start_ms, end_ms, self._peak, self._observed, self._expected)

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        whole = (self.is_open, SIGNALS.index(self.signal), self.start_ms, self.slots, self._last_ms)
        packer.put("q", whole)
        sums = (self._peak, self._observed, self._expected, self._since_observed, self._since_expected)
        packer.put("d", sums)
        for one in self._past:
            packer.put("q", (SIGNALS.index(one.signal), one.start_ms, one.end_ms or 0))
            packer.put("d", (one.peak_score, one.observed_usd, one.expected_usd))
        packer.put("q", ())

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        is_open, signal, self.start_ms, self.slots, self._last_ms = unpacker.integers("q", 5)
        self.is_open, self.signal = bool(is_open), SIGNALS[signal]
        sums = unpacker.take("d", 5)
        self._peak, self._observed, self._expected, self._since_observed, self._since_expected = sums
        self._past = []
        while whole := unpacker.integers("q"):
            number, start_ms, end_ms = whole
            peak, observed, expected = unpacker.take("d", 3)
            id_ = episode_id(self._series, start_ms, SIGNALS[number])
            self._past.append(Episode(id_, SIGNALS[number], start_ms, end_ms, peak, observed, expected))

"""What the watch keeps in the ledger, without any database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.rules.anomalies.contributors import Contributor

MarkKind: TypeAlias = Literal["acknowledged", "expected"]
"""`acknowledged`: it was an incident; `expected`: it was none. Neither is the measure of what comes later."""
UNTIL_ENDED_MS: Final = 2**62
"""As the end of a mark: as long as its episode lasts."""


@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """An anomaly from its begin to its end.

    Attributes:
        id: Names it.
        series: Of which series.
        signal: What was unusual: `spend`, `cost_per_request`, `silence`, `latency`, `error_rate`, …
        start_ms: Milliseconds since the epoch.
        end_ms: Milliseconds since the epoch; None while it lasts.
        last_ms: End of its last slot that was unusual: it ends there, when nothing unusual has followed for
            long enough.
        until_ms: End of the last slot that its figures hold.
        peak_score: The highest score; 1 is the alert level.
        observed: What was observed in it: US dollars, or the signal's own unit.
        expected: What was expected of that time, in the same unit.
        excess_usd: US dollars beyond what was expected; below 0 where calls are missing; None where the
            signal is not about money.
        contributors: Who made the excess, the largest first.
        mark: What somebody has said about it; None where nobody has.
    """

    id: str
    series: SeriesName
    signal: str
    start_ms: int
    end_ms: int | None
    last_ms: int
    until_ms: int
    peak_score: float
    observed: float
    expected: float
    excess_usd: float | None
    contributors: tuple[Contributor, ...] = ()
    mark: MarkKind | None = None

    def body(self) -> dict[str, Any]:
        """What a ledger keeps of it beside its columns."""
        return {
            "last_ms": self.last_ms,
            "until_ms": self.until_ms,
            "peak_score": self.peak_score,
            "observed": self.observed,
            "expected": self.expected,
            "excess_usd": self.excess_usd,
            "contributors": [list(one) for one in self.contributors],
        }


@dataclass(frozen=True, slots=True)
class ExpectedMark:
    """Something that was told about a stretch of time.

    Attributes:
        id: Names it.
        kind: Which.
        series: The part of a series that was named: absent names stand for all.
        episode: The id of the episode that was marked; "" where a time was.
        comment: What was said.
        since_ms: Milliseconds since the epoch.
        until_ms: Milliseconds since the epoch; `UNTIL_ENDED_MS` for the end of the episode.
        created_ms: When it was said.
    """

    id: str
    kind: MarkKind
    series: Mapping[str, str]
    episode: str
    comment: str
    since_ms: int
    until_ms: int
    created_ms: int

    def concerns(self, name: SeriesName) -> bool:
        """Whether it is about a series: the one that is named, what is in it, and the total that it is in."""
        named = self.series
        if name.budget != named.get("budget") or name.child != named.get("child", name.child):
            return False
        dimension = named.get("dimension", "")
        part = (dimension, named.get("value", ""))
        return not dimension or not name.dimension or (name.dimension, name.value) == part

    def covers(self, episode: EpisodeRecord) -> bool:
        """Whether an episode is of its series and its time."""
        end_ms = self.until_ms if episode.end_ms is None else episode.end_ms
        return self.concerns(episode.series) and episode.start_ms < self.until_ms and end_ms > self.since_ms


class SavedState(NamedTuple):
    """What a series has learnt.

    Attributes:
        slot_ms: End of the last slot that it knows, milliseconds since the epoch.
        state: As `states.packed` makes it.
    """

    slot_ms: int
    state: bytes


@dataclass(frozen=True, slots=True)
class AnomalyChange:
    """What is to be kept.

    Attributes:
        states: Of series that are new or have learnt.
        gone: Series of which nothing stays.
        episodes: That are new or have changed; their marks are not touched.
        forget_ms: Episodes and marks that ended before are forgotten, milliseconds since the epoch; 0 for
            none.
    """

    states: Mapping[SeriesName, SavedState] = field(default_factory=dict)
    gone: Sequence[SeriesName] = ()
    episodes: Sequence[EpisodeRecord] = ()
    forget_ms: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.states or self.gone or self.episodes)


@dataclass(frozen=True, slots=True)
class KeptAnomalies:
    """What was kept.

    Attributes:
        states: What series have learnt.
        episodes: Those that have not ended, and those of the last days.
    """

    states: Mapping[SeriesName, SavedState] = field(default_factory=dict)
    episodes: Sequence[EpisodeRecord] = ()


NO_CHANGE: Final = AnomalyChange()

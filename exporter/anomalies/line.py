"""One series that is watched: its detectors, and what they said last."""

from collections.abc import Iterator, Mapping
from typing import Final

from spanbudget.exporter.anomalies.records import ExpectedMark
from spanbudget.exporter.anomalies.seen import Detector, Seen
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.exporter.anomalies.states import Learnt
from spanbudget.rules.anomalies.slots import SLOT_MS, Slot

MARKED_MS: Final = 31 * 86_400_000
"""A mark that ended so long ago is about nothing that detectors still know."""


class Line:
    """Takes one slot after the other.

    Args:
        name: The series.
        detectors: What looks at it, by their names.
        until_ms: End of the last slot that they know; earlier ones are not looked at again.
        marked: The marks that they know already.

    Attributes:
        seen: What each detector said last.
        marked: The marks that the detectors know, and until when, by their ids.
    """

    def __init__(
        self,
        name: SeriesName,
        detectors: Mapping[str, Detector],
        until_ms: int,
        marked: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self.until_ms = until_ms
        self.seen: dict[str, Seen] = {}
        self._detectors = detectors
        self.marked = dict(marked or {})

    def observe(self, slot: Slot) -> Iterator[tuple[str, Seen]]:
        """What each detector thinks of a slot that has ended."""
        self.until_ms = slot.start_ms + SLOT_MS
        for source, detector in self._detectors.items():
            seen = self.seen[source] = detector.observe(slot)
            yield source, seen

    def peek(self, slot: Slot) -> Iterator[tuple[str, Seen]]:
        """What each detector thinks of the slot that lasts."""
        for source, detector in self._detectors.items():
            seen = detector.peek(slot)
            if seen is not None:
                self.seen[source] = seen
                yield source, seen

    @property
    def score(self) -> float:
        """The highest score of all detectors."""
        return max((seen.score for seen in self.seen.values()), default=0.0)

    def apply(self, mark: ExpectedMark, until_ms: int) -> None:
        """Takes note of a mark; the same one again may last longer.

        Args:
            mark: It is about this series.
            until_ms: Its end as far as that is known, milliseconds since the epoch.
        """
        if self.marked.get(mark.id, 0) >= until_ms:
            return
        self.marked[mark.id] = until_ms
        for detector in self._detectors.values():
            tell = detector.expect if mark.kind == "expected" else detector.exclude
            tell(mark.since_ms, until_ms)

    def learnt(self, definition: str, weight: float) -> Learnt:
        """What is kept of it."""
        marks = {id_: end_ms for id_, end_ms in self.marked.items() if end_ms > self.until_ms - MARKED_MS}
        parts = {name: detector.state() for name, detector in self._detectors.items()}
        return Learnt(definition, weight, marks, parts)

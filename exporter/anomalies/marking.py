"""Marks that somebody has put on a time, and the lines that they are about."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from spanbudget.exporter.anomalies.episodes import Episodes
from spanbudget.exporter.anomalies.line import Line
from spanbudget.exporter.anomalies.records import UNTIL_ENDED_MS, ExpectedMark

LOOK_MS: Final = 1_000
"""How often marks are looked for."""
STRIDE_MS: Final = 6 * 3_600_000
"""A mark that lasts as long as its episode is told to detectors in pieces of so much, as each is a record of
theirs; an episode is over no sooner after its last unusual slot."""


class Marking:
    """Looks for marks, and tells lines of them.

    Args:
        read: All marks, the oldest first.
        episodes: Knows when those end that marks are about.

    Attributes:
        floor_ms: Marks that ended before are about nothing that is known, milliseconds since the epoch.
    """

    def __init__(self, read: Callable[[], Sequence[ExpectedMark]], episodes: Episodes) -> None:
        self._read = read
        self._episodes = episodes
        self._marks: Sequence[ExpectedMark] | None = None
        self._looked_ms = 0
        self.floor_ms = 0

    def look(self, now_ms: int, lines: Collection[Line]) -> frozenset[str]:
        """Reads the marks, where it is time to, and tells of new ones.

        Returns:
            The budgets with lines that know of a mark that is there no more.

        Raises:
            AlertStoreError: They cannot be read.
        """
        if 0 <= now_ms - self._looked_ms < LOOK_MS:
            return frozenset()
        self._looked_ms = now_ms
        marks = self._read()
        if marks == self._marks:
            return frozenset()
        self._marks = marks
        self.tell(lines)
        there = {mark.id for mark in marks}
        return frozenset(line.name.budget for line in lines if not line.marked.keys() <= there)

    def tell(self, lines: Iterable[Line], *, only_lasting: bool = False) -> None:
        """Tells lines of the marks that are about them.

        Args:
            lines: The lines.
            only_lasting: Only of the marks whose end is not known yet.
        """
        asked = [mark for mark in self._marks or () if not only_lasting or mark.until_ms == UNTIL_ENDED_MS]
        timed = [(mark, end_ms) for mark in asked if (end_ms := self._end_of(mark)) > self.floor_ms]
        for line in lines if timed else ():
            for mark, end_ms in timed:
                if mark.concerns(line.name):
                    line.apply(mark, end_ms)

    def _end_of(self, mark: ExpectedMark) -> int:
        """The end of a mark as far as it is known: that of an episode grows with it."""
        if mark.until_ms != UNTIL_ENDED_MS:
            return mark.until_ms
        episode = self._episodes.of(mark.episode)
        if episode is None:
            return 0
        lasted_ms = episode.until_ms - mark.since_ms
        strides = lasted_ms // STRIDE_MS + 1
        return mark.since_ms + strides * STRIDE_MS if episode.end_ms is None else episode.end_ms

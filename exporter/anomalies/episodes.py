"""The episodes that have not ended, slot by slot, and what has changed of them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from spanbudget.exporter.anomalies.config import MONEY, MONEY_SIGNALS
from spanbudget.exporter.anomalies.records import EpisodeRecord
from spanbudget.exporter.anomalies.seen import Open, Seen
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.rules.anomalies.episodes import episode_id
from spanbudget.rules.anomalies.slots import SLOT_MS

if TYPE_CHECKING:
    from spanbudget.rules.anomalies.episodes import Signal

Place = tuple[SeriesName, str]
"""A series, and the detector of it that is meant."""


class Episodes:
    """Follows what detectors say.

    Args:
        kept: The episodes of the last days, as they were kept.

    Attributes:
        changed: What is to be kept, by id.
    """

    def __init__(self, kept: Iterable[EpisodeRecord]) -> None:
        self._known = {one.id: one for one in kept}
        self._open = {_place(one): one for one in self._known.values() if one.end_ms is None}
        self.changed: dict[str, EpisodeRecord] = {}
        self._news: list[str] = []

    def closed(self, place: Place, seen: Seen, slot_ms: int) -> None:
        """Takes note of a slot that has ended."""
        last, found = self._open.get(place), seen.episode
        if last is not None and slot_ms < last.start_ms:
            return  # the past again, from before what was kept
        if last is not None and (found is None or found.start_ms != last.start_ms):
            self._end(place, last)
            last = None
        if found is not None:
            until_ms = slot_ms + SLOT_MS
            episode = last or _begun(place[0], found)
            last_ms = until_ms if seen.alarms else episode.last_ms
            self._keep(place, _now(episode, seen, found, last_ms=last_ms, until_ms=until_ms))

    def running(self, place: Place, seen: Seen) -> None:
        """Takes note of the slot that lasts: it may begin an episode, and ends none."""
        found = seen.episode
        if found is not None and place not in self._open:
            begun = _begun(place[0], found)
            self._keep(place, _now(begun, seen, found, last_ms=found.start_ms, until_ms=found.start_ms))

    def explain(self, episode: EpisodeRecord) -> None:
        """Puts a better account of an episode in its place."""
        self._known[episode.id] = self.changed[episode.id] = episode
        if episode.end_ms is None:
            self._open[_place(episode)] = episode

    def leave(self, gone: Iterable[SeriesName]) -> None:
        """Ends the episodes of series that are not watched any more."""
        names = set(gone)
        for place, episode in list(self._open.items()):
            if place[0] in names:
                self._end(place, episode)

    def news(self) -> list[EpisodeRecord]:
        """The episodes that have begun or ended since the last time; one that did both is told as ended."""
        found = [self._known[id_] for id_ in dict.fromkeys(self._news)]
        self._news.clear()
        return found

    def of(self, id_: str) -> EpisodeRecord | None:
        """The episode of an id, as far as it is of the last days."""
        return self._known.get(id_)

    def open(self) -> Iterator[EpisodeRecord]:
        """Those that have not ended."""
        yield from (one for one in self._open.values() if one.end_ms is None)

    def counts(self) -> Counter[str]:
        """How many have not ended, by signal."""
        return Counter(one.signal for one in self.open())

    def forget(self, before_ms: int) -> None:
        """Drops what ended before a moment."""
        old = [one.id for one in self._known.values() if (one.end_ms or before_ms) < before_ms]
        for id_ in old:
            del self._known[id_]

    def is_open(self, name: SeriesName) -> bool:
        """Whether a series has an episode."""
        return any(place[0] == name for place in self._open)

    def _keep(self, place: Place, episode: EpisodeRecord) -> None:
        before = self._known.get(episode.id)
        if before is None:
            self._news.append(episode.id)
        elif before.end_ms is not None:
            self._open[place] = before  # the past again: its end is known already
            return
        self._known[episode.id] = self._open[place] = self.changed[episode.id] = episode

    def _end(self, place: Place, episode: EpisodeRecord) -> None:
        del self._open[place]
        if episode.end_ms is not None:
            return
        ended = replace(episode, end_ms=max(episode.last_ms, episode.start_ms + SLOT_MS))
        self._known[episode.id] = self.changed[episode.id] = ended
        self._news.append(episode.id)


def _place(episode: EpisodeRecord) -> Place:
    return episode.series, MONEY if episode.signal in MONEY_SIGNALS else episode.signal


def _begun(name: SeriesName, found: Open) -> EpisodeRecord:
    return EpisodeRecord(
        id=episode_id(name.text, found.start_ms, cast("Signal", found.signal)),
        series=name,
        signal=found.signal,
        start_ms=found.start_ms,
        end_ms=None,
        last_ms=found.start_ms,
        until_ms=found.start_ms,
        peak_score=0.0,
        observed=0.0,
        expected=0.0,
        excess_usd=None,
    )


def _now(episode: EpisodeRecord, seen: Seen, found: Open, *, last_ms: int, until_ms: int) -> EpisodeRecord:
    return replace(
        episode,
        observed=found.observed,
        expected=found.expected,
        excess_usd=seen.excess_usd,
        peak_score=max(found.peak_score, episode.peak_score),
        last_ms=last_ms,
        until_ms=until_ms,
    )

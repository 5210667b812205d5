"""Which episodes are to be accounted for, and the account: who made the excess."""

from dataclasses import replace
from typing import Final

from spanbudget.exporter.anomalies.contributions import Contributions
from spanbudget.exporter.anomalies.episodes import Episodes
from spanbudget.exporter.anomalies.records import EpisodeRecord
from spanbudget.rules.anomalies.contributors import Contributor, contributors
from spanbudget.rules.anomalies.slots import SLOT_MS

EVERY_MS: Final = 6 * SLOT_MS
"""An episode that lasts is accounted for anew so often: an hour."""
PART_MIN: Final = 0.01
"""Who made less than a hundredth of an excess is not named: some values always cost a little more."""
AT_ONCE_MAX: Final = 50
"""Episodes that one evaluation accounts for; each reads some hours of the ledger."""


class Accounts:
    """Writes accounts of episodes that have changed.

    Args:
        contributions: Asks the ledger.
        episodes: What is accounted for.
    """

    def __init__(self, contributions: Contributions, episodes: Episodes) -> None:
        self._contributions = contributions
        self._episodes = episodes
        self._written: dict[str, int] = {}

    def write(self, known_from_ms: int) -> None:
        """Accounts for what has changed: at the begin, every hour, and at the end.

        Args:
            known_from_ms: When the first call was.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        changed = [one for one in self._episodes.changed.values() if self._is_due(one)]
        if not changed:
            return
        self._contributions.forget()
        for episode in changed[:AT_ONCE_MAX]:
            # Of the slot that lasts there is what has come so far, also a moment after this evaluation began.
            end_ms = max(episode.until_ms, episode.start_ms + SLOT_MS)
            found = self._found(episode, end_ms, known_from_ms)
            self._episodes.explain(replace(episode, contributors=found))
            self._written[episode.id] = episode.until_ms
            if episode.end_ms is not None:
                self._written.pop(episode.id)

    def _is_due(self, episode: EpisodeRecord) -> bool:
        if episode.excess_usd is None:
            return False
        written_ms = self._written.get(episode.id)
        if episode.end_ms is not None or written_ms is None or written_ms <= episode.start_ms:
            return True
        return episode.until_ms - written_ms >= EVERY_MS

    def _found(self, episode: EpisodeRecord, end_ms: int, known_from_ms: int) -> tuple[Contributor, ...]:
        observed, usual = self._contributions.of(episode.series, episode.start_ms, end_ms, known_from_ms)
        excess_usd = episode.excess_usd or 0.0
        found = contributors(observed, usual, excess_usd)
        return tuple(one for one in found if abs(one.excess_usd) >= PART_MIN * abs(excess_usd))

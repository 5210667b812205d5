"""Makes the detectors of a series; those of money are here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from spanbudget.exporter.anomalies.config import MONEY
from spanbudget.exporter.anomalies.plan import Plan
from spanbudget.exporter.anomalies.seen import Detector, Open, Seen
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.processors.errors import AlertStoreError
from spanbudget.rules.anomalies.monitor import Observation, Sensitivity, SeriesMonitor
from spanbudget.rules.anomalies.packing import BrokenStateError
from spanbudget.rules.anomalies.slots import Slot

if TYPE_CHECKING:
    from spanbudget.rules.anomalies.episodes import Signal


class MoneyDetector:
    """Spend, cost per request and silence.

    Args:
        monitor: What finds them.
    """

    def __init__(self, monitor: SeriesMonitor) -> None:
        self._monitor = monitor
        self.exclude = monitor.exclude
        self.expect = monitor.expect
        self.state = monitor.state

    def observe(self, slot: Slot) -> Seen:
        """See `Detector.observe`."""
        said = self._monitor.observe(slot)
        if said.episode_start_ms is None:
            return _money(said, said.excess_usd, None)
        last = self._monitor.episodes()[-1]
        found = Open(last.start_ms, last.signal, last.observed_usd, last.expected_usd, last.peak_score)
        return _money(said, said.excess_usd, found)

    def peek(self, slot: Slot) -> Seen:
        """See `Detector.peek`: what the slot has so far is a part of the episode as soon as it is unusual."""
        said = self._monitor.peek(slot)
        more_usd = said.observed_usd - said.expected_usd if said.score >= 1 else 0.0
        if said.episode_start_ms is not None:
            last = self._monitor.episodes()[-1]
            found = Open(last.start_ms, last.signal, last.observed_usd, last.expected_usd, last.peak_score)
            return _money(said, said.excess_usd + more_usd, found)
        if said.score < 1:
            return _money(said, 0.0, None)
        begun = Open(said.start_ms, said.signal, said.observed_usd, said.expected_usd, said.score)
        return _money(said._replace(status="anomalous"), more_usd, begun)


def _money(said: Observation, excess_usd: float, found: Open | None) -> Seen:
    return Seen(
        signal=said.signal,
        status=said.status,
        score=said.score,
        expected=said.expected_usd,
        low=said.band_low_usd,
        high=said.band_high_usd,
        excess_usd=excess_usd,
        episode=found,
    )


def detectors_of(plan: Plan, name: SeriesName, states: Mapping[str, bytes]) -> dict[str, Detector]:
    """The detectors of a series, by their names.

    Args:
        plan: Says what is looked at, and how closely.
        name: The series.
        states: What they learnt before; those without a state are new.

    Raises:
        AlertStoreError: A state is damaged, or another version's.
    """
    try:
        return {source: _detector(plan, name, source, states.get(source)) for source in plan.sources(name)}
    except BrokenStateError as error:
        raise AlertStoreError(f"the state of a watched series cannot be read: {error}") from error


def _detector(plan: Plan, name: SeriesName, source: str, state: bytes | None) -> Detector:
    if source != MONEY:
        # Imported where it is asked for: it needs numpy and scipy, and the detectors of money do without.
        from spanbudget.exporter.anomalies.signal_detector import signal_detector  # noqa: PLC0415

        return signal_detector(source, plan.closeness(name), state)
    asked = plan.closeness(name)
    settings = Sensitivity(
        alert_budget_per_week=asked.alerts_per_week,
        min_excess_usd=asked.min_excess_usd,
        learning_ms=asked.learning_ms,
        members=frozenset(cast("Signal", one) for one in plan.money_signals),
    )
    text = name.text
    return MoneyDetector(
        SeriesMonitor(settings, text) if state is None else SeriesMonitor.restore(state, settings, text)
    )

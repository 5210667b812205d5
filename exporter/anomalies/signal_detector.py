"""Latency, error rate and tokens of a series: the detectors that are heavy."""

from typing import Final, Literal, cast

from spanbudget.exporter.anomalies.plan import Closeness
from spanbudget.exporter.anomalies.seen import Open, Seen
from spanbudget.rules.anomalies.general.watch import SignalMonitor, SignalObservation, SignalSettings
from spanbudget.rules.anomalies.slots import Slot

MIN_REQUESTS: Final = 20
"""Calls of a value: one slow call of two says nothing."""


class SignalDetector:
    """One signal.

    Args:
        monitor: What finds it.
    """

    def __init__(self, monitor: SignalMonitor) -> None:
        self._monitor = monitor
        self._worst: Open | None = None
        self.exclude = monitor.exclude
        self.expect = monitor.expect
        self.state = monitor.state

    def observe(self, slot: Slot) -> Seen:
        """See `Detector.observe`."""
        said = self._monitor.observe(slot)
        self._worst = _worst(said, self._worst)
        return Seen(
            signal=said.signal,
            status="anomalous" if self._worst is not None else said.status,
            score=said.score,
            expected=said.expected,
            low=said.band_low,
            high=said.band_high,
            excess_usd=None,
            episode=self._worst,
        )

    def peek(self, slot: Slot) -> None:
        """A mean of a few calls says nothing: whole slots are judged."""


def _worst(said: SignalObservation, before: Open | None) -> Open | None:
    """The episode with the worst of its slots."""
    if said.episode_start_ms is None:
        return None
    same = before is not None and before.start_ms == said.episode_start_ms
    if before is not None and same and (said.observed is None or said.score <= before.peak_score):
        return before
    return Open(said.episode_start_ms, said.signal, said.observed or 0.0, said.expected or 0.0, said.score)


def signal_detector(signal: str, asked: Closeness, state: bytes | None) -> SignalDetector:
    """A detector.

    Args:
        signal: `latency`, `error_rate` or `tokens`.
        asked: How closely the series is watched.
        state: What it learnt before; None for nothing.

    Raises:
        BrokenStateError: The state is damaged, or another version's.
    """
    name = cast("Literal['latency', 'error_rate', 'tokens']", signal)
    settings = SignalSettings(
        alert_budget_per_week=asked.alerts_per_week, min_requests=MIN_REQUESTS, learning_ms=asked.learning_ms
    )
    if state is None:
        return SignalDetector(SignalMonitor(name, settings))
    return SignalDetector(SignalMonitor.restore(state, name, settings))

"""Anomalies as log events of OpenTelemetry, and as lines of the Python log; nothing that users wrote."""

import logging
from dataclasses import dataclass, field
from typing import Final

from opentelemetry._logs import Logger, SeverityNumber, get_logger

from spanbudget.exporter.anomalies.records import EpisodeRecord
from spanbudget.exporter.anomalies.wording import contributor_text, figures_text
from spanbudget.processors import names_out as names

EVENT: Final = "spanbudget.anomaly"
ANOMALY_ID: Final = "spanbudget.anomaly.id"
ANOMALY_CHANGE: Final = "spanbudget.anomaly.change"
"""`started` or `ended`."""
ANOMALY_OBSERVED: Final = "spanbudget.anomaly.observed"
ANOMALY_EXPECTED: Final = "spanbudget.anomaly.expected"
ANOMALY_EXCESS_USD: Final = "spanbudget.anomaly.excess.usd"
ANOMALY_CONTRIBUTORS: Final = "spanbudget.anomaly.contributors"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AnomalyEvents:
    """Writes an event when an episode starts and when it ends.

    Attributes:
        events: Where they go; where nobody has set up logs of OpenTelemetry, nowhere.
    """

    events: Logger = field(default_factory=lambda: get_logger(names.METER))

    def write(self, episode: EpisodeRecord) -> None:
        """Tells of an episode that has just started, or ended."""
        ended = episode.end_ms is not None
        severity = SeverityNumber.INFO if ended else SeverityNumber.WARN
        line = f"anomaly {'ended' if ended else 'started'}: {episode.series.text}: {figures_text(episode)}"
        series, excess = episode.series, episode.excess_usd
        told = {
            names.BUDGET: series.budget,
            names.BUDGET_CHILD: series.child,
            names.ANOMALY_DIMENSION: series.dimension,
            names.ANOMALY_VALUE: series.value,
            names.ANOMALY_SIGNAL: episode.signal,
        }
        self.events.emit(
            timestamp=(episode.start_ms if episode.end_ms is None else episode.end_ms) * 1_000_000,
            event_name=EVENT,
            severity_number=severity,
            body=line,
            attributes={
                ANOMALY_ID: episode.id,
                ANOMALY_CHANGE: "ended" if ended else "started",
                names.ANOMALY_SCORE.name: episode.peak_score,
                ANOMALY_OBSERVED: episode.observed,
                ANOMALY_EXPECTED: episode.expected,
                ANOMALY_CONTRIBUTORS: [contributor_text(one) for one in episode.contributors],
                **({} if excess is None else {ANOMALY_EXCESS_USD: excess}),
                **{name: value for name, value in told.items() if value},
            },
        )
        _logger.log(logging.INFO if ended else logging.WARNING, "%s (%s)", line, episode.id)

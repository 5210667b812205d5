"""Episodes as lines and as JSON, for the commands on anomalies."""

from collections.abc import Sequence
from typing import Any, Final

from spanbudget.exporter.anomalies.records import EpisodeRecord
from spanbudget.exporter.anomalies.wording import contributor_text, figures_text, usd_text, value_text
from spanbudget.exporter.cli.listing import Row, Titles, iso, minute, print_rows

_STYLES: Final = {"open": "bold red", "acknowledged": "dim", "expected": "dim"}
_TITLES: Final = Titles(
    ("ID", "START (UTC)", "LASTED", "EXCESS", "STATE"), ("WHAT", "MADE BY"), frozenset({"LASTED", "EXCESS"})
)


def print_episodes(episodes: Sequence[EpisodeRecord], now_ms: int) -> None:
    """Prints episodes as a list."""
    rows = []
    for one in episodes:
        excess = value_text(one.signal, one.observed) if one.excess_usd is None else usd_text(one.excess_usd)
        lasted = told_length((now_ms if one.end_ms is None else one.end_ms) - one.start_ms)
        cells = (one.id, minute(one.start_ms), lasted, excess, state_of(one))
        made_by = ", ".join(map(contributor_text, one.contributors))
        rows.append(
            Row(cells, (f"{one.series.text}: {figures_text(one)}", made_by), _STYLES.get(cells[-1], ""))
        )
    print_rows(_TITLES, rows)


def state_of(episode: EpisodeRecord) -> str:
    """`open`, `ended`, or what somebody has said about it."""
    return episode.mark or ("open" if episode.end_ms is None else "ended")


def told_length(length_ms: int) -> str:
    """`40m`, `3h 20m`, `2d 4h`."""
    minutes = max(0, length_ms) // 60_000
    days, hours = divmod(minutes // 60, 24)
    return f"{days}d {hours}h" if days else f"{hours}h {minutes % 60}m" if hours else f"{minutes}m"


def counted_anomalies(number: int) -> str:
    """`1 anomaly`, `1,234 anomalies`."""
    return f"{number:,} {'anomaly' if number == 1 else 'anomalies'}"


def episode_json(one: EpisodeRecord) -> dict[str, Any]:
    """An episode for programs."""
    return {
        "id": one.id,
        "state": "open" if one.end_ms is None else "ended",
        "mark": one.mark,
        **one.series._asdict(),
        "signal": one.signal,
        "start": iso(one.start_ms),
        "end": iso(one.end_ms),
        "last_unusual": iso(one.last_ms),
        "peak_score": one.peak_score,
        "observed": one.observed,
        "expected": one.expected,
        "excess_usd": one.excess_usd,
        "contributors": [contributor._asdict() for contributor in one.contributors],
    }

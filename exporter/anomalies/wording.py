"""Anomalies in words and figures, for people."""

from collections.abc import Mapping
from typing import Final

from spanbudget.exporter.anomalies.records import EpisodeRecord
from spanbudget.processors.money import PICO_PER_USD, display_usd
from spanbudget.rules.anomalies.contributors import Contributor

WHAT: Final[Mapping[str, str]] = {
    "spend": "spend",
    "cost_per_request": "dearer calls",
    "silence": "missing calls",
    "latency": "seconds per call",
    "error_rate": "failed calls",
    "tokens": "tokens per call",
}
"""What is unusual, by signal."""


def figures_text(episode: EpisodeRecord) -> str:
    """`spend $62.10 instead of $4.00, $58.10 above it`."""
    what = WHAT.get(episode.signal, episode.signal)
    observed, expected = (value_text(episode.signal, one) for one in (episode.observed, episode.expected))
    if episode.excess_usd is None:
        return f"{what} {observed} instead of {expected}"
    side = "below" if episode.excess_usd < 0 else "above"
    return f"{what} {observed} instead of {expected}, {usd_text(abs(episode.excess_usd))} {side} it"


def value_text(signal: str, value: float) -> str:
    """A value in the unit of its signal."""
    if signal == "error_rate":
        return f"{value:.1%}"
    if signal == "latency":
        return f"{value:.3g} s"
    if signal == "tokens":
        return f"{value:,.0f}"
    return usd_text(value)


def usd_text(usd: float) -> str:
    """`$1,234.50`, as any other money here; it is statistics, so at most 12 digits after the point."""
    shown = display_usd(round(abs(usd) * PICO_PER_USD))
    return f"-{shown}" if usd < 0 else shown


def contributor_text(one: Contributor) -> str:
    """`model gpt-5 +$40.00`."""
    sign = "-" if one.excess_usd < 0 else "+"
    return f"{one.dimension} {one.value} {sign}{usd_text(abs(one.excess_usd))}"

"""Money for calls that failed: timeouts, aborted streams and errors that were billed all the same."""

from typing import Final

import numpy as np

from spanbudget.processors.money import display_usd
from spanbudget.rules.advice.calls import Codes
from spanbudget.rules.advice.finding import Finding, Group, Kind, finding
from spanbudget.rules.advice.scene import Scene


def _find(scene: Scene) -> Finding:
    """The whole cost of every failed call; each class of error by itself, as its remedy is its own."""
    calls = scene.calls
    rows = np.flatnonzero(calls.failed & (calls.cost > 0))
    errors = calls.texts["error_type"]
    return finding(calls, rows, calls.cost[rows], variants=Codes(errors.codes[rows], errors.names))


def _explain(group: Group) -> str:
    what = f" with {group.variant}" if group.variant else ""
    return f"{group.calls:,} calls failed{what} and cost {display_usd(group.cost)} all the same."


def _how(group: Group) -> str:
    del group
    return (
        "Look at the calls named as evidence. For timeouts: stream, raise the timeout or ask for shorter"
        " answers; for aborted streams: begin them only when somebody waits, and cap max_tokens."
    )


FAILED_SPEND: Final = Kind("failed_spend", "Stop paying for failed calls", "exact", _find, _explain, _how)

"""Money for attempts that were thrown away: the same request again, soon after an error or a cut-off."""

from typing import Final

import numpy as np

from spanbudget.processors.money import display_usd
from spanbudget.rules.advice.calls import Bools, Calls, Ints
from spanbudget.rules.advice.finding import Finding, Group, Kind, finding, unexamined
from spanbudget.rules.advice.scene import Scene
from spanbudget.rules.advice.streams import SECOND_NS, streams_of

_SOON_NS: Final = 60 * SECOND_NS
"""How soon after an attempt the next one is a retry of it: clients back off for less than a minute."""
_CUT_OFF: Final = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "incomplete"})
"""How providers say that an answer met its limit of tokens."""


def _find(scene: Scene) -> Finding:
    """The cost of each attempt that the same request followed within a minute.

    The same request has the same keyed hash; without hashes, the same parent span and the same number of
    prompt tokens.
    """
    calls = scene.calls
    hashes, parents = calls.texts["prompt_hash"].codes, calls.texts["parent_id"].codes
    hashed = hashes >= 0
    alike = ~hashed & (parents >= 0) & (calls.prompt > 0)
    first, second = np.flatnonzero(hashed), np.flatnonzero(alike)
    trace = calls.texts["trace_id"].codes
    rows = np.concatenate(
        [
            _wasted(calls, first, hashes[first]),
            _wasted(calls, second, trace[second], parents[second], calls.prompt[second]),
        ]
    )
    lost = calls.failed & (calls.cost > 0) & ~hashed & ~alike
    why = "neither a hash nor a parent span to know a retry by: set hash_key under advice:"
    return finding(calls, rows, calls.cost[rows], unexamined=unexamined("retry_waste", lost, why))


def _wasted(calls: Calls, rows: Ints, *keys: Ints) -> Ints:
    """The attempts among these calls that another one replaced."""
    found = streams_of(calls, rows, *keys)
    row, after = found.rows[:-1], found.rows[1:]
    wait = calls.start_ns[after] - calls.end_ns[row]
    soon: Bools = found.follows[1:] & (wait >= 0) & (wait <= _SOON_NS)
    output = calls.tokens["output"]
    cut = calls.texts["finish_reason"].among(_CUT_OFF)[row] & ~calls.failed[after]
    larger = cut & (output[row] >= 0) & (output[after] > output[row])
    wasted: Ints = row[soon & (calls.failed[row] | larger) & (calls.cost[row] > 0)]
    return wasted


def _explain(group: Group) -> str:
    return (
        f"{group.calls:,} attempts that cost {display_usd(group.cost)} failed or were cut off, and the same"
        " request was sent again within a minute."
    )


def _how(group: Group) -> str:
    del group
    return (
        "Give the first attempt the limit of output tokens and the timeout that the retry gets, and let only"
        " one layer retry: an SDK that retries inside a framework that retries pays for both."
    )


RETRY_WASTE: Final = Kind(
    "retry_waste", "Avoid attempts that are thrown away", "exact", _find, _explain, _how
)

"""Calls with something in common, one after the other: what one left in a cache, a later one finds."""

from typing import Final, NamedTuple

import numpy as np

from spanbudget.rules.advice.calls import Bools, Calls, Ints
from spanbudget.rules.advice.group_stats import least_so_far
from spanbudget.rules.advice.repricing import grouped

SECOND_NS: Final = 1_000_000_000


class Streams(NamedTuple):
    """Calls by stream and start.

    Attributes:
        rows: The calls, stream after stream, each by start.
        groups: The number of the stream of each.
        follows: Whether the one before it is of the same stream.
    """

    rows: Ints
    groups: Ints
    follows: Bools

    def before(self, values: Ints) -> Ints:
        """For each call the value of the one before it in its stream; 0 for the first.

        Args:
            values: One for each of `rows`, in that order.
        """
        shifted = np.zeros_like(values)
        shifted[1:] = values[:-1]
        shifted[~self.follows] = 0
        return shifted


def streams_of(calls: Calls, rows: Ints, *keys: Ints) -> Streams:
    """Sorts calls into streams.

    Args:
        calls: All calls.
        rows: Some of them.
        keys: Codes for each of `rows`; what is equal in all of them is one stream.
    """
    _, groups = grouped(*keys)
    order = np.lexsort((calls.end_ns[rows], calls.start_ns[rows], groups))
    groups = groups[order]
    follows = np.zeros(len(order), dtype=np.bool_)
    follows[1:] = groups[1:] == groups[:-1]
    return Streams(rows[order], groups, follows)


def warm(calls: Calls, streams: Streams, lifetime_ns: int) -> Bools:
    """Whether each call finds what an earlier one of its stream left.

    What is left lives on with each call that uses it, and is there once the first call since then has ended.

    Args:
        calls: All calls.
        streams: Some of them.
        lifetime_ns: How long it lives after the start of the last call, nanoseconds.
    """
    start, end = calls.start_ns[streams.rows], calls.end_ns[streams.rows]
    alive = streams.follows & (start - streams.before(start) <= lifetime_ns)
    chains = np.cumsum(~alive).astype(np.int64)
    ready = least_so_far(chains, end)
    found: Bools = alive & (streams.before(ready) <= start)
    return found

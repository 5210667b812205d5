"""Look-ups of many keys in bounded pieces."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from spanbudget.exporter.ledger.rows import Value
from spanbudget.exporter.ledger.statements import LOOKUP_SIZES, padded_size


def find(
    connection: sqlite3.Connection,
    statement: Callable[[int], str],
    keys: Sequence[tuple[Value, ...]],
) -> Iterator[tuple[Any, ...]]:
    """The rows that a statement finds for keys, at most `LOOKUP_SIZES[0]` keys at a time.

    A piece is padded with its last key to one of few sizes, so that few statements are prepared; a row may
    therefore come twice.

    Args:
        connection: Where to look.
        statement: Makes the statement for a number of keys.
        keys: The values of each key.
    """
    size_max = LOOKUP_SIZES[0]
    for start in range(0, len(keys), size_max):
        piece = list(keys[start : start + size_max])
        size = padded_size(len(piece), LOOKUP_SIZES)
        piece += [piece[-1]] * (size - len(piece))
        yield from connection.execute(statement(size), [value for key in piece for value in key]).fetchall()

"""How values come into PostgreSQL and back: whole columns as arrays, texts that it cannot hold, big integers.

One statement takes many rows as one array for each column, written as PostgreSQL's own text for arrays: that
is a few joins in Python instead of an adapter for every value.
"""

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, Final

from psycopg.abc import Buffer
from psycopg.adapt import Loader

from spanbudget.exporter.ledger.rows import entry_of
from spanbudget.exporter.ledger.totals import total_of
from spanbudget.processors.ledger import Entry, Spend, SpendKey
from spanbudget.processors.limits import Amount, Pot
from spanbudget.processors.money import PICO_PER_USD

_ESCAPE: Final = "\x1b"
_UNFIT: Final = re.compile("[\x00\x1b\ud800-\udfff]")
_ESCAPED: Final = re.compile("\x1b([0-9a-f]{4})")
_KEY_CHARS_MAX: Final = 500
"""An index takes 2,704 bytes a row: a longer text in a key is cut and hashed."""
_KEY_HEAD: Final = 200


class IntegerLoader(Loader):
    """Reads `numeric`, of which the ledger has integers only, as int."""

    def load(self, data: Buffer) -> int:
        """The integer that a text names."""
        return int(bytes(data))


def escaped(text: str) -> str:
    """A text with what PostgreSQL cannot hold (NUL, lone surrogates) written as ESC and four hex digits."""
    return _UNFIT.sub(lambda found: f"{_ESCAPE}{ord(found[0]):04x}", text)


def unescaped(text: str) -> str:
    """Turns back what `escaped` made."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if _ESCAPE in text else text


def fitting(text: str) -> str:
    """A text that fits into the index of a key; one that is too long keeps its head, and a hash of it all."""
    if len(text) <= _KEY_CHARS_MAX:
        return text
    return f"{text[:_KEY_HEAD]}~{sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def integers(values: Iterable[int | None]) -> str:
    """An array of integers of any size."""
    return "{" + ",".join(map(str, values)).replace("None", "NULL") + "}"


def texts(values: Iterable[str | None]) -> str:
    """An array of texts, escaped."""
    return escaped("{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def columns(rows: Sequence[Sequence[Any]], kinds: str) -> list[str]:
    """Rows as one array for each column.

    Args:
        rows: One row or more.
        kinds: A letter for each column: `t` for texts, `k` for texts of a key, `i` for integers.
    """
    made = []
    for kind, values in zip(kinds, zip(*rows, strict=True), strict=True):
        if kind == "i":
            made.append(integers(values))
        else:
            made.append(texts(map(fitting, values) if kind == "k" else values))
    return made


def plain_row(row: Sequence[Any]) -> list[Any]:
    """A row as it was before its texts were escaped."""
    return [unescaped(value) if isinstance(value, str) and _ESCAPE in value else value for value in row]


def read_entry(row: Sequence[Any]) -> Entry:
    """Reads one entry from the values of `ENTRY_COLUMNS`."""
    return entry_of(plain_row(row))


def read_total(row: Sequence[Any]) -> tuple[SpendKey, Spend]:
    """Reads one row of `spend`."""
    return total_of(plain_row(row))


def read_amount(row: Sequence[int]) -> Amount:
    """Reads whole USD, the remainder in pico-USD, tokens and requests."""
    usd, pico, tokens, requests = row
    return Amount(usd * PICO_PER_USD + pico, tokens, requests)


def amount_rows(amounts: Iterable[tuple[Pot, Amount]]) -> list[tuple[object, ...]]:
    """Pots and amounts as rows, those with an amount only, by pot."""
    return [
        (*pot, *divmod(amount.cost, PICO_PER_USD), amount.tokens, amount.requests)
        for pot, amount in sorted(amounts)
        if any(amount)
    ]

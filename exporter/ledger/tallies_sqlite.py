"""Sums over the entries of a SQLite ledger.

The usual question lets SQLite sum. It is exact or it tells: `sum` fails where integers overflow, and answers
with a float where one value was not an integer, as values beyond int64 are bytes. Then the careful question
is asked, which sums high and low halves, and reads the odd entries one by one.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

from spanbudget.exporter.ledger.rows import plain
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.exporter.ledger.tallies import (
    KEY_COLUMNS,
    SEQ_PIECE,
    SUMMED,
    Gathering,
    Row,
    Tally,
    TallyQuestion,
    pieces,
)

_INT64_MAX: Final = 2**63 - 1
_HALF: Final = 2**32
_DURATION: Final = "max(0, end_ns - start_ns)"
_ODD: Final = " OR ".join(
    (
        *(f"typeof({column}) = 'blob'" for column in ("end_ns", "start_ns", *SUMMED)),
        *(f"{column} < 0" for column in ("end_ns", "start_ns")),
    )
)
"""Entries with a value that SQLite cannot calculate with; a time before the epoch may overflow a duration."""
_MAX_SEQ: Final = "SELECT coalesce(max(seq), 0) FROM entries"
_AFTER: Final = "seq > ? AND seq <= ?"
_BETWEEN: Final = "end_ns >= ? AND end_ns < ? AND seq <= ?"
_FIRST_AND_LAST: Final = (
    "SELECT (SELECT min(end_ns) FROM entries WHERE end_ns >= ?1 AND end_ns < ?2),"
    " (SELECT max(end_ns) FROM entries WHERE end_ns >= ?1 AND end_ns < ?2)"
)


class _InexactError(Exception):
    """SQLite could not sum exactly."""


class SqliteTallies:
    """`LedgerTallies` of a SQLite ledger.

    It has one writer at a time, so the order of numbers is the order of commits.

    Args:
        ledger: Lends its connection.
        question: What is told apart.
        own: Whether the ledger is for this alone, and closed with it.
    """

    def __init__(self, ledger: SqliteLedger, question: TallyQuestion, *, own: bool) -> None:
        self._ledger = ledger
        self._own = own
        self._question = question
        self._labels = _LabelColumns(question.labels)
        self._width = 1 + len(KEY_COLUMNS) + len(self._labels.columns)

    def max_seq(self) -> int:
        """See `LedgerTallies.max_seq`."""
        with self._ledger.reading() as connection:
            return int(connection.execute(_MAX_SEQ).fetchone()[0])

    def tallies_after(self, seq: int) -> tuple[list[Tally], int]:
        """See `LedgerTallies.tallies_after`."""
        last = self.max_seq()
        gathering = Gathering(self._question, 0)
        for start in range(seq, last, SEQ_PIECE):
            gathering.add(self._rows(_AFTER, (start, min(last, start + SEQ_PIECE)), 0))
        return gathering.tallies(), max(seq, last)

    def tallies_between(
        self, since_ns: int, until_ns: int, step_ns: int, *, last_seq: int | None = None
    ) -> Iterator[Tally]:
        """See `LedgerTallies.tallies_between`."""
        last = self.max_seq() if last_seq is None else last_seq
        times = (max(0, since_ns), min(until_ns, _INT64_MAX))
        with self._ledger.reading() as connection:
            ends = connection.execute(_FIRST_AND_LAST, times).fetchone()
        if ends[0] is None:
            return
        for start_ns, end_ns in pieces(ends, *times, step_ns):
            gathering = Gathering(self._question, step_ns)
            gathering.add(self._rows(_BETWEEN, (start_ns, end_ns, last), step_ns))
            yield from gathering.tallies()

    def close(self) -> None:
        """See `LedgerTallies.close`."""
        if self._own:
            self._ledger.close()

    def _rows(self, where: str, bound: Sequence[int], step_ns: int) -> list[Row]:
        try:
            return list(self._summed(where, bound, step_ns))
        except _InexactError:
            odd = list(self._one_by_one(f"({where}) AND ({_ODD})", bound, step_ns))
            return [*self._summed(f"({where}) AND NOT ({_ODD})", bound, step_ns, halves=True), *odd]

    def _summed(
        self, where: str, bound: Sequence[int], step_ns: int, *, halves: bool = False
    ) -> Iterator[Row]:
        values = (*SUMMED, _DURATION)
        sums = [f"sum({value})" for value in values]
        if halves:
            sums = [f"sum({value} / {_HALF})" for value in values] + [
                f"sum({value} % {_HALF})" for value in values
            ]
        numbers = ["count(*)", "count(cost_pico)", *sums]
        numbers += [f"sum(end_ns - start_ns <= {bound_ns})" for bound_ns in self._question.bounds_ns]
        numbers += ["max(start_ns)", "max(end_ns)"]
        grouped = ", ".join(str(1 + index) for index in range(self._width))
        chosen = ", ".join((self._keys(step_ns), *numbers))
        sql = f"SELECT {chosen} FROM entries WHERE {where} GROUP BY {grouped}"
        for row in self._answers(sql, bound):
            found = row[self._width :]
            if float in map(type, found) or bytes in map(type, found):
                raise _InexactError
            told = [number or 0 for number in found[:-2]]
            if halves:
                high, low = told[2 : 2 + len(values)], told[2 + len(values) : 2 + 2 * len(values)]
                told[2 : 2 + 2 * len(values)] = [
                    one * _HALF + other for one, other in zip(high, low, strict=True)
                ]
            yield self._row(row, told)

    def _one_by_one(self, where: str, bound: Sequence[int], step_ns: int) -> Iterator[Row]:
        """Each entry as a row of its own."""
        columns = ", ".join(("start_ns", "end_ns", *SUMMED))
        for row in self._answers(
            f"SELECT {self._keys(step_ns)}, {columns} FROM entries WHERE {where}", bound
        ):
            start_ns, end_ns, *values = (plain(value) for value in row[self._width :])
            duration_ns = max(0, int(end_ns or 0) - int(start_ns or 0))
            up_to = [int(duration_ns <= bound_ns) for bound_ns in self._question.bounds_ns]
            sums = [int(value or 0) for value in values]
            yield self._row(row, [1, int(values[0] is not None), *sums, duration_ns, *up_to])

    def _answers(self, sql: str, bound: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        with self._ledger.reading() as connection:
            try:
                yield from connection.execute(sql, (*self._labels.bound, *bound))
            except sqlite3.OperationalError as error:
                if "integer overflow" in str(error):
                    raise _InexactError from error
                raise

    def _keys(self, step_ns: int) -> str:
        bucket = f"end_ns / {step_ns}" if step_ns else "0"
        return ", ".join((bucket, *KEY_COLUMNS, *self._labels.columns))

    def _row(self, row: Sequence[Any], numbers: Sequence[int]) -> Row:
        key = row[1 : 1 + len(KEY_COLUMNS)]
        if bytes in map(type, key):
            key = [plain(value) for value in key]
        labels = self._labels.read(row[1 + len(KEY_COLUMNS) : self._width])
        return Row(row[0], key, labels, numbers)


class _LabelColumns:
    """How labels are read: as JSON, because SQLite makes texts of escapes that Python cannot read.

    A path is compared with a name as it is written in the entry. SQLite has no path for a name with a
    quotation mark, which is looked for among all labels of the entry.

    Attributes:
        columns: Expressions that are grouped by.
        bound: What is bound in them.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._pathed = [name for name in labels if '"' not in name]
        self._searched = [name for name in labels if '"' in name]
        paths = [f"$.{json.dumps(name)}" for name in self._pathed]
        if len(paths) == 1:
            paths *= 2  # of one path SQLite answers with the text, of more with JSON
        self.columns = [f"json_extract(labels, {', '.join('?' * len(paths))})"] if paths else []
        found = "(SELECT json_array(value) FROM json_each(labels) WHERE key = ?)"
        self.columns += [f"CAST({found} AS BLOB)"] * len(self._searched)
        self.bound = [*paths, *self._searched]

    def read(self, row: Sequence[str | bytes | None]) -> tuple[str | None, ...]:
        """The value of each label, None where it is absent."""
        if not row:
            return ()
        pathed = _json(row[0]) if self._pathed else []
        searched = [(_json(value) or [None])[0] for value in row[len(row) - len(self._searched) :]]
        values = dict(
            zip((*self._pathed, *self._searched), (*pathed[: len(self._pathed)], *searched), strict=True)
        )
        return tuple(values[name] for name in self._labels)


def _json(value: str | bytes | None) -> Any:
    text = value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value
    return None if text is None else json.loads(text)

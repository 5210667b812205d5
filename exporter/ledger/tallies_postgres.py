"""Sums over the entries of a PostgreSQL ledger."""

import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from spanbudget.exporter.ledger.postgres_entries import PostgresEntryLedger
from spanbudget.exporter.ledger.postgres_store import Connection
from spanbudget.exporter.ledger.postgres_values import plain_row
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
from spanbudget.processors.errors import LedgerError

SETTLE_SECONDS: Final = 0.25
"""How long to wait for appends in flight; a batch takes milliseconds."""
_POLL_SECONDS: Final = 0.002
_DURATION: Final = "greatest(0, end_ns - start_ns)"
_MAX_SEQ: Final = b"SELECT coalesce(max(seq), 0) FROM entries"
_APPENDING: Final = (
    b"SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'"
    b" AND granted AND relation = 'entries'::regclass AND pid <> pg_backend_pid()"
    b" AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_AFTER: Final = "seq > %s AND seq <= %s"
_BETWEEN: Final = "end_ns >= %s AND end_ns < %s AND seq <= %s"
_FIRST_AND_LAST: Final = b"SELECT min(end_ns), max(end_ns) FROM entries WHERE end_ns >= %s AND end_ns < %s"
# PostgreSQL refuses JSON with an escape that is no character, wherever it is in the text. So every escape by
# number, and every backslash, is first made a literal text of six characters, which `_unescaped` turns back.
_LITERAL: Final = r"replace(replace(labels, E'\\\\', E'\\u005c'), E'\\u', E'\\\\u')::json"
_ESCAPE: Final = re.compile(r"\\u([0-9a-f]{4})")


class PostgresTallies:
    """`LedgerTallies` of a PostgreSQL ledger.

    Its numbers are given out in one order and committed in another, so the highest one that can be seen may
    be above one that is still to come. But whoever appends holds a lock of the table from before it gets
    numbers until it has ended. So `max_seq` looks which number is the highest, then who holds such a lock,
    and waits until each of these transactions has ended: what was given out up to that number is then
    committed, or never will be. No append waits for that.

    Args:
        ledger: For this alone, and closed with it.
        question: What is told apart.
        settle_seconds: How long to wait for appends in flight, 0 or more.
    """

    def __init__(
        self,
        ledger: PostgresEntryLedger,
        question: TallyQuestion,
        *,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._session = ledger.session
        self._question = question
        self._settle_seconds = settle_seconds

    def max_seq(self) -> int:
        """See `LedgerTallies.max_seq`.

        Raises:
            LedgerError: An append takes longer than `settle_seconds`; ask again later.
        """
        return self._settled(-1)

    def tallies_after(self, seq: int) -> tuple[list[Tally], int]:
        """See `LedgerTallies.tallies_after`; raises as `max_seq` does, and has then told nothing."""
        last = self._settled(seq)
        gathering = Gathering(self._question, 0)
        for start in range(seq, last, SEQ_PIECE):
            gathering.add(self._rows(_AFTER, (start, min(last, start + SEQ_PIECE)), 0))
        return gathering.tallies(), max(seq, last)

    def tallies_between(
        self, since_ns: int, until_ns: int, step_ns: int, *, last_seq: int | None = None
    ) -> Iterator[Tally]:
        """See `LedgerTallies.tallies_between`."""
        last = self.max_seq() if last_seq is None else last_seq
        times = (max(0, since_ns), until_ns)
        with self._session.scanning() as connection:
            first_ns, last_ns = connection.execute(_FIRST_AND_LAST, times).fetchall()[0]
        if first_ns is None:
            return
        for start_ns, end_ns in pieces((first_ns, last_ns), *times, step_ns):
            gathering = Gathering(self._question, step_ns)
            gathering.add(self._rows(_BETWEEN, (start_ns, end_ns, last), step_ns))
            yield from gathering.tallies()

    def close(self) -> None:
        """See `LedgerTallies.close`."""
        self._session.close()

    def _settled(self, known: int) -> int:
        """The highest number below which nothing is to come; nobody is waited for where nothing is new."""
        with self._session.lend() as connection:
            last = int(connection.execute(_MAX_SEQ).fetchall()[0][0])
            if last > known:
                self._await_appends(connection)
        return last

    def _await_appends(self, connection: Connection) -> None:
        appending = set(connection.execute(_APPENDING).fetchall())
        give_up_at = time.monotonic() + self._settle_seconds
        while appending:
            if time.monotonic() >= give_up_at:
                raise LedgerError(
                    f"ledger {self._session.name}: an append is under way for more than"
                    f" {self._settle_seconds:g} seconds; ask again, or find it in pg_stat_activity"
                )
            time.sleep(_POLL_SECONDS)
            appending &= set(connection.execute(_APPENDING).fetchall())

    def _rows(self, where: str, bound: Sequence[int], step_ns: int) -> Iterator[Row]:
        labels = self._question.labels
        values = ", ".join(f"coalesce(sum({value}), 0)" for value in (*SUMMED, _DURATION))
        counts = "".join(
            f", count(*) FILTER (WHERE end_ns - start_ns <= {bound_ns})"
            for bound_ns in self._question.bounds_ns
        )
        bucket = f"div(end_ns, {step_ns})" if step_ns else "0"
        keys = ", ".join((bucket, *KEY_COLUMNS, *(f"{_LITERAL} ->> %s" for _ in labels)))
        width = 1 + len(KEY_COLUMNS) + len(labels)
        grouped = ", ".join(str(1 + index) for index in range(width))
        sql = (
            f"SELECT {keys}, count(*), count(cost_pico), {values}{counts} FROM entries WHERE {where}"
            f" GROUP BY {grouped}"
        )
        asked = (*map(_literal, labels), *bound)
        with self._session.scanning() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(sql.encode(), asked).fetchall()
        for row in rows:
            key = plain_row(row[1 : 1 + len(KEY_COLUMNS)])
            found = row[1 + len(KEY_COLUMNS) : width]
            yield Row(row[0], key, [None if one is None else _unescaped(one) for one in found], row[width:])


def _literal(name: str) -> str:
    """A label's name as `_LITERAL` leaves it."""
    written = json.dumps(name).replace("\\\\", "\\u005c").replace("\\u", "\\\\u")
    return str(json.loads(written))


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    told = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return told.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")

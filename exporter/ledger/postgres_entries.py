"""The entries and totals of a PostgreSQL ledger: many processes of many machines append to one database."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from spanbudget.exporter.ledger import postgres_statements as sql
from spanbudget.exporter.ledger.postgres_recount import PostgresRecount
from spanbudget.exporter.ledger.postgres_session import BEGIN, COMMIT, PostgresSession
from spanbudget.exporter.ledger.postgres_spend import PIECE_MAX, changes, searches, totals
from spanbudget.exporter.ledger.postgres_store import Answer, Connection, Statement
from spanbudget.exporter.ledger.postgres_values import (
    columns,
    escaped,
    fitting,
    integers,
    plain_row,
    read_entry,
    read_total,
    texts,
)
from spanbudget.exporter.ledger.rows import COUNTS, OWN, RARE, Encoder, has_rare
from spanbudget.exporter.ledger.totals import split
from spanbudget.processors.ledger import NO_SPEND, Appended, Entry, Spend, SpendKey

_INSERTS: Final = {rare: sql.insert_entries(rare=rare) for rare in (False, True)}
_TEXTS: Final = ("response_id", "labels")

Then: TypeAlias = Callable[[Sequence[Answer]], Sequence[Statement]]
"""Looks at what the statements before the entries answered, and says what comes after the entries."""


class PostgresEntryLedger:
    """A `Ledger` in a PostgreSQL database; see the protocol for what each method promises.

    Committed entries survive what the server's `synchronous_commit` says. The threads of one process may
    share one ledger, and then wait for each other. A forked child opens a connection of its own at its first
    use. A lost connection fails one call with `LedgerError`; the next one connects again.

    Args:
        url: `postgresql://user:password@host/database`; options of libpq may follow.
        busy_timeout_seconds: How long to wait for a lock that another process holds, 0 or more.
        create: Whether tables are created where there are none.

    Raises:
        LedgerError: The ledger cannot be used; the message says why and what to do.
        LedgerSchemaError: A newer program wrote it; nothing in it was touched.
    """

    def __init__(self, url: str, *, busy_timeout_seconds: float = 5.0, create: bool = True) -> None:
        self.session = PostgresSession(url, busy_timeout_seconds=busy_timeout_seconds, create=create)
        self._encoder = Encoder()

    def append(self, entries: Sequence[Entry]) -> Appended:
        """See `Ledger.append`."""
        return self.append_and(entries) if entries else Appended(frozenset(), {})

    def standing(self, since_ns: int, until_ns: int, *, limit: int) -> list[Entry]:
        """See `Ledger.standing`."""
        with self.session.lend() as connection:
            rows = connection.execute(sql.STANDING_OF_TIME, (since_ns, until_ns, limit)).fetchall()
        return [read_entry(row) for row in reversed(rows)]

    def spend(self, keys: Iterable[SpendKey]) -> dict[SpendKey, Spend]:
        """See `Ledger.spend`."""
        wanted = list(keys)
        if not wanted:
            return {}
        with self.session.lend() as connection:
            return totals(connection.run(*searches(wanted)), wanted)

    def spend_by_child(self, budget: str, period: str, first_ns: int, last_ns: int) -> dict[str, Spend]:
        """The spend of every child of a budget that has any, by child; a plain budget is the child "".

        Args:
            budget: Name of the budget.
            period: Canonical text of its period.
            first_ns: Start of the first window that is summed.
            last_ns: Start of the last window that is summed.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        asked = (escaped(fitting(budget)), escaped(fitting(period)), first_ns, last_ns)
        with self.session.lend() as connection:
            rows = connection.execute(sql.SPEND_BY_CHILD, asked).fetchall()
        spends: dict[str, Spend] = {}
        for key, spend in map(read_total, rows):
            spends[key.child] = spends.get(key.child, NO_SPEND).plus(spend)
        return spends

    def entries(self, *, since_ns: int = 0, until_ns: int | None = None) -> Iterator[Entry]:
        """See `Ledger.entries`; the entries come without their windows, which the ledger does not keep.

        Reads 500 at a time and holds no transaction in between. What others append after the first entry was
        read does not come, but for what they were about to commit.
        """
        everything = since_ns <= 0 and until_ns is None
        with self.session.scanning() as connection:
            if everything:
                [(first, last)] = connection.execute(sql.SEQ_RANGE_ALL).fetchall()
            else:
                [(first, last)] = connection.execute(sql.SEQ_RANGE, (since_ns, until_ns, until_ns)).fetchall()
        if first is None:
            return
        seen = first - 1
        while seen < last:
            asked = (seen, last, since_ns, until_ns, until_ns)
            with self.session.scanning() as connection:
                page = connection.execute(sql.ENTRY_PAGE, asked).fetchall()
            if not page:
                return
            seen = page[-1][0]
            for row in page:
                yield read_entry(row[1:])

    def noted(self, keys: Iterable[str]) -> dict[str, str]:
        """See `backfill.RecountedLedger.noted`."""
        with self.session.lend() as connection:
            return PostgresRecount(connection).noted(keys)

    @contextmanager
    def recounting(self) -> Iterator[PostgresRecount]:
        """See `backfill.RecountedLedger.recounting`."""
        with self.session.scanning(Statement(sql.EXCLUDE_WRITERS)) as connection:
            yield PostgresRecount(connection)

    def model_uses(self, since_ns: int) -> list[list[Any]]:
        """See `inspection.InspectedLedger.model_uses`."""
        with self.session.scanning() as connection:
            rows = connection.execute(sql.MODEL_USES, (since_ns,)).fetchall()
        return [plain_row(row) for row in rows]

    def call_page(self, since_ns: int, until_ns: int, before: bytes, limit: int) -> list[list[Any]]:
        """See `call_pages.PagedLedger.call_page`."""
        with self.session.scanning() as connection:
            rows = connection.execute(sql.CALL_PAGE, (since_ns, until_ns, before, limit)).fetchall()
        return [plain_row(row) for row in rows]

    def close(self) -> None:
        """See `Ledger.close`."""
        self.session.close()

    def append_and(
        self, entries: Sequence[Entry], before: Sequence[Statement] = (), then: Then | None = None
    ) -> Appended:
        """Appends entries, and does something else in the same transaction; two round trips."""

        def work(connection: Connection) -> Appended:
            starts = range(0, len(entries), PIECE_MAX)
            inserts = [self._insert_piece(entries[start : start + PIECE_MAX]) for start in starts]
            answers = connection.run(BEGIN, *before, *inserts)
            after = then(answers[1 : 1 + len(before)]) if then is not None else ()
            counted, duplicates = _split(entries, answers[1 + len(before) :])
            changed, keys = changes(counted)
            others = {key for entry in entries for key in entry.windows} - keys if duplicates else set()
            answers = connection.run(*after, *changed, *searches(others), COMMIT)
            return Appended(duplicates, totals(answers[len(after) :], [*keys, *others]))

        return self.session.transact(work)

    def _insert_piece(self, piece: Sequence[Entry]) -> Statement:
        rare = has_rare(piece)
        self._encoder.forget()
        names = ("shape", *OWN, *COUNTS, *(RARE if rare else ()))
        flat: list[Any] = self._encoder.encode(piece, rare=rare)
        given = {name: flat[index :: len(names)] for index, name in enumerate(names)}
        ids = b"".join(given.pop("id"))
        arrays = [texts(one) if name in _TEXTS else integers(one) for name, one in given.items()]
        shapes = columns(self._encoder.fresh, sql.SHAPE_KINDS)
        return Statement(_INSERTS[rare], [ids, *arrays, *shapes, len(piece)])


def _split(entries: Sequence[Entry], inserted: Sequence[Answer]) -> tuple[Sequence[Entry], frozenset[bytes]]:
    """Parts the entries to count from the ids that came again: the first of each end and id counts."""
    told = [row for answer in inserted for row in answer.rows]
    if sum(count for count, _ in told) == len(entries):
        return entries, frozenset()
    fresh: set[tuple[int, bytes]] = set()
    for start, (count, names) in zip(range(0, len(entries), PIECE_MAX), told, strict=True):
        piece = entries[start : start + PIECE_MAX]
        if count == len(piece):
            fresh.update((entry.priced.call.end_ns, entry.id) for entry in piece)
            continue
        for name in names or ():
            end_ns, _, entry_key = name.partition(" ")
            fresh.add((int(end_ns), bytes.fromhex(entry_key)))
    return split(entries, fresh)

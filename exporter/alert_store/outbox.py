"""The outbox: what is to be delivered, was, or could not be."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select, update

from spanbudget.exporter.alert_store.database import Database
from spanbudget.exporter.alert_store.records import OutboxRow, OutboxState
from spanbudget.exporter.alert_store.rows import ERROR_CHARS_MAX, OUTBOX_COLUMNS, read_outbox
from spanbudget.exporter.ledger.schema import alert_outbox

_DAY_NS: Final = 86_400_000_000_000
KEPT_NS: Final[dict[OutboxState, int]] = {"sent": 7 * _DAY_NS, "dead": 30 * _DAY_NS}
"""How long a row stays when it has ended, nanoseconds."""
KEPT_MAX: Final = 10_000
"""Most rows of each of these states; the oldest ones go first."""
_PURGED_MAX: Final = 1_000
"""Rows that one purge deletes, so that it is short; the next one goes on."""

_rows: Final = alert_outbox.c
_before: Final = alert_outbox.alias("before")


class SqlOutbox:
    """The outbox in the ledger's database. Every method raises `AlertStoreError` where it cannot be used.

    Args:
        database: Where it is.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def due(self, now_ns: int, limit: int, receiver: str | None = None) -> list[OutboxRow]:
        """Waiting rows whose time has come, longest due first.

        Of one receiver and group only the first one that waits is told: what follows comes after it was sent
        or given up, however long that takes.

        Args:
            now_ns: Nanoseconds since the epoch.
            limit: Most rows.
            receiver: Only rows of this receiver; None for all.
        """
        earlier = and_(_before.c.line == _rows.line, _before.c.seq < _rows.seq, _before.c.state == "waiting")
        asked = (
            select(*OUTBOX_COLUMNS)
            .where(_rows.state == "waiting", _rows.due_ns <= now_ns, ~exists().where(earlier))
            .order_by(_rows.due_ns, _rows.seq)
            .limit(limit)
        )
        return self._found(asked if receiver is None else asked.where(_rows.receiver == receiver))

    def sent(self, id_: str, now_ns: int) -> None:
        """Marks a waiting row as delivered; it is not sent again."""
        with self.database.writing() as connection:
            connection.execute(
                update(alert_outbox)
                .where(_rows.id == id_, _rows.state == "waiting")
                .values(state="sent", ended_ns=now_ns)
            )

    def failed(self, id_: str, error: str, due_ns: int | None, now_ns: int) -> None:
        """Notes that an attempt has failed.

        Args:
            id_: The row.
            error: Why; nothing secret.
            due_ns: When to try again; None gives up, and makes it a dead letter.
            now_ns: Nanoseconds since the epoch.
        """
        told = {"attempts": _rows.attempts + 1, "last_error": error[:ERROR_CHARS_MAX]}
        end = {"state": "dead", "ended_ns": now_ns} if due_ns is None else {"due_ns": due_ns}
        with self.database.writing() as connection:
            connection.execute(
                update(alert_outbox).where(_rows.id == id_, _rows.state == "waiting").values({**told, **end})
            )

    def waiting(self) -> dict[str, int]:
        """How many rows wait, by receiver."""
        asked = select(_rows.receiver, func.count()).where(_rows.state == "waiting").group_by(_rows.receiver)
        with self.database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(asked)}

    def letters(self, state: OutboxState | None = None, limit: int = 1_000) -> list[OutboxRow]:
        """Rows for people to see, the latest first.

        Args:
            state: Only rows in this state; None for all.
            limit: Most rows.
        """
        asked = select(*OUTBOX_COLUMNS).order_by(_rows.seq.desc()).limit(limit)
        return self._found(asked if state is None else asked.where(_rows.state == state))

    def retry(self, id_: str, now_ns: int) -> bool:
        """Lets a dead letter wait again, as if it were new; its id stays.

        It goes before what came later in its group and still waits, and after what was sent since.

        Returns:
            False where there is no dead letter of this id.
        """
        again = {"state": "waiting", "due_ns": now_ns, "created_ns": now_ns, "attempts": 0, "ended_ns": None}
        with self.database.writing() as connection:
            found = connection.execute(
                update(alert_outbox).where(_rows.id == id_, _rows.state == "dead").values(again)
            )
            return bool(found.rowcount)

    def abandon(self, receivers: Collection[str], created_before_ns: int, now_ns: int) -> dict[str, int]:
        """Gives up old rows of receivers that nobody sends to any more.

        Args:
            receivers: Those that are sent to.
            created_before_ns: Only rows from before that time are given up: another process may know more.
            now_ns: Nanoseconds since the epoch.

        Returns:
            How many rows were given up, by receiver.
        """
        error = "no receiver of this name is configured; add it again, and retry the letter"
        given_up = (
            update(alert_outbox)
            .where(
                _rows.state == "waiting",
                _rows.created_ns < created_before_ns,
                _rows.receiver.not_in(sorted(receivers)),
            )
            .values(state="dead", ended_ns=now_ns, last_error=error)
            .returning(_rows.receiver)
        )
        counts: dict[str, int] = {}
        with self.database.writing() as connection:
            for (receiver,) in connection.execute(given_up):
                counts[receiver] = counts.get(receiver, 0) + 1
        return counts

    def purge(self, now_ns: int) -> int:
        """Deletes rows that ended long ago, or that are too many; see `KEPT_NS` and `KEPT_MAX`.

        Returns:
            How many were deleted; at most a thousand, the rest goes the next time.
        """
        with self.database.writing() as connection:
            old = or_(*(_outlived(state, now_ns - kept_ns) for state, kept_ns in KEPT_NS.items()))
            some = select(_rows.id).where(old).order_by(_rows.seq).limit(_PURGED_MAX)
            return connection.execute(delete(alert_outbox).where(_rows.id.in_(some))).rowcount

    def pause(self, timeout_seconds: float) -> bool:
        """Keeps other threads out until this one calls `resume`, as a fork needs; False when time ran out."""
        return self.database.pause(timeout_seconds)

    def resume(self) -> None:
        """Ends a `pause` of this thread."""
        self.database.resume()

    def close(self) -> None:
        """Closes the connection; closing twice does nothing."""
        self.database.close()

    def _found(self, asked: Select[tuple[object, ...]]) -> list[OutboxRow]:
        with self.database.reading() as connection:
            return [read_outbox(row) for row in connection.execute(asked)]


def _outlived(state: OutboxState, before_ns: int) -> ColumnElement[bool]:
    """Whether a row ended long ago, or is older than the newest `KEPT_MAX` of its state."""
    newest = (
        select(_before.c.seq)
        .where(_before.c.state == state)
        .order_by(_before.c.seq.desc())
        .offset(KEPT_MAX)
        .limit(1)
        .scalar_subquery()
    )
    return and_(_rows.state == state, or_(_rows.ended_ns < before_ns, _rows.seq <= newest))

"""Who evaluates the rules, and what an evaluation leaves: all of it in one transaction, or nothing."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, bindparam, case, delete, func, or_, select, update

from spanbudget.exporter.alert_store.outbox import SqlOutbox
from spanbudget.exporter.alert_store.records import Change, Kept, LogKey, NotLeadingError, RuleKey
from spanbudget.exporter.alert_store.rows import alert_id, alert_row, hashed, outbox_row, read_alert
from spanbudget.exporter.anomalies.store import SqlAnomalies
from spanbudget.exporter.ledger.schema import (
    alert_lease,
    alert_log,
    alert_notes,
    alert_outbox,
    alert_states,
)

if TYPE_CHECKING:
    from spanbudget.rules.alerts import Alert


class SqlAlertStore(SqlOutbox):
    """What rules keep, in the ledger's database; for SQLite and PostgreSQL.

    One process at a time leads: it holds a lease until a moment that it named, and renews it before. Moments
    are by the clocks of those who ask. A clock that is ahead takes a lease too early; that costs a change of
    leader and nothing else, because every lease has a fencing number: `commit` locks the lease, and keeps
    nothing under a number that is not the latest one.
    """

    @property
    def anomalies(self) -> SqlAnomalies:
        """What the watch for anomalies keeps; a change of it comes by `commit`."""
        return SqlAnomalies(self.database)

    def lead(self, owner: bytes, now_ns: int, until_ns: int) -> int | None:
        """Takes the lease where it is free, expired or own, and holds it until a moment.

        Args:
            owner: Names this process; 16 random bytes.
            now_ns: Nanoseconds since the epoch.
            until_ns: When the lease expires; `now_ns` gives it back.

        Returns:
            The fencing number, which stays while the owner does; None where another process leads.

        Raises:
            AlertStoreError: The store cannot be used.
        """
        lease = alert_lease.c
        first = {"id": 1, "owner": b"", "expires_ns": 0, "fence": 0}
        with self.database.writing() as connection:
            connection.execute(self.database.insert(alert_lease).values(first).on_conflict_do_nothing())
            taken = (
                update(alert_lease)
                .where(or_(lease.owner == owner, lease.expires_ns <= now_ns))
                .values(
                    owner=owner,
                    expires_ns=until_ns,
                    fence=lease.fence + case((lease.owner == owner, 0), else_=1),
                )
                .returning(lease.fence)
            )
            return connection.execute(taken).scalar()

    def load(self) -> Kept:
        """Everything but the outbox; as of one moment where nobody else leads.

        Raises:
            AlertStoreError: The store cannot be used.
        """
        alerts: dict[RuleKey, list[Alert]] = {}
        with self.database.reading() as connection:
            for row in connection.execute(select(alert_states).order_by(alert_states.c.id)):
                alerts.setdefault(RuleKey(row.rule_group, row.rule), []).append(read_alert(row))
            log = {
                LogKey(row.receiver, row.group_key): row.body for row in connection.execute(select(alert_log))
            }
            notes = {row.key: row.value for row in connection.execute(select(alert_notes))}
        return Kept({rule: tuple(some) for rule, some in alerts.items()}, log, notes)

    def commit(self, fence: int, change: Change) -> None:
        """Keeps what an evaluation changed; nothing at all is asked where it changed nothing.

        Args:
            fence: What `lead` gave.
            change: What is to be kept.

        Raises:
            NotLeadingError: Another process has taken the lease; nothing was kept.
            AlertStoreError: The store cannot be used; nothing was kept, and it can be tried again.
        """
        if not change:
            return
        with self.database.writing() as connection:
            # Whoever takes the lease waits for this transaction, or this one for it and sees the new number.
            held = connection.execute(select(alert_lease.c.fence).with_for_update()).scalar()
            if held != fence:
                raise NotLeadingError(
                    f"ledger {self.database.name}: another process evaluates the rules now (lease {held}, not"
                    f" {fence}); nothing was kept, and that process goes on from what was kept before"
                )
            self._keep_alerts(connection, change)
            self._keep_log(connection, change.log)
            self._keep_notes(connection, change.notes)
            self._put(connection, change)
            self.anomalies.keep(connection, change.anomalies)

    def _keep_alerts(self, connection: Connection, change: Change) -> None:
        _forget(connection, alert_states, "id", (alert_id(rule, labels) for rule, labels in change.gone))
        self._upsert(connection, alert_states, "id", [alert_row(*one) for one in change.alerts])

    def _keep_log(self, connection: Connection, log: Mapping[LogKey, Any]) -> None:
        _forget(connection, alert_log, "id", (hashed(*key) for key, body in log.items() if body is None))
        rows = [
            {"id": hashed(*key), **key._asdict(), "body": body}
            for key, body in log.items()
            if body is not None
        ]
        self._upsert(connection, alert_log, "id", rows)

    def _keep_notes(self, connection: Connection, notes: Mapping[str, str | None]) -> None:
        _forget(connection, alert_notes, "key", (key for key, value in notes.items() if value is None))
        rows = [{"key": key, "value": value} for key, value in notes.items() if value is not None]
        self._upsert(connection, alert_notes, "key", rows)

    def _put(self, connection: Connection, change: Change) -> None:
        """Puts rows into the outbox. The lease is locked, so numbers grow in the order of commits."""
        if not change.outbox:
            return
        last = connection.execute(select(func.coalesce(func.max(alert_outbox.c.seq), 0))).scalar_one()
        rows = [outbox_row(row, last + 1 + index) for index, row in enumerate(change.outbox)]
        new = self.database.insert(alert_outbox).on_conflict_do_nothing(index_elements=["id"])
        connection.execute(new, rows)

    def _upsert(self, connection: Connection, table: Table, key: str, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        insert = self.database.insert(table)
        changed = {name: insert.excluded[name] for name in rows[0] if name != key}
        connection.execute(insert.on_conflict_do_update(index_elements=[key], set_=changed), rows)


def _forget(connection: Connection, table: Table, key: str, values: Iterable[object]) -> None:
    gone = [{"gone": value} for value in values]
    if gone:
        connection.execute(delete(table).where(table.c[key] == bindparam("gone")), gone)

"""Holds in a SQLite ledger: every method is one transaction that excludes other writers."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from spanbudget.exporter.ledger import hold_statements as sql
from spanbudget.exporter.ledger import statements
from spanbudget.exporter.ledger.rows import ENTRY_COLUMNS, entry_of
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.processors.holds import Owner, OwnerLostError, Settlement
from spanbudget.processors.ledger import Appended, Entry
from spanbudget.processors.limits import Amount, Demand, Grant, Pot, Refusal, Standing, admit
from spanbudget.processors.money import PICO_PER_USD

_ORPHANS: Final = f"SELECT {', '.join(f'e.{column}' for column in ENTRY_COLUMNS)}{sql.ORPHANS_FROM_TO}"
_END_OF_TIME: Final = 2**63 - 1


class SqliteHoldLedger(SqliteLedger):
    """A `SqliteLedger` that is a `HoldLedger` too; see the protocol for what each method promises."""

    def join(self, owner: Owner) -> None:
        """See `HoldLedger.join`."""
        with self.writing() as connection:
            connection.execute(sql.ADD_OWNER, (owner.id, owner.journal, owner.expires_ns))

    def renew(self, owner: bytes, expires_ns: int) -> None:
        """See `HoldLedger.renew`."""
        with self.writing() as connection:
            if connection.execute(sql.RENEW, (expires_ns, owner)).rowcount == 0:
                raise OwnerLostError(_lost(owner))

    def take(self, owner: bytes, demands: Sequence[Demand], now_ns: int) -> list[Grant] | Refusal:
        """See `HoldLedger.take`."""
        with self.writing() as connection:
            _settled_sequence(connection, owner)
            grants = []
            for demand in sorted(demands, key=lambda one: one.pot):
                standing, own = _standing(connection, demand, owner)
                decision = admit(demand, standing, now_ns)
                if isinstance(decision, Refusal):
                    return decision
                grants.append((demand, decision, own))
            for demand, grant, own in grants:
                if any(grant.amount):
                    _set_hold(connection, owner, grant.pot, own.plus(grant.amount))
                if any(demand.rates):
                    connection.execute(sql.SET_RATES, (*grant.pot, *grant.busy_until_ns))
            return [grant for _, grant, _ in grants]

    def settle(self, settlement: Settlement) -> Appended:
        """See `HoldLedger.settle`."""
        owner = settlement.owner

        def lessen(connection: sqlite3.Connection) -> None:
            if settlement.sequence <= _settled_sequence(connection, owner):
                return
            for pot, amount in settlement.release.items():
                _hold(connection, owner, pot, Amount().minus(amount))
            for pot, ease_ns in settlement.ease_ns.items():
                connection.execute(sql.EASE_RATES, (*ease_ns, *pot))
            connection.execute(sql.SETTLED, (settlement.sequence, owner))

        return self.append_and(settlement.entries, lessen)

    def held(self, pots: Iterable[Pot]) -> dict[Pot, Amount]:
        """See `HoldLedger.held`."""
        found = {}
        with self.reading() as connection:
            for pot in pots:
                row = connection.execute(sql.HELD, pot).fetchone()
                if row[4]:
                    found[pot] = _amount(row)
        return found

    def owners(self, expired_ns: int | None = None) -> list[Owner]:
        """See `HoldLedger.owners`."""
        until_ns = _END_OF_TIME if expired_ns is None else expired_ns
        with self.reading() as connection:
            rows = connection.execute(sql.OPEN_OWNERS, (until_ns,)).fetchall()
        owners: dict[bytes, Owner] = {}
        holds: dict[bytes, dict[Pot, Amount]] = {}
        for owner, journal, expires_ns, closed_ns, budget, child, *amount in rows:
            mine = holds.setdefault(owner, {})
            if budget is not None:
                mine[Pot(budget, child)] = _amount(amount)
            owners[owner] = Owner(owner, journal, expires_ns, closed_ns, mine)
        return list(owners.values())

    def close_owner(self, owner: bytes, entries: Sequence[Entry], closed_ns: int) -> bool:
        """See `HoldLedger.close_owner`."""

        def close(connection: sqlite3.Connection) -> None:
            if connection.execute(sql.CLOSE, (closed_ns, owner)).rowcount == 0:
                raise OwnerLostError(_lost(owner))
            connection.execute(sql.FORGET_HOLDS, (owner,))

        try:
            self.append_and(entries, close)
        except OwnerLostError:
            return False
        return True

    def forget_owner(self, owner: bytes) -> None:
        """See `HoldLedger.forget_owner`."""
        with self.writing() as connection:
            connection.execute(sql.FORGET_HOLDS, (owner,))
            connection.execute(sql.FORGET_OWNER, (owner,))

    def orphans(self, owner: bytes) -> list[Entry]:
        """See `HoldLedger.orphans`."""
        with self.reading() as connection:
            known = connection.execute(sql.OWNER, (owner,)).fetchone()
            if known is None or not known[0]:
                return []
            ids = (owner + b"\x00" * 9, owner + b"\xff" * 9)
            return [entry_of(row) for row in connection.execute(_ORPHANS, (known[0], *ids))]

    def reopen(self, closed: bytes, entries: Sequence[Entry], owner: Owner) -> None:
        """See `HoldLedger.reopen`."""

        def give(connection: sqlite3.Connection) -> None:
            connection.execute(sql.FORGET_HOLDS, (closed,))
            connection.execute(sql.FORGET_OWNER, (closed,))
            connection.execute(sql.ADD_OWNER, (owner.id, owner.journal, owner.expires_ns))
            for pot, amount in owner.holds.items():
                _hold(connection, owner.id, pot, amount)

        self.append_and(entries, give)

    def put_document(self, kind: str, name: str, body: str, *, new: bool) -> bool:
        """See `HoldLedger.put_document`."""
        with self.writing() as connection:
            statement = sql.ADD_DOCUMENT if new else sql.SET_DOCUMENT
            return self._changed(connection, statement, (kind, name, body))

    def delete_document(self, kind: str, name: str) -> bool:
        """See `HoldLedger.delete_document`."""
        with self.writing() as connection:
            return self._changed(connection, sql.DROP_DOCUMENT, (kind, name))

    def documents(self, kinds: Iterable[str]) -> dict[tuple[str, str], str]:
        """See `HoldLedger.documents`."""
        with self.reading() as connection:
            rows = [row for kind in kinds for row in connection.execute(sql.DOCUMENTS, (kind,))]
        return {(kind, name): body for kind, name, body in rows}

    def document_version(self) -> int:
        """See `HoldLedger.document_version`."""
        with self.reading() as connection:
            row = connection.execute(statements.GET_META, (sql.DOCUMENTS_VERSION,)).fetchone()
        return int(row[0]) if row else 0

    @staticmethod
    def _changed(connection: sqlite3.Connection, statement: str, values: tuple[str, ...]) -> bool:
        changed = connection.execute(statement, values).rowcount > 0
        if changed:
            connection.execute(sql.BUMP_VERSION, (sql.DOCUMENTS_VERSION,))
        return changed


def _settled_sequence(connection: sqlite3.Connection, owner: bytes) -> int:
    row = connection.execute(sql.OWNER, (owner,)).fetchone()
    if row is None or row[0]:
        raise OwnerLostError(_lost(owner))
    return int(row[1])


def _standing(connection: sqlite3.Connection, demand: Demand, owner: bytes) -> tuple[Standing, Amount]:
    """What the ledger knows of a pot, and what the asking owner holds of it."""
    asked = (*demand.pot, demand.period, demand.first_ns, demand.last_ns, owner)
    row = connection.execute(sql.STANDING, asked).fetchone()
    busy = connection.execute(sql.RATES, demand.pot).fetchone() if any(demand.rates) else None
    return Standing(_amount(row), _amount(row[4:]), row[8], busy or (0, 0, 0)), _amount(row[9:])


def _hold(connection: sqlite3.Connection, owner: bytes, pot: Pot, change: Amount) -> None:
    """Changes what an owner holds of a pot; never below 0."""
    row = connection.execute(sql.HOLD, (*pot, owner)).fetchone()
    amount = (_amount(row) if row else Amount()).plus(change).at_least(0)
    if any(amount):
        _set_hold(connection, owner, pot, amount)
    elif row:
        connection.execute(sql.DROP_HOLD, (*pot, owner))


def _set_hold(connection: sqlite3.Connection, owner: bytes, pot: Pot, amount: Amount) -> None:
    usd, pico = divmod(amount.cost, PICO_PER_USD)
    connection.execute(sql.SET_HOLD, (*pot, owner, usd, pico, amount.tokens, amount.requests))


def _amount(row: Sequence[int]) -> Amount:
    return Amount(row[0] * PICO_PER_USD + row[1], row[2], row[3])


def _lost(owner: bytes) -> str:
    return f"the holds of owner {owner.hex()} have expired and were closed"

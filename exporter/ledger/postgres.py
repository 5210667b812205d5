"""The durable ledger of a fleet: a PostgreSQL database, with the holds of all its processes."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from spanbudget.exporter.ledger import postgres_statements as sql
from spanbudget.exporter.ledger.hold_statements import DOCUMENTS_VERSION
from spanbudget.exporter.ledger.postgres_entries import PostgresEntryLedger
from spanbudget.exporter.ledger.postgres_session import BEGIN, COMMIT
from spanbudget.exporter.ledger.postgres_store import Answer, Connection, Statement
from spanbudget.exporter.ledger.postgres_values import (
    amount_rows,
    columns,
    escaped,
    fitting,
    integers,
    plain_row,
    read_amount,
    read_entry,
    texts,
)
from spanbudget.processors.holds import Owner, OwnerLostError, Settlement
from spanbudget.processors.ledger import Appended, Entry
from spanbudget.processors.limits import Amount, Demand, Grant, Pot, Refusal, Standing, admit

_END_OF_TIME: Final = 2**63 - 1
_ID_TAIL_BYTES: Final = 9
"""What follows the owner in the id of an orphan charge."""


class PostgresLedger(PostgresEntryLedger):
    """A `PostgresEntryLedger` that is a `HoldLedger` too; see the protocol for what each method promises.

    Processes that take from one pot wait for each other at a lock of that pot. What they read then is one
    view of what was settled and of what is held, and a settlement changes both in one transaction: so money
    is always in one of the two.
    """

    def join(self, owner: Owner) -> None:
        """See `HoldLedger.join`."""
        with self.session.lend() as connection:
            connection.execute(sql.ADD_OWNER, (owner.id, escaped(owner.journal), owner.expires_ns))

    def renew(self, owner: bytes, expires_ns: int) -> None:
        """See `HoldLedger.renew`."""
        with self.session.lend() as connection:
            if connection.execute(sql.RENEW, (expires_ns, owner)).rowcount == 0:
                raise OwnerLostError(_lost(owner))

    def take(self, owner: bytes, demands: Sequence[Demand], now_ns: int) -> list[Grant] | Refusal:
        """See `HoldLedger.take`; two round trips."""
        asked = sorted(demands, key=lambda one: one.pot)

        def work(connection: Connection) -> list[Grant] | Refusal:
            transaction, standings = self._look(connection, owner, asked)
            grants = []
            for demand, standing in zip(asked, standings, strict=True):
                decision = admit(demand, standing, now_ns)
                if isinstance(decision, Refusal):
                    return decision
                grants.append(decision)
            self._hold(connection, owner, transaction, list(zip(asked, grants, strict=True)))
            return grants

        return self.session.transact(work)

    def settle(self, settlement: Settlement) -> Appended:
        """See `HoldLedger.settle`; two round trips."""
        owner = settlement.owner
        locks = [Statement(sql.LOCK_POTS, [_locks(settlement.ease_ns)])] if settlement.ease_ns else []

        def then(answers: Sequence[Answer]) -> list[Statement]:
            known = answers[-1].rows
            if not known or known[0][0]:
                raise OwnerLostError(_lost(owner))
            if settlement.sequence <= known[0][1]:
                return []
            return [
                *_lessen(owner, settlement.release.items()),
                *_ease(settlement.ease_ns),
                Statement(sql.SETTLED, (settlement.sequence, owner)),
            ]

        return self.append_and(settlement.entries, [*locks, Statement(sql.SETTLING_OWNER, (owner,))], then)

    def held(self, pots: Iterable[Pot]) -> dict[Pot, Amount]:
        """See `HoldLedger.held`."""
        asked = {_fitting(pot): pot for pot in pots}
        if not asked:
            return {}
        with self.session.lend() as connection:
            rows = connection.execute(sql.HELD, columns(list(asked), "tt")).fetchall()
        return {asked[Pot(budget, child)]: read_amount(rest) for budget, child, *rest in map(plain_row, rows)}

    def owners(self, expired_ns: int | None = None) -> list[Owner]:
        """See `HoldLedger.owners`."""
        until_ns = _END_OF_TIME if expired_ns is None else expired_ns
        with self.session.lend() as connection:
            rows = connection.execute(sql.OPEN_OWNERS, (until_ns,)).fetchall()
        owners: dict[bytes, Owner] = {}
        holds: dict[bytes, dict[Pot, Amount]] = {}
        for owner, journal, expires_ns, closed_ns, budget, child, *amount in map(plain_row, rows):
            mine = holds.setdefault(owner, {})
            if budget is not None:
                mine[Pot(budget, child)] = read_amount(amount)
            owners[owner] = Owner(owner, journal, expires_ns, closed_ns, mine)
        return list(owners.values())

    def close_owner(self, owner: bytes, entries: Sequence[Entry], closed_ns: int) -> bool:
        """See `HoldLedger.close_owner`."""

        def then(answers: Sequence[Answer]) -> list[Statement]:
            if answers[-1].affected == 0:
                raise OwnerLostError(_lost(owner))
            return [Statement(sql.FORGET_HOLDS, (owner,))]

        locked = Statement(sql.CLOSING_OWNER, (owner,))
        closed = Statement(sql.CLOSE_OWNER, (closed_ns, owner))
        try:
            self.append_and(entries, [locked, closed], then)
        except OwnerLostError:
            return False
        return True

    def forget_owner(self, owner: bytes) -> None:
        """See `HoldLedger.forget_owner`."""
        statements = (BEGIN, *_forget(owner), COMMIT)
        self.session.transact(lambda connection: connection.run(*statements))

    def orphans(self, owner: bytes) -> list[Entry]:
        """See `HoldLedger.orphans`."""
        asked = (b"\x00" * _ID_TAIL_BYTES, b"\xff" * _ID_TAIL_BYTES, owner)
        with self.session.lend() as connection:
            return [read_entry(row) for row in connection.execute(sql.ORPHANS, asked).fetchall()]

    def reopen(self, closed: bytes, entries: Sequence[Entry], owner: Owner) -> None:
        """See `HoldLedger.reopen`."""
        before = [
            *_forget(closed),
            Statement(sql.FORGET_HOLDS, (owner.id,)),  # of a reopening whose end was not seen
            Statement(sql.ADD_OWNER, (owner.id, escaped(owner.journal), owner.expires_ns)),
            *_add(owner.id, owner.holds.items()),
        ]
        self.append_and(entries, before)

    def put_document(self, kind: str, name: str, body: str, *, new: bool) -> bool:
        """See `HoldLedger.put_document`."""
        return self._change_document(sql.ADD_DOCUMENT if new else sql.SET_DOCUMENT, (kind, name, body))

    def delete_document(self, kind: str, name: str) -> bool:
        """See `HoldLedger.delete_document`."""
        return self._change_document(sql.DROP_DOCUMENT, (kind, name))

    def documents(self, kinds: Iterable[str]) -> dict[tuple[str, str], str]:
        """See `HoldLedger.documents`."""
        with self.session.lend() as connection:
            rows = connection.execute(sql.DOCUMENTS, (texts(kinds),)).fetchall()
        return {(kind, name): body for kind, name, body in map(plain_row, rows)}

    def document_version(self) -> int:
        """See `HoldLedger.document_version`."""
        return int(self.noted([DOCUMENTS_VERSION]).get(DOCUMENTS_VERSION, "0"))

    def _look(
        self, connection: Connection, owner: bytes, demands: Sequence[Demand]
    ) -> tuple[str, list[Standing]]:
        """Begins a transaction, locks the pots, and reads what they have; with the transaction's number."""
        rows = [(*one.pot, one.period, one.first_ns, one.last_ns) for one in demands]
        _, _, known, *found = connection.run(
            BEGIN,
            Statement(sql.LOCK_POTS, [_locks(demand.pot for demand in demands)]),
            Statement(sql.TAKING_OWNER, (owner,)),
            *([Statement(sql.STANDINGS, columns(rows, sql.DEMAND_KINDS))] if rows else []),
        )
        if not known.rows or known.rows[0][0]:
            raise OwnerLostError(_lost(owner))
        return known.rows[0][1], [*map(_standing, demands, found[0].rows if found else ())]

    def _hold(
        self,
        connection: Connection,
        owner: bytes,
        transaction: str,
        granted: Sequence[tuple[Demand, Grant]],
    ) -> None:
        """Writes what was granted and commits; a commit whose answer is lost is looked up and taken back."""
        amounts = [(grant.pot, grant.amount) for _, grant in granted]
        rates = [(*grant.pot, *grant.busy_until_ns) for demand, grant in granted if any(demand.rates)]
        used = [Statement(sql.SET_RATES, columns(rates, sql.RATE_KINDS))] if rates else []
        try:
            connection.run(*_add(owner, amounts), *used, COMMIT)
        except BaseException:
            self.session.doubt(transaction, _lessen(owner, amounts))
            raise

    def _change_document(self, statement: bytes, values: tuple[str, ...]) -> bool:
        with self.session.lend() as connection:
            row = connection.execute(statement, [*map(escaped, values)]).fetchone()
        return bool(row and row[0])


def _standing(demand: Demand, row: tuple[Any, ...]) -> Standing:
    busy_until_ns = row[9:] if any(demand.rates) else (0, 0, 0)
    return Standing(read_amount(row[:4]), read_amount(row[4:8]), row[8], busy_until_ns)


def _fitting(pot: Pot) -> Pot:
    return Pot(*map(fitting, pot))


def _locks(pots: Iterable[Pot]) -> str:
    """Numbers of the locks of pots, in the order in which everybody takes them; two pots may share one."""
    return integers(sorted({_lock(pot) for pot in pots}))


def _lock(pot: Pot) -> int:
    told = "\x00".join(pot).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(told, digest_size=8, person=b"spanbudget").digest(), "big", signed=True)


def _add(owner: bytes, amounts: Iterable[tuple[Pot, Amount]]) -> list[Statement]:
    rows = amount_rows(amounts)
    return [Statement(sql.ADD_HOLDS, (owner, *columns(rows, sql.HOLD_KINDS)))] if rows else []


def _lessen(owner: bytes, amounts: Iterable[tuple[Pot, Amount]]) -> list[Statement]:
    """Takes amounts out of an owner's holds, none of which goes below 0."""
    rows = amount_rows(amounts)
    if not rows:
        return []
    return [
        Statement(sql.LESSEN_HOLDS, (*columns(rows, sql.HOLD_KINDS), owner)),
        Statement(sql.DROP_EMPTY_HOLDS, (owner,)),
    ]


def _ease(ease_ns: Mapping[Pot, tuple[int, int, int]]) -> list[Statement]:
    rows = [(*pot, *parts) for pot, parts in sorted(ease_ns.items())]
    return [Statement(sql.EASE_RATES, columns(rows, sql.RATE_KINDS))] if rows else []


def _forget(owner: bytes) -> list[Statement]:
    # In this order: the owner waits for a take in flight, and then what that has held goes too.
    return [Statement(sql.FORGET_OWNER, (owner,)), Statement(sql.FORGET_HOLDS, (owner,))]


def _lost(owner: bytes) -> str:
    return f"the holds of owner {owner.hex()} have expired and were closed"

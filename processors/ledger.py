"""What a ledger keeps, the protocol of a ledger, and one in memory.

A ledger is append-only. A call that must be restated is reversed by one entry (its exact negative) and
booked again by another; so every sum over entries is right at every moment, and an entry is never changed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeAlias

from spanbudget.processors.call import LLMCall, PricedCall

EntryKind: TypeAlias = Literal["call", "reversal"]


class SpendKey(NamedTuple):
    """Names one running total: a budget, its child, and one window of it.

    Attributes:
        budget: Name of the budget.
        child: Values of the `per` labels of a template's child, `user=alice`; "" for a plain budget.
        period: Canonical text of the period, so that a changed period starts a new total.
        start_ns: Start of the window, nanoseconds since the epoch.
    """

    budget: str
    child: str
    period: str
    start_ns: int


@dataclass(frozen=True, slots=True)
class Spend:
    """A running total.

    Attributes:
        cost: Settled money in pico-USD; unpriced calls add nothing here.
        tokens: All tokens.
        requests: Calls.
        estimated: The part of `cost` whose confidence is not exact, pico-USD.
        unpriced: The calls that could not be priced.
    """

    cost: int = 0
    tokens: int = 0
    requests: int = 0
    estimated: int = 0
    unpriced: int = 0

    def plus(self, other: "Spend") -> "Spend":
        """The sum of two totals."""
        return Spend(
            self.cost + other.cost,
            self.tokens + other.tokens,
            self.requests + other.requests,
            self.estimated + other.estimated,
            self.unpriced + other.unpriced,
        )


NO_SPEND = Spend()


class Entry(NamedTuple):
    """One line of the ledger.

    Attributes:
        id: Trace id (16 bytes), span id (8 bytes) and a kind byte (0 call, 1 reversal); with the end of the
            call it is the idempotency key.
        kind: `call` books a call; `reversal` takes the call of the same trace and span out again.
        priced: The call and its price. A reversal carries the very call that it reverses.
        windows: The running totals that the entry belongs to.
    """

    id: bytes
    kind: EntryKind
    priced: PricedCall
    windows: tuple[SpendKey, ...] = ()


def entry_id(call: LLMCall, kind: EntryKind = "call") -> bytes:
    """The idempotency key of a call's entry (25 bytes)."""
    tail = call.span_id << 8 | (kind == "reversal")
    return call.trace_id.to_bytes(16, "big") + tail.to_bytes(9, "big")


def entry_spend(entry: Entry) -> Spend:
    """What an entry adds to each of its windows; the negative for a reversal."""
    priced = entry.priced
    sign = -1 if entry.kind == "reversal" else 1
    cost = priced.cost or 0
    return Spend(
        sign * cost,
        sign * priced.call.usage.total,
        sign,
        sign * cost if priced.confidence == "estimated" else 0,
        sign if priced.cost is None else 0,
    )


@dataclass(frozen=True, slots=True)
class Appended:
    """The result of an append.

    Attributes:
        duplicates: Ids of the given entries that the ledger already had; they changed nothing.
        spend: The totals after the append of every window that the given entries name.
    """

    duplicates: frozenset[bytes]
    spend: Mapping[SpendKey, Spend]


class Ledger(Protocol):
    """Where entries are kept. Implementations are safe for use by several processes, not by several threads.

    Every method raises `LedgerError` where the store cannot be read or written; a failed append leaves no
    trace and can be tried again.
    """

    def append(self, entries: Sequence[Entry]) -> Appended:
        """Appends entries and adds them to their windows in one transaction, once for each entry id."""
        ...

    def standing(self, since_ns: int, until_ns: int, *, limit: int) -> list[Entry]:
        """The calls that are not reversed and ended in `[since_ns, until_ns]`, by end time.

        Where there are more than `limit`, the latest ones. Their windows may come empty.
        """
        ...

    def spend(self, keys: Iterable[SpendKey]) -> dict[SpendKey, Spend]:
        """The totals of the given windows; a window without entries is missing from the answer."""
        ...

    def entries(self, *, since_ns: int = 0, until_ns: int | None = None) -> Iterator[Entry]:
        """All entries whose call ended in `[since_ns, until_ns)`, in the order they were appended."""
        ...

    def close(self) -> None:
        """Releases the store; closing twice does nothing."""
        ...


@dataclass(slots=True)
class MemoryLedger:
    """A ledger in memory, with the full contract but for durability; for tests and dry runs."""

    _entries: dict[tuple[int, bytes], Entry] = field(default_factory=dict)
    _spend: dict[SpendKey, Spend] = field(default_factory=dict)

    def append(self, entries: Sequence[Entry]) -> Appended:
        """See `Ledger.append`."""
        duplicates: set[bytes] = set()
        touched: set[SpendKey] = set()
        for entry in entries:
            touched.update(entry.windows)
            key = (entry.priced.call.end_ns, entry.id)
            if key in self._entries:
                duplicates.add(entry.id)
                continue
            self._entries[key] = entry
            for window in entry.windows:
                self._spend[window] = self._spend.get(window, NO_SPEND).plus(entry_spend(entry))
        return Appended(frozenset(duplicates), self.spend(touched))

    def standing(self, since_ns: int, until_ns: int, *, limit: int) -> list[Entry]:
        """See `Ledger.standing`."""
        found = [
            entry
            for entry in self._entries.values()
            if entry.kind == "call"
            and since_ns <= entry.priced.call.end_ns <= until_ns
            and (entry.priced.call.end_ns, entry_id(entry.priced.call, "reversal")) not in self._entries
        ]
        return sorted(found, key=lambda entry: entry.priced.call.end_ns)[-limit:]

    def spend(self, keys: Iterable[SpendKey]) -> dict[SpendKey, Spend]:
        """See `Ledger.spend`."""
        return {key: self._spend[key] for key in keys if key in self._spend}

    def spend_by_child(self, budget: str, period: str, first_ns: int, last_ns: int) -> dict[str, Spend]:
        """The spend of every child of a budget in the windows that start in `[first_ns, last_ns]`."""
        spends: dict[str, Spend] = {}
        for key, spend in self._spend.items():
            if key.budget == budget and key.period == period and first_ns <= key.start_ns <= last_ns:
                spends[key.child] = spends.get(key.child, NO_SPEND).plus(spend)
        return spends

    def entries(self, *, since_ns: int = 0, until_ns: int | None = None) -> Iterator[Entry]:
        """See `Ledger.entries`."""
        for entry in list(self._entries.values()):
            end = entry.priced.call.end_ns
            if since_ns <= end and (until_ns is None or end < until_ns):
                yield entry

    def close(self) -> None:
        """See `Ledger.close`."""

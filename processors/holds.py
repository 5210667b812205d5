"""Holds: money that processes have taken out of budgets and not settled yet, and where it is kept.

A process is one owner. For each pot it holds one amount: what its calls in flight hold, what it has settled
and not written yet, and what it has leased ahead. All amounts of an owner expire together; a live owner
renews them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spanbudget.processors.errors import SpanBudgetError
from spanbudget.processors.ledger import Appended, Entry
from spanbudget.processors.limits import Amount, Demand, Grant, Pot, Refusal


class OwnerLostError(SpanBudgetError):
    """The owner has expired and its holds were charged or released by another process."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that holds money.

    Attributes:
        id: 16 random bytes.
        journal: Where its journal is, for people and for the next process on the machine.
        expires_ns: When its holds expire, nanoseconds since the epoch.
        closed_ns: When its holds were charged, or 0 while it lives. Orphan charges end at this time.
        holds: What it holds.
    """

    id: bytes
    journal: str
    expires_ns: int
    closed_ns: int
    holds: Mapping[Pot, Amount]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one owner has settled since it last wrote.

    Attributes:
        owner: Id of the owner.
        sequence: Grows with each settlement of the owner; one that the store has seen changes no hold again.
        entries: What is appended.
        release: What the owner holds no longer, 0 or more in each part.
        ease_ns: How much sooner the rate limits of a pot are free again, for each measure: what was taken
            from them and never used, nanoseconds, 0 or more.
    """

    owner: bytes
    sequence: int
    entries: Sequence[Entry]
    release: Mapping[Pot, Amount]
    ease_ns: Mapping[Pot, tuple[int, int, int]] = field(default_factory=dict)


class HoldLedger(Protocol):
    """A ledger that keeps holds; every method is one transaction.

    Every method raises `LedgerError` where the store cannot be read or written, and then changed nothing.
    """

    def join(self, owner: Owner) -> None:
        """Makes an owner known; its holds are ignored, it has none yet."""
        ...

    def renew(self, owner: bytes, expires_ns: int) -> None:
        """Moves the expiry of an owner.

        Raises:
            OwnerLostError: It has expired and was closed.
        """
        ...

    def take(self, owner: bytes, demands: Sequence[Demand], now_ns: int) -> list[Grant] | Refusal:
        """Holds what every demand asks, or nothing; see `limits.admit`. The demands' pots differ.

        Raises:
            OwnerLostError: The owner is not known, or was closed.
        """
        ...

    def settle(self, settlement: Settlement) -> Appended:
        """Appends entries and lessens the holds that paid for them. No hold goes below 0.

        Raises:
            OwnerLostError: The owner was closed; nothing was appended.
        """
        ...

    def held(self, pots: Iterable[Pot]) -> dict[Pot, Amount]:
        """What all owners hold; a pot without holds is missing."""
        ...

    def owners(self, expired_ns: int | None = None) -> list[Owner]:
        """The owners that are not closed, with their holds; only those expired by then where given."""
        ...

    def close_owner(self, owner: bytes, entries: Sequence[Entry], closed_ns: int) -> bool:
        """Charges what is left: appends entries, deletes the holds, and marks the owner closed.

        Returns:
            False where it was closed already, or is not known: nothing changed.
        """
        ...

    def forget_owner(self, owner: bytes) -> None:
        """Deletes an owner and all it holds, for one that has settled everything."""
        ...

    def orphans(self, owner: bytes) -> list[Entry]:
        """The standing charges that `close_owner` appended for a closed owner; their windows are empty."""
        ...

    def reopen(self, closed: bytes, entries: Sequence[Entry], owner: Owner) -> None:
        """Gives a new owner what a closed one turns out to have had: appends, joins, holds; forgets `closed`.

        Args:
            closed: Id of the closed owner.
            entries: Reversals of its orphan charges, and what it had settled.
            owner: The new owner with what is still in flight; it is held without asking the limits, because
                the charges that are reversed were at least as much.
        """
        ...

    def put_document(self, kind: str, name: str, body: str, *, new: bool) -> bool:
        """Keeps a text under a kind and a name; False where `new` and there is one already."""
        ...

    def delete_document(self, kind: str, name: str) -> bool:
        """Deletes a text; False where there is none."""
        ...

    def documents(self, kinds: Iterable[str]) -> dict[tuple[str, str], str]:
        """All texts of some kinds, by kind and name."""
        ...

    def document_version(self) -> int:
        """Grows with every change of any document."""
        ...

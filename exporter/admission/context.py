"""What the context of a call says: its span, its labels, and the budgets of the blocks that it is in."""

import os
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Final, TypeAlias

from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import Span

from spanbudget.exporter.admission.refusals import context_exceeded
from spanbudget.exporter.admission.reservation import Reservation
from spanbudget.processors.errors import ConfigurationError
from spanbudget.processors.money import usd_to_pico
from spanbudget.processors.names_out import LABEL_ATTRIBUTES

Caller: TypeAlias = tuple[Mapping[str, object], int, int]
"""Labels, trace id and span id; 0 where there is no span."""
BAGGAGE_PREFIX: Final = "spanbudget."
"""Labels travel in OTel baggage under their name with this prefix, to other services too."""

# Of our own: no seed that an application sets makes two processes draw the same.
_random: Final = random.Random()  # noqa: S311 - ids, as those of spans
os.register_at_fork(after_in_child=_random.seed)
_current: ContextVar[Reservation | None] = ContextVar("spanbudget_reservation", default=None)
_announced: ContextVar["Announced | None"] = ContextVar("spanbudget_announced", default=None)


@dataclass(slots=True, eq=False)
class ContextBudget:
    """The money of one `budget_context`, in this process.

    Attributes:
        name: For people.
        limit: pico-USD.
        spent: Settled, pico-USD.
        reserved: Held by calls in flight, pico-USD.
    """

    name: str
    limit: int
    spent: int = 0
    reserved: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def remaining(self) -> int:
        """What is neither spent nor reserved, pico-USD; negative where a call cost more than it held."""
        return self.limit - self.spent - self.reserved

    def hold(self, cost: int) -> None:
        """Holds money.

        Raises:
            BudgetExceeded: There is not so much left.
        """
        with self._lock:
            if cost > self.limit - self.spent - self.reserved or self.spent >= self.limit:
                raise context_exceeded(self.name, self.limit, self.spent, self.reserved, cost)
            self.reserved += cost

    def settle(self, held: int, spent: int) -> None:
        """Books what a call cost, and gives back what it held."""
        with self._lock:
            self.reserved -= held
            self.spent += spent


@dataclass(frozen=True, slots=True)
class Nested:
    """The blocks that a call is in.

    Attributes:
        labels: Their labels, the innermost first where two have the same.
        budgets: Their budgets, the outermost first.
    """

    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    budgets: tuple[ContextBudget, ...] = ()

    def hold(self, cost: int) -> None:
        """Holds money of every budget, or of none.

        Raises:
            BudgetExceeded: One of them has not so much left.
        """
        done = []
        try:
            for budget in self.budgets:
                budget.hold(cost)
                done.append(budget)
        except BaseException:
            for budget in done:
                budget.settle(cost, 0)
            raise

    def settle(self, held: int, spent: int) -> None:
        """Books what a call cost, and gives back what it held."""
        for budget in self.budgets:
            budget.settle(held, spent)


NO_BLOCKS: Final = Nested()
_nested: ContextVar[Nested] = ContextVar("spanbudget_context", default=NO_BLOCKS)


def nested_budgets() -> Nested:
    """The blocks that the caller is in."""
    return _nested.get()


@contextmanager
def budget_context(
    *, max_cost: Decimal | float | str | None = None, name: str = "context", **labels: str
) -> Iterator[ContextBudget | None]:
    """Labels every call of a block, and caps what it may spend.

    Labels go to spans and to other services as OTel baggage, so that a budget with `per: [session]` counts
    the session's calls wherever they are made. The cap is this process's own: it covers the threads and tasks
    that run with a copy of the context.

    Args:
        max_cost: Most that the calls of the block may cost, USD; None sets only labels.
        name: What errors call the budget.
        labels: Label → value: `user`, `team`, `session`, `run` and whatever budgets match by.

    Yields:
        The budget of the block; None without `max_cost`.

    Raises:
        ConfigurationError: `max_cost` is not an amount above 0.
    """
    outer = _nested.get()
    budget = None if max_cost is None else ContextBudget(name, _limit(max_cost))
    budgets = outer.budgets if budget is None else (*outer.budgets, budget)
    inner = Nested(MappingProxyType({**outer.labels, **labels}), budgets)
    ours = _nested.set(inner)
    current = context.get_current()
    for label, value in labels.items():
        current = baggage.set_baggage(BAGGAGE_PREFIX + label, value, current)
    theirs = context.attach(current)
    try:
        yield budget
    finally:
        context.detach(theirs)
        _nested.reset(ours)


def span_labels(parent: context.Context | None) -> Mapping[str, str]:
    """The attributes that `budget_context` gives to the spans of its block."""
    entries = baggage.get_all(parent)
    if not entries:
        return {}
    labels = {key.removeprefix(BAGGAGE_PREFIX): key for key in entries if key.startswith(BAGGAGE_PREFIX)}
    return {LABEL_ATTRIBUTES.get(label, label): str(entries[key]) for label, key in labels.items()}


def link_span(span: Span) -> None:
    """Takes note of a span that starts in the block of a reservation: it is the call, or encloses it."""
    reservation = _current.get() or _open_announced()
    if reservation is None or reservation.link is not None or span.context is None:
        return
    parent_id = span.parent.span_id if span.parent is not None else 0
    if parent_id == reservation.parent_id:
        reservation.link = (span.context.trace_id, span.context.span_id, parent_id)


def current_reservation() -> Reservation | None:
    """The reservation of the block that the caller is in."""
    return _current.get()


@dataclass(slots=True, eq=False)
class Announced:
    """A reservation that the application has made outside of a block, for the next call of its context.

    Attributes:
        reservation: The reservation.
        taken: Whether a call has used it.
    """

    reservation: Reservation
    taken: bool = False

    def take(self, *, again: bool) -> bool:
        """Whether it is for a request that is about to be sent; each is for one call.

        Args:
            again: Whether the request is a further try of a call.
        """
        if self.reservation.state != "open":
            return False
        first, self.taken = not self.taken, True
        return first or again


def announce(reservation: Reservation) -> None:
    """Lets the next call of the caller's context, and the span that describes it, belong to a reservation."""
    _announced.set(Announced(reservation))


def announced_reservation() -> Announced | None:
    """The last reservation of the caller's context that was made outside of a block."""
    return _announced.get()


def _open_announced() -> Reservation | None:
    announced = _announced.get()
    return announced.reservation if announced is not None and announced.reservation.state == "open" else None


@contextmanager
def inside(reservation: Reservation) -> Iterator[Reservation]:
    """Makes a reservation the current one: spans that start in the block are linked to it."""
    token = _current.set(reservation)
    try:
        yield reservation
    finally:
        _current.reset(token)


def caller_of(baggage_keys: Sequence[str] = ()) -> Caller:
    """Who calls: the labels of its blocks and its baggage, and its span.

    Args:
        baggage_keys: Baggage entries that the configuration reads, beside those of `budget_context`.
    """
    current = context.get_current()
    labels = _nested.get().labels
    if not current:
        return labels, 0, 0
    entries = baggage.get_all(current)
    if entries:
        told: dict[str, object] = {key: entries[key] for key in baggage_keys if key in entries}
        told |= {
            key.removeprefix(BAGGAGE_PREFIX): value
            for key, value in entries.items()
            if key.startswith(BAGGAGE_PREFIX)
        }
        labels = {**told, **labels}  # type: ignore[dict-item]
    span = trace.get_current_span(current).get_span_context()
    return (labels, span.trace_id, span.span_id) if span.is_valid else (labels, 0, 0)


def new_id(bits: int) -> int:
    """A random id, not 0."""
    return _random.getrandbits(bits) or 1


def _limit(amount: Decimal | float | str) -> int:
    try:
        limit = usd_to_pico(Decimal(str(amount)))
    except (ArithmeticError, ValueError) as error:
        raise ConfigurationError([f"max_cost: {amount!r} is not an amount in USD"]) from error
    if limit <= 0:
        raise ConfigurationError([f"max_cost: must be above 0, got {amount}"])
    return limit

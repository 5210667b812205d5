"""What the counter remembers: counted calls, and the traces they are in."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from spanbudget.processors.call import LLMCall
from spanbudget.processors.evidence import usage_known
from spanbudget.processors.ledger import Entry

CANDIDATES_MAX: Final = 64
"""Counted calls of a trace that are looked at as siblings, the newest first."""


class Counted:
    """A call that is counted, as it stands; changed only by the counter and its owner.

    It is also all that is remembered of a trace in which nothing else has ended. What a call of one span does
    not need is not made for it: there is one of these for each call, and the garbage collector visits them.

    Attributes:
        call: The call as it is booked now.
        booked: The entry that books it, set by the owner; None before, and where it was refused.
        stands: False once it was taken back.
    """

    __slots__ = ("_first", "_held", "booked", "call", "stands")

    def __init__(self, call: LLMCall, booked: Entry | None = None) -> None:
        self.call = call
        self.booked = booked
        self.stands = True
        self._first: tuple[int, int] | None = None
        self._held: dict[str, int] | None = None

    @property
    def first(self) -> tuple[int, int]:
        """Trace id and span id of the span that was the first to describe it."""
        return self._first or (self.call.trace_id, self.call.span_id)

    def has(self, scope: str) -> bool:
        """Whether a span of the scope is in it; one of each, but for ancestors."""
        return scope == self.call.scope if self._held is None else scope in self._held

    def holder(self, scope: str) -> int:
        """The first span of a scope that is in it.

        Raises:
            KeyError: There is none.
        """
        return self._holders()[scope]

    def hold(self, scope: str, span_id: int) -> None:
        """Adds a span of another scope."""
        self._holders().setdefault(scope, span_id)

    def become(self, call: LLMCall) -> None:
        """Stands as the call that a later span describes."""
        self._holders()
        self._first = self.first
        self.call = call

    def _holders(self) -> dict[str, int]:
        if self._held is None:
            self._held = {self.call.scope: self.call.span_id}
        return self._held


class Trace:
    """What is remembered of one trace; few containers, because there is one for each request."""

    __slots__ = ("by_prompt", "covered", "of_span", "parents", "seen_ns")

    def __init__(self) -> None:
        self.parents: dict[int, int] = {}  # span → parent, for every span that ended
        self.of_span: dict[int, Counted] = {}  # span → the call it belongs to
        self.covered: dict[int, list[Counted]] | None = None  # span that has not ended → calls below it
        self.by_prompt: dict[int | None, list[Counted]] | None = None  # of a large trace, for its siblings
        self.seen_ns = 0

    def newest(self) -> list[Counted]:
        """The counted calls, the newest first, `CANDIDATES_MAX` at most."""
        return list(islice(reversed(self.of_span.values()), CANDIDATES_MAX))

    def alike(self, call: LLMCall) -> Iterable[Counted]:
        """The counted calls that may show the same tokens, the newest first; in a small trace all calls."""
        if len(self.of_span) <= CANDIDATES_MAX or not usage_known(call):
            return self.newest()
        if self.by_prompt is None:
            self.by_prompt = {}
            for counted in {id(one): one for one in self.of_span.values()}.values():
                self.index(counted)
        same, unknown = self.by_prompt.get(call.usage.prompt, ()), self.by_prompt.get(None, ())
        return [*islice(reversed(same), CANDIDATES_MAX), *islice(reversed(unknown), CANDIDATES_MAX)]

    def index(self, counted: Counted) -> None:
        """Puts a counted call where `alike` finds it."""
        if self.by_prompt is not None:
            known = usage_known(counted.call)
            self.by_prompt.setdefault(counted.call.usage.prompt if known else None, []).append(counted)

    def put_last(self, counted: Counted) -> None:
        """Lets `alike` find a call after the others with its tokens, which still lack a second span."""
        for key in (counted.call.usage.prompt, None):
            calls = (self.by_prompt or {}).get(key, [])
            for place in range(len(calls) - 1, max(len(calls) - CANDIDATES_MAX, 0) - 1, -1):
                if calls[place] is counted:
                    calls.insert(0, calls.pop(place))
                    break

    def take_covered(self, span_id: int) -> list[Counted] | None:
        """The calls below a span that has ended now."""
        return self.covered.pop(span_id, None) if self.covered else None

    def cover(self, span_id: int, calls: Sequence[Counted]) -> None:
        """Remembers calls below a span that has not ended."""
        if self.covered is None:
            self.covered = {}
        self.covered.setdefault(span_id, []).extend(calls)

    @classmethod
    def of(cls, counted: Counted) -> "Trace":
        """The memory of a trace of which only one counted call was remembered."""
        trace, call = cls(), counted.call
        trace.seen_ns = call.end_ns
        trace.add_span(call.span_id, call.parent_id)
        trace.of_span[call.span_id] = counted
        if trace.parents[call.span_id]:
            trace.cover(call.parent_id, [counted])
        return trace

    def add_span(self, span_id: int, parent_id: int) -> None:
        """Takes note of a span; one that is its own parent has none: the loop would be run for long."""
        self.parents[span_id] = parent_id if parent_id != span_id else 0

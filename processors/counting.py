"""One call, however many spans describe it.

A span is decided when it ends. In this order: the provider's response id; an ancestor whose descendant was
counted (or the other way round, where the ancestor came first); a sibling that shows the same call by time,
model and tokens. What a later span knows better restates the counted call.

Memory is bounded by entries and by age in span time, so that the same spans give the same decisions at any
speed. What is forgotten is counted; the ledger remembers response ids and traces for longer.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, Literal, NamedTuple, TypeAlias

from spanbudget.processors.call import LLMCall
from spanbudget.processors.dialects import DETACHED_SCOPES, UNLINKED_SCOPES
from spanbudget.processors.evidence import (
    combined,
    exceeds,
    ids_contradict,
    may_be_one,
    mostly_overlaps,
    nested,
    overlaps,
    renamed_as,
    same_model,
    same_provider,
    separate_attempts,
    sums_agree,
    tells_usage,
    usage_agrees,
    usage_known,
)
from spanbudget.processors.ledger import Entry
from spanbudget.processors.trace_memory import CANDIDATES_MAX, Counted, Trace

Action: TypeAlias = Literal["count", "restate", "merge", "skip"]
DEPTH_MAX: Final = 1_000
"""Longest chain of parents that is followed; a longer one is a cycle or garbage."""
ROOTS_SPAN_NS: Final = 60_000_000_000
"""Roots that ended this long before a call began (60 s) end the search: ends come roughly in order."""


class Decision(NamedTuple):
    """What to do about one span.

    Attributes:
        action: `count` books `counted.call`; `restate` reverses `replaced` and books `counted.call`;
            `merge` and `skip` book nothing.
        reason: Why, one word: `new`, `response_id`, `ancestor`, `descendant`, `sibling`, `detached_trace`,
            `aggregate`, `aggregate_exceeds` (the same, and the agent says more than all calls below it that
            told their usage: one of them may be missing), `duplicate_span`, `no_call`.
        counted: The counted call that the span now belongs to; None where it is no call.
        replaced: The entry that a `restate` reverses.
        taken_back: Counted aggregates whose children turned up: they are reversed.
    """

    action: Action
    reason: str
    counted: Counted | None = None
    replaced: Entry | None = None
    taken_back: Sequence[Counted] = ()


_NO_CALL: Final = Decision("skip", "no_call")


class CallCounter:
    """Decides each span; safe for one thread.

    Args:
        max_entries: Spans that are remembered, of all traces together.
        max_age_ns: How long after its last span a trace is remembered, in span time.

    Attributes:
        forgotten: Counted calls that were forgotten at a bound.
    """

    def __init__(self, *, max_entries: int = 50_000, max_age_ns: int = 900_000_000_000) -> None:
        self._max_entries = max_entries
        self._max_age_ns = max_age_ns
        # A plain dict is slow at losing its oldest.
        self._traces: OrderedDict[int, Trace | Counted] = OrderedDict()
        self._by_response: dict[str, Counted] = {}
        self._same_id: dict[str, list[Counted]] = {}  # further calls with an id that a server drew twice
        # Calls whose span is a root: all, of scopes that do not link, and of scopes that start traces.
        self._roots: deque[Counted] = deque(maxlen=CANDIDATES_MAX)
        self._unlinked_roots: deque[Counted] = deque(maxlen=CANDIDATES_MAX)
        self._detached_roots: deque[Counted] = deque(maxlen=CANDIDATES_MAX)
        self._size = 0
        self._newest_ns = 0
        self._oldest_ns = 0  # when the trace that will be forgotten next was seen, at the earliest
        self.forgotten = 0

    def __len__(self) -> int:
        return self._size

    def knows(self, trace_id: int, span_id: int) -> bool:
        """Whether the span was already decided and is still remembered."""
        trace = self._trace_of(trace_id)
        return trace is not None and span_id in trace.parents

    def advance(self, now_ns: int) -> int:
        """Moves the clock to the end of a span, unless it is there, and forgets what is too old by it.

        Returns:
            What ended before that may have been forgotten, nanoseconds since the epoch.
        """
        if now_ns > self._newest_ns:
            self._grow_old(now_ns)
        return self._newest_ns - self._max_age_ns

    def first_described(self, trace_id: int, span_id: int) -> Entry | None:
        """The entry of the call that the span was the first to describe; None if it was not, or forgotten."""
        trace = self._traces.get(trace_id)
        counted = trace.of_span.get(span_id) if isinstance(trace, Trace) else trace
        if counted is None or counted.first != (trace_id, span_id):
            return None
        return counted.booked

    def remember(self, entry: Entry) -> None:
        """Takes a standing call of the ledger into memory, as if its span had been decided here.

        It may have ended long before what memory holds: it makes nothing else grow old, and is kept as if it
        had ended now, because a span that may belong to it is about to be decided.
        """
        call = entry.priced.call
        trace = self._trace_of(call.trace_id)
        if trace is None:
            trace = self._traces[call.trace_id] = Trace()
        elif call.span_id in trace.parents:
            return
        trace.seen_ns = max(trace.seen_ns, call.end_ns, self._newest_ns)
        counted = Counted(call, entry)
        self._keep(trace, call.span_id, call.parent_id)
        self._add(trace, counted)
        self._cover(trace, call.parent_id, [counted])

    def decide_other(self, trace_id: int, span_id: int, parent_id: int, end_ns: int) -> Decision:
        """Takes note of a span that is no call: it may stand between an agent and its calls."""
        trace = self._trace_of(trace_id)
        if trace is None:
            if not parent_id:
                return _NO_CALL
            trace = self._trace(trace_id, end_ns)
        if span_id in trace.parents:
            return _NO_CALL
        self._keep(trace, span_id, parent_id)
        below = trace.take_covered(span_id)
        if below and parent_id:
            back = self._cover(trace, parent_id, below)
            if back:
                return Decision("skip", "no_call", taken_back=back)
        return _NO_CALL

    def decide(self, call: LLMCall) -> Decision:
        """Decides a span that describes a call."""
        if call.trace_id not in self._traces and not call.aggregate:
            return self._decide_first(call)
        trace = self._trace(call.trace_id, call.end_ns)
        if call.span_id in trace.parents:
            return Decision("skip", "duplicate_span", trace.of_span.get(call.span_id))
        self._keep(trace, call.span_id, call.parent_id)
        below = trace.take_covered(call.span_id)
        if call.aggregate:
            return self._decide_aggregate(trace, call, below)
        found = (
            self._by_id(call)
            or (self._among(trace, call, below) if below else None)
            or (self._related(trace, call) if trace.of_span else None)
            or (self._detached(call) if not call.parent_id or self._detached_roots else None)
        )
        if found is None:
            return self._count(trace, call, below)
        counted, reason = found
        return self._merge(trace, call, counted, reason, below)

    def _decide_first(self, call: LLMCall) -> Decision:
        """Decides the first span of a trace, which can only be known by an id or as a root elsewhere."""
        found = self._by_id(call)
        if found is None and (not call.parent_id or self._detached_roots):
            found = self._detached(call)
        if found is not None:
            trace = self._trace(call.trace_id, call.end_ns)
            self._keep(trace, call.span_id, call.parent_id)
            return self._merge(trace, call, *found, None)
        counted = self._traces[call.trace_id] = Counted(call)
        if call.end_ns > self._newest_ns:
            self._grow_old(call.end_ns)
        self._grow(counted)
        self._register(counted)
        return tuple.__new__(Decision, ("count", "new", counted, None, ()))  # without its slower __new__

    def _trace_of(self, trace_id: int) -> Trace | None:
        """The memory of a trace, if there is any."""
        trace = self._traces.get(trace_id)
        if isinstance(trace, Counted):
            trace = self._traces[trace_id] = Trace.of(trace)
        return trace

    def _trace(self, trace_id: int, end_ns: int) -> Trace:
        """The memory of a trace, made the youngest; the oldest go when they are too old."""
        trace = self._trace_of(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = Trace()
        else:
            self._traces.move_to_end(trace_id)
        if end_ns > trace.seen_ns:
            trace.seen_ns = end_ns
            if end_ns > self._newest_ns:
                self._grow_old(end_ns)
        return trace

    def _keep(self, trace: Trace, span_id: int, parent_id: int) -> None:
        trace.add_span(span_id, parent_id)
        self._grow(trace)

    def _grow(self, current: Trace | Counted) -> None:
        """Makes room for one more span, not at the cost of the trace that it is in."""
        self._size += 1
        if self._size > self._max_entries:
            self._forget(current)

    def _add(self, trace: Trace, counted: Counted) -> None:
        trace.of_span[counted.call.span_id] = counted
        trace.index(counted)
        self._register(counted)

    def _register(self, counted: Counted) -> None:
        """Puts a call where spans of other traces find it."""
        call = counted.call
        if not call.parent_id and not call.aggregate:
            self._add_root(counted)
        if call.response_id is not None:
            self._index(call.response_id, counted)

    def _index(self, response_id: str, counted: Counted) -> None:
        first = self._by_response.setdefault(response_id, counted)
        if first is not counted:
            self._same_id.setdefault(response_id, []).append(counted)

    def _count(self, trace: Trace, call: LLMCall, below: list[Counted] | None) -> Decision:
        counted = Counted(call)
        back = self._cover(trace, call.parent_id, [*(below or ()), counted]) if call.parent_id else ()
        self._add(trace, counted)
        return Decision("count", "new", counted, taken_back=back)

    def _merge(
        self, trace: Trace, call: LLMCall, counted: Counted, reason: str, below: list[Counted] | None
    ) -> Decision:
        """Adds a span to a counted call; restates the call where the span knows more."""
        back: Sequence[Counted] = ()
        self._trace_of(counted.call.trace_id)  # which must know the call by its own span, whatever it becomes
        trace.of_span[call.span_id] = counted
        if not call.failed:  # a failed one may be the first of two tries
            counted.hold(call.scope, call.span_id)
        if call.parent_id:
            others = [one for one in below or () if one is not counted]
            back = self._cover(trace, call.parent_id, [*others, counted])
        better = self._known_together(counted.call, call, reason)
        if better is None:
            return Decision("merge", reason, counted, taken_back=back)
        replaced = counted.booked
        if counted.call.response_id is None and better.response_id is not None:
            self._index(better.response_id, counted)
        counted.become(better)
        return Decision("restate", reason, counted, replaced, back)

    @staticmethod
    def _known_together(known: LLMCall, call: LLMCall, reason: str) -> LLMCall | None:
        """The call to book instead; None where the span adds nothing, or is a sum of several calls."""
        if reason == "ancestor" and not may_be_one(call, known):
            return None
        if reason == "descendant" and not same_model(call, known):
            renamed = renamed_as(known, call)
            return combined(renamed, call) or renamed
        return combined(known, call)

    def _by_id(self, call: LLMCall) -> tuple[Counted, str] | None:
        if call.response_id is None:
            return None
        first = self._by_response.get(call.response_id)
        if first is None:
            return None
        for counted in (*reversed(self._same_id.get(call.response_id, ())), first):
            other = counted.call
            if (
                counted.stands
                and not counted.has(call.scope)
                and same_provider(call, other)
                and overlaps(call, other)
                and usage_agrees(call, other)
            ):
                return counted, "response_id"
        return None

    def _among(self, trace: Trace, call: LLMCall, below: list[Counted]) -> tuple[Counted, str] | None:
        """The counted call below an ancestor that is the same call.

        An ancestor that shows other tokens than every call below it, and than their sum, is a call of its
        own that happened to enclose them: a guardrail or a tool that asks a model.
        """
        standing = [one for one in below if one.stands and not self._has_another(trace, call, one)]
        telling = [counted for counted in standing if tells_usage(counted.call)]
        for counted in (*reversed(telling), *reversed(standing)):
            if same_model(call, counted.call) and may_be_one(call, counted.call):
                return counted, "ancestor"
        if telling and (not usage_known(call) or sums_agree(call, [counted.call for counted in telling])):
            return telling[-1], "ancestor"
        if standing and not usage_known(call) and not call.failed:
            return standing[-1], "ancestor"
        return None

    def _has_another(self, trace: Trace, call: LLMCall, counted: Counted) -> bool:
        """Whether a counted call has a span of this scope that is neither above nor below this span."""
        if not counted.has(call.scope):
            return False
        holder = counted.holder(call.scope)
        return call.span_id not in self._ancestors(trace, holder) and holder not in self._ancestors(
            trace, call.parent_id
        )

    def _related(self, trace: Trace, call: LLMCall) -> tuple[Counted, str] | None:
        return self._above(trace, call) or self._sibling(trace, call)

    def _above(self, trace: Trace, call: LLMCall) -> tuple[Counted, str] | None:
        """A counted call above that is the same call and came first."""
        for span_id in self._ancestors(trace, call.parent_id):
            counted = trace.of_span.get(span_id)
            if counted is None or not counted.stands or counted.call.aggregate:
                continue
            one = may_be_one(call, counted.call) and not self._has_another(trace, call, counted)
            if one and (same_model(call, counted.call) or sums_agree(counted.call, [call])):
                return counted, "descendant"
        return None

    def _sibling(self, trace: Trace, call: LLMCall) -> tuple[Counted, str] | None:
        """Another instrumentation's span of the same call, by trace, time, model and tokens.

        One of two wrappers lies inside the other; a candidate for which that is so goes before one that only
        overlaps, which may be another of several calls at the same time.
        """
        second: Counted | None = None
        for counted in trace.alike(call):
            if counted.has(call.scope) or not self._is_sibling(call, counted):
                continue
            if nested(call, counted.call, tolerance_ns=0):
                second = counted
                break
            if second is None and mostly_overlaps(call, counted.call):
                second = counted
        if second is None:
            return None
        trace.put_last(second)
        return second, "sibling"

    def _detached(self, call: LLMCall) -> tuple[Counted, str] | None:
        """The same call in another trace, where an emitter is known to leave its spans unlinked.

        Without a link the times must nest, not only overlap.
        """
        for counted in self._elsewhere(call):
            if counted.call.end_ns < call.start_ns - ROOTS_SPAN_NS:
                return None
            if not counted.has(call.scope) and nested(call, counted.call) and self._is_sibling(call, counted):
                return counted, "detached_trace"
        return None

    def _elsewhere(self, call: LLMCall) -> Iterable[Counted]:
        """Recent calls of other traces that may be this one, the newest first."""
        if call.parent_id:
            return reversed(self._detached_roots)
        if call.scope in DETACHED_SCOPES:
            traces = islice(reversed(self._traces.values()), CANDIDATES_MAX)
            return (one for kept in traces for one in (kept.newest() if isinstance(kept, Trace) else (kept,)))
        return reversed(self._roots if call.scope in UNLINKED_SCOPES else self._unlinked_roots)

    def _add_root(self, counted: Counted) -> None:
        """Remembers a call whose span is the root of its trace."""
        self._roots.append(counted)
        if counted.call.scope in UNLINKED_SCOPES or counted.call.scope in DETACHED_SCOPES:
            self._unlinked_roots.append(counted)
        if counted.call.scope in DETACHED_SCOPES:
            self._detached_roots.append(counted)

    def _is_sibling(self, call: LLMCall, counted: Counted) -> bool:
        other = counted.call
        return (
            counted.stands
            and not other.aggregate
            and overlaps(call, other)
            and same_provider(call, other)
            and same_model(call, other)
            and self._shows_same_tokens(call, other)
        )

    @staticmethod
    def _shows_same_tokens(call: LLMCall, other: LLMCall) -> bool:
        if not usage_agrees(call, other) or (call.operation == "embeddings") != (
            other.operation == "embeddings"
        ):
            return False
        if separate_attempts(call, other) or ids_contradict(call.response_id, other.response_id):
            return False
        return (usage_known(call) and usage_known(other)) or nested(call, other)

    def _decide_aggregate(self, trace: Trace, call: LLMCall, below: list[Counted] | None) -> Decision:
        """An agent or workflow span is counted only where no call below it has told its usage."""
        standing = [counted for counted in below or () if counted.stands]
        if any(tells_usage(counted.call) for counted in standing):
            back = self._cover(trace, call.parent_id, standing) if call.parent_id else ()
            reason = "aggregate_exceeds" if exceeds(call, [one.call for one in standing]) else "aggregate"
            return Decision("merge", reason, standing[-1], taken_back=back)
        silent = [counted for counted in standing if counted.call.usage_confidence == "unknown"]
        if len(silent) == 1:
            return self._merge(trace, call, silent[0], "aggregate", below)
        inside = [
            counted
            for counted in reversed(trace.newest())
            if counted.stands and not counted.call.aggregate and nested(call, counted.call)
        ]
        if not standing and inside and self._repeats(call, inside):
            return Decision("merge", "aggregate", inside[-1])
        twin = self._twin(trace, call)
        if twin is not None:
            return self._merge(trace, call, twin, "sibling", below)
        return self._count(trace, call, below)

    @staticmethod
    def _twin(trace: Trace, call: LLMCall) -> Counted | None:
        """Another framework's counted span of the same run of an agent."""
        for counted in trace.newest():
            other = counted.call
            fits = other.aggregate and counted.stands and not counted.has(call.scope)
            if fits and nested(call, other) and sums_agree(call, [other]):
                return counted
        return None

    @staticmethod
    def _repeats(call: LLMCall, inside: list[Counted]) -> bool:
        """Whether an agent without a link to its calls repeats them: one, all, or all of one parent."""
        calls = [counted.call for counted in inside if tells_usage(counted.call)]
        if not calls:
            return False
        families: dict[int, list[LLMCall]] = {}
        for one in calls:
            families.setdefault(one.parent_id, []).append(one)
        groups = (calls, *families.values(), *([one] for one in calls))
        return any(sums_agree(call, group) for group in groups)

    def _cover(self, trace: Trace, span_id: int, calls: Sequence[Counted]) -> list[Counted]:
        """Tells the ancestors of calls, up to the first that has not ended; returns counted aggregates."""
        back: list[Counted] = []
        known = any(tells_usage(counted.call) for counted in calls)
        for _ in range(DEPTH_MAX):
            if not span_id:
                return back
            parent = trace.parents.get(span_id)
            if parent is None:
                trace.cover(span_id, calls)
                return back
            above = trace.of_span.get(span_id)
            if above is not None and above.call.aggregate and above.stands and known:
                above.stands = False
                back.append(above)
            span_id = parent
        return back

    @staticmethod
    def _ancestors(trace: Trace, span_id: int) -> list[int]:
        chain: list[int] = []
        while span_id and len(chain) < DEPTH_MAX:
            chain.append(span_id)
            span_id = trace.parents.get(span_id, 0)
        return chain

    def _grow_old(self, now_ns: int) -> None:
        """Moves the clock, and forgets the traces that are too old by it."""
        self._newest_ns = now_ns
        horizon = now_ns - self._max_age_ns
        if horizon <= self._oldest_ns:
            return
        while self._traces:
            trace_id, kept = next(iter(self._traces.items()))
            seen_ns = kept.call.end_ns if isinstance(kept, Counted) else kept.seen_ns
            if seen_ns >= horizon:
                self._oldest_ns = seen_ns
                return
            self._forget_trace(trace_id)

    def _forget(self, current: Trace | Counted) -> None:
        """At the bound: forgets the longest unused traces; one that alone passes it loses its older half."""
        while self._size > self._max_entries:
            trace_id = next(iter(self._traces))
            if self._traces[trace_id] is current:
                if isinstance(current, Trace):
                    self._halve(current)
                return
            self._forget_trace(trace_id)

    def _forget_trace(self, trace_id: int) -> None:
        trace = self._traces.pop(trace_id)
        if isinstance(trace, Counted):
            self._size -= 1
            self._forget_call(trace)
        else:
            self._size -= len(trace.parents)
            self._drop(trace.of_span.values())

    def _halve(self, trace: Trace) -> None:
        dropped = []
        for span_id in list(trace.parents)[: (len(trace.parents) + 1) // 2]:
            del trace.parents[span_id]
            self._size -= 1
            counted = trace.of_span.pop(span_id, None)
            if counted is not None:
                dropped.append(counted)
        self._drop(dropped)
        trace.by_prompt = None
        gone = {id(counted) for counted in dropped}
        for span_id, calls in list((trace.covered or {}).items()):
            calls[:] = [counted for counted in calls if id(counted) not in gone]
            if not calls:
                trace.take_covered(span_id)

    def _drop(self, calls: Iterable[Counted]) -> None:
        for counted in {id(one): one for one in calls}.values():
            self._forget_call(counted)

    def _forget_call(self, counted: Counted) -> None:
        self.forgotten += counted.stands
        response_id = counted.call.response_id
        if response_id is not None:
            if response_id not in self._same_id and self._by_response.get(response_id) is counted:
                del self._by_response[response_id]
            else:
                self._forget_id(response_id, counted)

    def _forget_id(self, response_id: str, counted: Counted) -> None:
        others = [one for one in self._same_id.pop(response_id, ()) if one is not counted]
        if self._by_response.get(response_id) is counted:
            if others:
                self._by_response[response_id] = others.pop()
            else:
                del self._by_response[response_id]
        if others:
            self._same_id[response_id] = others

"""Compares the ledger with what the fake provider would have billed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from spanbudget.exporter.demo.provider import Answered
from spanbudget.processors.call import LLMCall, PricedCall
from spanbudget.processors.ledger import Entry

_OK = 200


@dataclass(slots=True)
class Comparison:
    """What the comparison found.

    Attributes:
        answered: Requests that the provider answered, failures included.
        failed: Those of them that it refused or failed, and bills nothing for.
        calls: Calls that stand in the ledger.
        equal: Calls whose tokens are said to be exact, and are.
        flagged: Calls whose tokens are said not to be exact.
        reasons: How often each reason for that was given.
        wrong: Calls that are said to be exact and are not, one line each.
        missing: Requests without a call, one line each.
        surplus: Calls without a request, one line each.
        cost: Sum of the standing calls' cost, pico-USD.
        estimated: The part of `cost` that is not exact, pico-USD.
        unpriced: Calls without a cost, by model and reason.
    """

    answered: int = 0
    failed: int = 0
    calls: int = 0
    equal: int = 0
    flagged: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    surplus: list[str] = field(default_factory=list)
    cost: int = 0
    estimated: int = 0
    unpriced: Counter[tuple[str, str]] = field(default_factory=Counter)


def standing(entries: Iterable[Entry]) -> list[PricedCall]:
    """The calls that no reversal took out again."""
    found = list(entries)
    reversed_ids = {entry.id[:-1] for entry in found if entry.kind == "reversal"}
    return [entry.priced for entry in found if entry.kind == "call" and entry.id[:-1] not in reversed_ids]


def compare(calls: Sequence[PricedCall], answered: Sequence[Answered]) -> Comparison:
    """Puts each call beside the request it describes.

    The provider's id of the answer decides. A call without one (an embedding, a failure, a dialect that does
    not record it) takes a request of the same model, with the same tokens where they are said to be exact.

    Args:
        calls: The standing calls of the ledger.
        answered: The provider's own log.
    """
    found = Comparison(answered=len(answered), calls=len(calls))
    found.failed = sum(one.status != _OK for one in answered)
    by_id = {one.response_id: one for one in answered if one.response_id}
    nameless: list[PricedCall] = []
    for priced in calls:
        _add_cost(found, priced)
        one = by_id.pop(priced.call.response_id or "", None)
        if one is not None:
            _judge(found, priced.call, one)
        else:
            nameless.append(priced)
    rest = [one for one in answered if not one.response_id or one.response_id in by_id]
    _match_nameless(found, [priced.call for priced in nameless], rest)
    return found


def _match_nameless(found: Comparison, calls: Sequence[LLMCall], rest: Sequence[Answered]) -> None:
    pools: defaultdict[tuple[str, str, bool], list[Answered]] = defaultdict(list)
    for one in rest:
        pools[one.question.family, one.question.model, one.status == _OK].append(one)
    for call in sorted(calls, key=lambda call: call.usage_confidence != "exact"):  # the surest choose first
        pool = pools[call.provider or "", call.request_model or "", not call.failed]
        pool = pool or pools[call.provider or "", call.request_model or "", bool(call.failed)]
        if call.response_id is not None or not pool:
            found.surplus.append(_call_text(call))
            continue
        same = (one for one in pool if _tokens_of(one) == _tokens(call))
        one = next(same, pool[0])
        pool.remove(one)
        _judge(found, call, one)
    found.missing += [_request_text(one) for pool in pools.values() for one in pool]


def _judge(found: Comparison, call: LLMCall, one: Answered) -> None:
    if call.usage_confidence != "exact":
        found.flagged += 1
        found.reasons.update(call.reasons or ("no reason",))
    elif _tokens(call) == _tokens_of(one):
        found.equal += 1
    else:
        found.wrong.append(f"{_call_text(call)}, the provider bills {_tokens_of(one)}")


def _add_cost(found: Comparison, priced: PricedCall) -> None:
    if priced.cost is None:
        reason = priced.reasons[0] if priced.reasons else "no reason"
        found.unpriced[priced.call.model or "unknown", reason] += 1
        return
    found.cost += priced.cost
    if priced.confidence != "exact":
        found.estimated += priced.cost


def _tokens(call: LLMCall) -> tuple[int, int, int, int]:
    """Uncached input, cache reads, cache writes, output."""
    usage = call.usage
    return usage.input or 0, usage.cache_read or 0, usage.cache_write or 0, usage.output or 0


def _tokens_of(one: Answered) -> tuple[int, int, int, int]:
    counts = one.question.counts
    if one.status != _OK:
        return 0, 0, 0, 0
    return counts.uncached_input, counts.cache_read, counts.cache_write, counts.output


def _call_text(call: LLMCall) -> str:
    name = call.response_id or f"span {call.span_id:016x}"
    return f"{name} of {call.request_model or call.model}: tokens {_tokens(call)}"


def _request_text(one: Answered) -> str:
    return f"{one.response_id or one.question.api} of {one.question.model} ({one.question.scenario})"

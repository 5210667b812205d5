"""When two spans describe one call: do times, models and tokens agree, and what do both know together."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeVar

from spanbudget.processors.call import LLMCall, Usage, UsageConfidence

_Known = TypeVar("_Known")

OVERLAP_TOLERANCE_NS: Final = 2_000_000
"""Clocks of two wrappers around one call are read this far apart at most (2 ms)."""

_RANK: Final = {"exact": 2, "estimated": 1, "unknown": 0}
_LOOSE_OUTPUT: Final = frozenset({"aborted_stream", "reasoning_doubt", "reasoning_exceeds_output"})
_NO_EVIDENCE: Final = frozenset({"guessed_by_emitter", "zero_usage", "bad_value"})
_NO_ANSWER: Final = frozenset({"not_billed", "timeout", "connection_error"})
_DATED: Final = re.compile(r"[-@](?:\d{4}-?\d{2}-?\d{2}|latest)(?:-v\d+(?::\d+)?)?$|-v\d+(?::\d+)?$")
_FAMILY: Final = {
    "azure.ai.openai": "openai", "azure.ai.inference": "openai", "gcp.gemini": "google",
    "gcp.gen_ai": "google", "gcp.vertex_ai": "google",
}  # fmt: skip


def overlaps(one: LLMCall, other: LLMCall) -> bool:
    """Whether the times of two calls overlap, give or take `OVERLAP_TOLERANCE_NS`."""
    return (
        one.start_ns <= other.end_ns + OVERLAP_TOLERANCE_NS
        and other.start_ns <= one.end_ns + OVERLAP_TOLERANCE_NS
    )


def mostly_overlaps(one: LLMCall, other: LLMCall) -> bool:
    """Whether two calls share at least half of the time of the shorter one."""
    shared = min(one.end_ns, other.end_ns) - max(one.start_ns, other.start_ns)
    return shared * 2 >= min(one.end_ns - one.start_ns, other.end_ns - other.start_ns)


def nested(one: LLMCall, other: LLMCall, *, tolerance_ns: int = OVERLAP_TOLERANCE_NS) -> bool:
    """Whether the time of one call lies inside the other's, as it does for two wrappers around one call."""
    outer, inner = (
        (one, other) if one.end_ns - one.start_ns >= other.end_ns - other.start_ns else (other, one)
    )
    return outer.start_ns <= inner.start_ns + tolerance_ns and inner.end_ns <= outer.end_ns + tolerance_ns


def same_provider(one: LLMCall, other: LLMCall) -> bool:
    """Whether two calls may have gone to one provider; unknown is compatible with all."""
    if one.provider is None or other.provider is None or one.provider == other.provider:
        return True
    return _FAMILY.get(one.provider, one.provider) == _FAMILY.get(other.provider, other.provider)


def same_model(one: LLMCall, other: LLMCall) -> bool:
    """Whether two calls may have used one model, whichever of alias and dated name each span gives."""
    names = {model_family(name) for name in (one.model, one.request_model) if name}
    others = {model_family(name) for name in (other.model, other.request_model) if name}
    return not names or not others or not names.isdisjoint(others)


@lru_cache(maxsize=2048)
def model_family(name: str) -> str:
    """A model name without vendor, path, region, date: `us.anthropic.claude-x-20250929-v1:0` → `claude-x`."""
    base = name.rsplit("/", 1)[-1].lower()
    for vendor in ("anthropic.", "amazon.", "meta.", "mistral.", "cohere."):
        if vendor in base:
            base = base.split(vendor, 1)[1]
    return _DATED.sub("", base)


def usage_known(call: LLMCall) -> bool:
    """Whether a call's own numbers are evidence at all."""
    return call.usage.input is not None and _NO_EVIDENCE.isdisjoint(call.reasons)


def tells_usage(call: LLMCall) -> bool:
    """Whether a call has tokens of its own to show; a failed call that was not billed has none."""
    return usage_known(call) and call.usage.total > 0


def usage_agrees(one: LLMCall, other: LLMCall) -> bool:
    """Whether the tokens of two calls can be those of one; what is unknown or cut off contradicts nothing."""
    if not usage_known(one) or not usage_known(other):
        return True
    return _totals_agree(one, [other])


def may_be_one(call: LLMCall, other: LLMCall) -> bool:
    """Whether a call and one directly above or below it can be one, by their tokens.

    The prompt of one may lack the cached tokens of the other, where an emitter leaves them out.
    """
    if separate_attempts(call, other):
        return False
    if usage_agrees(call, other):
        return True
    if not call.usage.output or call.usage.output != other.usage.output:
        return False
    return call.usage.prompt == other.usage.input or other.usage.prompt == call.usage.input


def separate_attempts(one: LLMCall, other: LLMCall) -> bool:
    """Whether one call failed without an answer and the other got one: the retry of a wrapper around both."""
    return _came_to_nothing(one) is not _came_to_nothing(other) and (tells_usage(one) or tells_usage(other))


def _came_to_nothing(call: LLMCall) -> bool:
    return call.failed and not tells_usage(call) and not _NO_ANSWER.isdisjoint(call.reasons)


def ids_contradict(one: str | None, other: str | None) -> bool:
    """Whether two response ids are of different answers.

    Ids of different kinds (`msg_…`, `chatcmpl-…`) do not contradict: a gateway gives ids of its own.
    """
    if not one or not other or one == other:
        return False
    return _id_kind(one) == _id_kind(other)


def _id_kind(response_id: str) -> str:
    return response_id.partition("_" if "_" in response_id[:12] else "-")[0]


def sums_agree(whole: LLMCall, parts: Sequence[LLMCall]) -> bool:
    """Whether the tokens of a call are the sum of the tokens of others."""
    return usage_known(whole) and all(usage_known(part) for part in parts) and _totals_agree(whole, parts)


def exceeds(whole: LLMCall, parts: Sequence[LLMCall]) -> bool:
    """Whether a call has more tokens than others have together."""
    return usage_known(whole) and whole.usage.total > sum(part.usage.total for part in parts)


def _totals_agree(one: LLMCall, others: Sequence[LLMCall]) -> bool:
    if one.usage.prompt != sum(other.usage.prompt for other in others):
        return False
    loose = [call for call in (one, *others) if call.usage.output is None or _loose(call)]
    if loose:
        return True
    slack = sum("stream_output_doubt" in call.reasons for call in (one, *others))
    return abs((one.usage.output or 0) - sum(other.usage.output or 0 for other in others)) <= slack


def _loose(call: LLMCall) -> bool:
    return not _LOOSE_OUTPUT.isdisjoint(call.reasons)


def combined(known: LLMCall, later: LLMCall) -> LLMCall | None:
    """What two spans of one call know together.

    Args:
        known: The call as it stands.
        later: The same call as another span describes it.

    Returns:
        The call to book instead, under the later span's ids, scope and end; None where the later span adds
        nothing that changes money, tokens or attribution. How the call ended and was asked changes none of
        these; a hash of its contents, which the application has asked for, is booked all the same.
    """
    usage, confidence, reasons = _better_usage(known, later)
    later_tier = later.tier is not None and (
        known.tier is None or ("tier_requested_only" in known.reasons and later.tier != known.tier)
    )
    tier = later.tier if later_tier else known.tier
    served = later.tier is not None and "tier_requested_only" not in later.reasons
    if served and "tier_requested_only" in reasons:
        reasons = tuple(reason for reason in reasons if reason != "tier_requested_only")
    have = dict(known.labels)
    labels = tuple(sorted({**dict(later.labels), **have}.items()))
    better = seen_by(known, later)._replace(
        provider=known.provider or later.provider,
        model=known.model or later.model,
        request_model=known.request_model or later.request_model,
        response_model=known.response_model or later.response_model,
        tier=tier,
        usage=usage,
        usage_confidence=confidence,
        reasons=reasons,
        failed=known.failed and later.failed,
        response_id=known.response_id or later.response_id,
        labels=labels,
        reported_cost=_first(known.reported_cost, later.reported_cost),
        web_searches=_first(known.web_searches, later.web_searches),
        prompt_hash=_first(known.prompt_hash, later.prompt_hash),
        prefix_hash=_first(known.prefix_hash, later.prefix_hash),
        finish_reason=known.finish_reason or later.finish_reason,
        error_type=_error_of(known, later),
        interactive=_first(known.interactive, later.interactive),
        deterministic=_first(known.deterministic, later.deterministic),
    )
    return better if _differs(known, better) else None


def seen_by(known: LLMCall, span: LLMCall) -> LLMCall:
    """A call under the ids, the scope and the end of another of its spans."""
    return known._replace(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        scope=span.scope,
        start_ns=min(known.start_ns, span.start_ns),
        end_ns=span.end_ns,
    )


def renamed_as(known: LLMCall, inner: LLMCall) -> LLMCall:
    """A call under the names of the span below it, which is nearer to the provider."""
    return seen_by(known, inner)._replace(
        provider=inner.provider or known.provider,
        model=inner.model or known.model,
        request_model=inner.request_model or known.request_model,
        response_model=inner.response_model or known.response_model,
    )


def _differs(known: LLMCall, better: LLMCall) -> bool:
    return (
        known.usage != better.usage
        or known.usage_confidence != better.usage_confidence
        or known.tier != better.tier
        or known.provider != better.provider
        or known.model != better.model
        or known.labels != better.labels
        or known.reported_cost != better.reported_cost
        or known.web_searches != better.web_searches
        or known.prompt_hash != better.prompt_hash
        or known.prefix_hash != better.prefix_hash
    )


def _first(one: _Known | None, other: _Known | None) -> _Known | None:
    return one if one is not None else other


def _error_of(known: LLMCall, later: LLMCall) -> str | None:
    """The error of a call that two spans describe; none where one of them has seen it end well."""
    if known.failed is not later.failed:
        return None if known.error_type is None or later.error_type is None else known.error_type
    return known.error_type or later.error_type


def _better_usage(known: LLMCall, later: LLMCall) -> tuple[Usage, UsageConfidence, tuple[str, ...]]:
    """The usage of the span that knows more, with the parts that only the other one has."""
    best, other = (later, known) if _knowledge(later) > _knowledge(known) else (known, later)
    usage = best.usage
    if usage_known(other) and usage_known(best) and _same_buckets(usage, other.usage):
        usage = _filled(usage, other.usage)
    return usage, best.usage_confidence, best.reasons


def _knowledge(call: LLMCall) -> tuple[int, int]:
    usage = call.usage
    main = (usage.input, usage.cache_read, usage.cache_write, usage.output)
    not_billed = "not_billed" in call.reasons
    return (0 if not_billed else _RANK[call.usage_confidence]), sum(count is not None for count in main)


def _same_buckets(one: Usage, other: Usage) -> bool:
    pairs = (
        (one.input, other.input),
        (one.cache_read, other.cache_read),
        (one.cache_write, other.cache_write),
        (one.output, other.output),
    )
    return all(a is None or b is None or a == b for a, b in pairs)


def _filled(usage: Usage, other: Usage) -> Usage:
    """Parts of buckets that only the other span reports; the buckets themselves stay."""
    split = usage if usage.cache_write_5m is not None else other
    parts = {
        name: getattr(usage, name) if getattr(usage, name) is not None else getattr(other, name)
        for name in ("reasoning", "audio_input", "audio_output", "audio_cache_read", "image_input")
    }
    return usage._replace(cache_write_5m=split.cache_write_5m, cache_write_1h=split.cache_write_1h, **parts)

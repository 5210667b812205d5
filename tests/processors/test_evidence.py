"""When two spans describe one call."""

import pytest
from made_spans import GENAI_OPENAI, MS, NOON_NS, genai, read, span

from spanbudget.processors.call import LLMCall, Usage
from spanbudget.processors.evidence import (
    OVERLAP_TOLERANCE_NS,
    combined,
    ids_contradict,
    may_be_one,
    model_family,
    mostly_overlaps,
    nested,
    overlaps,
    same_model,
    same_provider,
    separate_attempts,
    sums_agree,
    usage_agrees,
)

BASE = read(span(1, genai(), scope=GENAI_OPENAI, at=(0, 100)))
TOLERANCE_MS = OVERLAP_TOLERANCE_NS / MS


def call(start: float = 0, end: float = 100, **changes: object) -> LLMCall:
    return BASE._replace(start_ns=NOON_NS + round(start * MS), end_ns=NOON_NS + round(end * MS), **changes)


def used(
    prompt: int | None, output: int | None, read_tokens: int = 0, *reasons: str, confidence="exact", **more
):
    usage = Usage(None if prompt is None else prompt - read_tokens, read_tokens, 0, 0, 0, output)
    return call(usage=usage, reasons=reasons, usage_confidence=confidence, **more)


SILENT = call(usage=Usage(), usage_confidence="unknown", reasons=("stream_without_usage",))
REFUSED = call(usage=Usage(0, 0, 0, 0, 0, 0), reasons=("not_billed",), failed=True)
TIMED_OUT = call(usage=Usage(), usage_confidence="unknown", reasons=("timeout",), failed=True)


@pytest.mark.parametrize(
    ("gap_ms", "expected"), [(-1, True), (TOLERANCE_MS, True), (TOLERANCE_MS + 0.001, False)]
)
def test_times_overlap_up_to_the_tolerance_of_clocks(gap_ms, expected) -> None:
    later = call(100 + gap_ms, 200)
    assert overlaps(call(), later) is overlaps(later, call()) is expected


@pytest.mark.parametrize(
    ("over_ms", "expected"), [(0, True), (TOLERANCE_MS, True), (TOLERANCE_MS + 0.001, False)]
)
def test_one_time_is_inside_another_up_to_the_tolerance(over_ms, expected) -> None:
    for inner in (call(-over_ms, 50), call(50, 100 + over_ms)):
        assert nested(call(), inner) is nested(inner, call()) is expected
        assert nested(call(), inner, tolerance_ns=0) is (over_ms == 0)


@pytest.mark.parametrize(("start", "expected"), [(49.9, True), (50, True), (50.1, False)])
def test_most_of_two_times_is_half_of_the_shorter_one(start, expected) -> None:
    assert mostly_overlaps(call(), call(start, start + 100)) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("openai", "openai", True), ("openai", None, True), (None, None, True), ("openai", "anthropic",
            False),
        ("openai", "azure.ai.openai", True), ("gcp.gemini", "gcp.vertex_ai", True), ("openai", "groq", False),
    ],
)  # fmt: skip
def test_an_unknown_provider_contradicts_nothing(one, other, expected) -> None:
    assert same_provider(call(provider=one), call(provider=other)) is expected


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-5-2025-08-07", "gpt-5"), ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"), ("gpt-5",
            "gpt-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"), ("openai/gpt-5", "gpt-5"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"), ("claude-opus-4@20250514", "claude-opus-4"),
        ("amazon.nova-lite-v1:0", "nova-lite"), ("gpt-4o-mini", "gpt-4o-mini"),
    ],
)  # fmt: skip
def test_an_alias_and_a_dated_name_are_one_family(name, family) -> None:
    assert model_family(name) == family


def test_models_are_the_same_where_any_of_their_names_are() -> None:
    asked = call(model="gpt-4o-mini-2024-07-18", request_model="prod")
    assert same_model(asked, call(model="prod", request_model="prod"))
    assert same_model(asked, call(model=None, request_model=None))
    assert not same_model(asked, call(model="gpt-4o", request_model="gpt-4o"))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (used(900, 60), used(900, 60, 400), True),
        (used(900, 60), used(901, 60), False),
        (used(900, 60), used(900, 61), False),
        (used(900, 60), used(900, 61, 0, "stream_output_doubt"), True),
        (used(900, 60), used(900, 62, 0, "stream_output_doubt"), False),
        (used(900, 60), used(900, 1, 0, "aborted_stream"), True),
        (used(900, 60), used(900, None), True),
        (used(900, 60), used(29, 6, 0, "guessed_by_emitter"), True),
        (used(900, 60), SILENT, True),
    ],
)
def test_tokens_agree_where_nothing_contradicts(one, other, expected) -> None:
    assert usage_agrees(one, other) is usage_agrees(other, one) is expected


def test_a_sum_agrees_only_with_known_parts() -> None:
    assert sums_agree(used(1800, 120), [used(900, 60), used(900, 60)])
    assert not sums_agree(used(1800, 121), [used(900, 60), used(900, 60)])
    assert not sums_agree(used(1800, 120), [used(1800, 120), SILENT])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (used(900, 60, 400), used(500, 60), True),
        (used(900, 60, 400), used(499, 60), False),
        (used(900, 60, 400), used(500, 61), False),
        (used(3000, 5), used(200, 5), False),
        (used(900, 60), TIMED_OUT, False),
        (used(900, 60), REFUSED, False),
        (SILENT, TIMED_OUT, True),
        (REFUSED, REFUSED, True),
    ],
)
def test_calls_above_each_other_may_differ_by_the_cached_tokens_alone(one, other, expected) -> None:
    assert may_be_one(one, other) is may_be_one(other, one) is expected


def test_an_attempt_that_failed_is_not_the_one_that_got_an_answer() -> None:
    assert separate_attempts(TIMED_OUT, used(900, 60))
    assert not separate_attempts(TIMED_OUT, REFUSED)
    assert not separate_attempts(SILENT, used(900, 60))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("msg_1", "msg_1", False), ("msg_1", "msg_2", True), ("msg_1", "chatcmpl-2", False), (None,
            "msg_1", False),
        ("chatcmpl-1", "chatcmpl-2", True), ("resp_1", "chatcmpl-1", False), ("", "msg_1", False),
    ],
)  # fmt: skip
def test_only_ids_of_one_kind_contradict(one, other, expected) -> None:
    assert ids_contradict(one, other) is ids_contradict(other, one) is expected


def test_two_spans_know_together_what_either_knows() -> None:
    known = used(
        900, 60, 0, "cache_not_reported", confidence="estimated", response_id="c-1", labels=(("user", "a"),)
    )
    later = used(900, 60, 400, labels=(("team", "t"), ("user", "b")), span_id=7, tier="flex")
    later = later._replace(end_ns=NOON_NS + 5)
    better = combined(known, later)
    assert better is not None
    assert (better.usage.input, better.usage.cache_read, better.usage_confidence) == (500, 400, "exact")
    assert (better.reasons, better.response_id, better.tier) == ((), "c-1", "flex")
    assert better.labels == (("team", "t"), ("user", "a"))
    assert (better.span_id, better.end_ns) == (7, NOON_NS + 5)


def test_what_two_spans_know_together_gains_nothing_from_either_again() -> None:
    known = used(900, 60, 0, "cache_not_reported", confidence="estimated")
    later = used(900, 60, 400, labels=(("team", "t"),), tier="flex", reported_cost=5)
    better = combined(known, later)
    assert better is not None
    assert combined(better, known) is combined(better, later) is None


@pytest.mark.parametrize("later", [used(900, 60), SILENT, used(900, 60, 0, "x", confidence="estimated")])
def test_a_span_that_knows_no_more_changes_nothing(later) -> None:
    assert combined(used(900, 60, 400), later) is None


def test_parts_are_filled_from_the_other_span_and_buckets_are_not() -> None:
    known = used(900, 60)
    later = known._replace(usage=known.usage._replace(reasoning=9, audio_input=3))
    better = combined(known, later)
    assert better is not None
    assert better.usage == known.usage._replace(reasoning=9, audio_input=3)


def test_a_requested_tier_gives_way_to_the_one_that_was_served() -> None:
    known = call(tier="priority", reasons=("tier_requested_only",))
    better = combined(known, call(tier="default"))
    assert better is not None
    assert (better.tier, better.reasons) == ("default", ())

"""One call, however many spans describe it."""

import base64
import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spans import (
    GENAI_OPENAI,
    INFERENCE_LANGCHAIN,
    LLMETRY_ANTHROPIC,
    LLMETRY_OPENAI,
    NATIVE,
    NOON_NS,
    Books,
    agent,
    booked,
    genai,
    inference_chat,
    openai_chat,
    openinference,
    span,
)

from spanbudget.processors.counting import CallCounter
from spanbudget.processors.spans import STATUS_ERROR, STATUS_OK, SpanRecord
from spanbudget.processors.trace_memory import Trace

CALL = (900, 0, 0, 60)
OTHER = (700, 0, 0, 50)
NOTHING = (0, 0, 0, 0)
MINUTE_MS = 60_000
CLAUDE = {"model": "claude-sonnet-4-5", "provider": "anthropic"}


def native(span_id: int, response_id: str = "msg_1", **where) -> SpanRecord:
    attributes = genai(response_id=response_id, finish=["end_turn"], **CLAUDE)
    return span(span_id, attributes, scope=NATIVE, status=STATUS_OK, **where)


def inference_anthropic(span_id: int, **where) -> SpanRecord:
    attributes = {**openinference(**CLAUDE), "llm.finish_reason": "end_turn"}
    return span(
        span_id, attributes, scope="openinference.instrumentation.anthropic", status=STATUS_OK, **where
    )


def langchain(span_id: int, tokens: tuple[int, int] = (900, 60), **where) -> SpanRecord:
    return inference_chat(span_id, tokens, scope=INFERENCE_LANGCHAIN, **where)


def litellm(span_id: int, response_id: str | None = None, *, attributes=None, **where) -> SpanRecord:
    usage = {"metadata.usage_object": "{'prompt_tokens': 900, 'completion_tokens': 60, 'total_tokens': 960}"}
    given_ = attributes if attributes is not None else genai(response_id=response_id)
    return span(span_id, {**given_, **usage}, scope="litellm", status=STATUS_OK, **where)


def silent(span_id: int, *, scope: str = GENAI_OPENAI, **where) -> SpanRecord:
    """A stream whose usage nobody told."""
    return span(span_id, {**genai(None, None), "gen_ai.request.stream": True}, scope=scope, **where)


def failed(span_id: int, error_type: str = "openai.RateLimitError", **where) -> SpanRecord:
    attributes = {**genai(None, None), "error.type": error_type}
    return span(span_id, attributes, scope=GENAI_OPENAI, status=STATUS_ERROR, **where)


def orders(spans: Iterable[SpanRecord], seeds: int = 30) -> list[list[SpanRecord]]:
    """All orders of at most five spans, and some of more."""
    spans = list(spans)
    if len(spans) <= 5:
        return [list(order) for order in itertools.permutations(spans)]
    return [random.Random(seed).sample(spans, len(spans)) for seed in range(seeds)]


def as_ended(spans: Iterable[SpanRecord]) -> list[SpanRecord]:
    return sorted(spans, key=lambda one: one.end_ns)


APP = span(1, at=(0, 100))
PAIRS = {
    "parent and child": [inference_chat(2, at=(0, 10)), openai_chat(3, parent=2, at=(1, 9))],
    "siblings": [APP, langchain(2, parent=1, at=(0, 10)), inference_chat(3, parent=1, at=(1, 9))],
    "cousins": [
        APP, span(2, parent=1, at=(0, 50)), langchain(3, parent=2, at=(1, 10)), inference_chat(4, parent=1,
            at=(2, 9)),
    ],
    "siblings with one id": [
        APP,
        native(2, parent=1, at=(1, 9)),
        span(3, genai(response_id="msg_1", finish=["x"], **CLAUDE), scope=LLMETRY_ANTHROPIC, version="0.63.0",
             status=STATUS_OK, parent=1, at=(0, 10)),
    ],
    "one id in two traces": [
        openai_chat(2, response_id="c-1", at=(1, 9)),
        span(3, genai(response_id="c-1"), scope=LLMETRY_OPENAI, trace=77, at=(0, 10)),
    ],
    "siblings with a gateway's own id": [
        APP,
        native(2, "msg_1", parent=1, at=(2, 8)),
        litellm(3, attributes=genai(response_id="chatcmpl-7", **CLAUDE), parent=1, at=(1, 9)),
    ],
    "detached trace of LiteLLM": [
        span(1, at=(0, 20)), inference_chat(2, parent=1, at=(2, 9)), litellm(3, trace=78, at=(1, 10)),
    ],
    "a deployment's name above the model's": [
        inference_chat(2, model="my-deployment", at=(0, 10)), openai_chat(3, parent=2, at=(1, 9)),
    ],
    "a framework's span above a silent stream": [langchain(2, at=(0, 10)), silent(3, parent=2, at=(1, 11))],
    "agent that sums its one call": [agent(2, (900, 60), at=(0, 10)), openai_chat(3, parent=2, at=(1, 9))],
    "agent that ends before its streaming call": [
        agent(2, (900, 60), at=(0, 10)), openai_chat(3, parent=2, at=(1, 12)),
    ],
    "nested agents that end before the streaming call": [
        agent(2, (900, 60), at=(0, 10)), agent(3, (900, 60), parent=2, at=(0, 9)),
        openai_chat(4, parent=3, at=(1, 12)),
    ],
    "chain above a call": [
        span(2, openinference(kind="CHAIN"), scope=INFERENCE_LANGCHAIN, at=(0, 10)),
        openai_chat(3, parent=2, at=(1, 12)),
    ],
    "agents of two frameworks beside each other": [
        APP, agent(2, (900, 60), parent=1, at=(1, 30)),
        agent(3, (900, 60), parent=1, at=(0, 31), scope="openinference.instrumentation.crewai"),
    ],
    "four layers": [
        APP,
        span(2, openinference(**CLAUDE), scope=INFERENCE_LANGCHAIN, status=STATUS_OK, parent=1, at=(1, 9)),
        inference_anthropic(3, parent=1, at=(2, 8)),
        native(4, parent=3, at=(3, 7)),
        span(5, genai(response_id="msg_1", finish=["x"], **CLAUDE), scope=LLMETRY_ANTHROPIC, version="0.63.0",
             status=STATUS_OK, parent=1, at=(1.5, 8.5)),
    ],
    "embeddings of two scopes": [
        APP,
        span(2, genai(900, None, operation="embeddings"), scope=GENAI_OPENAI, parent=1, at=(1, 5)),
        span(3, openinference(900, None, kind="EMBEDDING"), scope="openinference.instrumentation.openai",
             status=STATUS_OK, parent=1, at=(0.5, 5.5)),
    ],
    "a span handed over twice": [openai_chat(2), openai_chat(2)],
    "a call that is its own parent": [APP, openai_chat(2, parent=2)],
    "an agent that is its own parent": [agent(2, (900, 60), parent=2), openai_chat(3, parent=2, at=(1, 9))],
    "two agents that are each other's parent": [
        agent(2, (900, 60), parent=3), agent(3, (900, 60), parent=2), openai_chat(4, parent=2, at=(1, 9)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("spans", PAIRS.values(), ids=PAIRS)
def test_one_call_is_counted_once_whatever_order_its_spans_end_in(spans) -> None:
    expected = (900, 0, 0, 0) if spans[1].attributes.get("gen_ai.operation.name") == "embeddings" else CALL
    for order in orders(spans):
        assert booked(order).tokens() == [expected], [one.span_id for one in order]


APART = {
    "parallel twins of one scope": [APP, openai_chat(2, parent=1, at=(1, 10)), openai_chat(3, parent=1,
        at=(1, 10))],
    "twins of one scope below an agent that sums them": [
        agent(1, (1800, 120), at=(0, 20)), openai_chat(2, parent=1, at=(1, 10)),
        openai_chat(3, parent=1, at=(1.1, 10.2)),
    ],
    "an agent with two calls": [
        agent(1, (1800, 120), at=(0, 30)), openai_chat(2, parent=1, at=(1, 9)), openai_chat(3, parent=1,
            at=(11, 19)),
    ],
    "an agent that repeats its last call": [
        agent(1, (900, 60), at=(0, 30)), openai_chat(2, parent=1, at=(1, 9)), openai_chat(3, parent=1,
            at=(11, 19)),
    ],
    "calls that follow each other closely, each seen twice": [
        APP,
        langchain(2, parent=1, at=(1, 10)), inference_chat(3, parent=1, at=(1.1, 9.9)),
        langchain(4, parent=1, at=(10.3, 20)), inference_chat(5, parent=1, at=(10.4, 19.9)),
    ],
    "a framework's call whose SDK was asked twice": [
        langchain(1, at=(0, 20)), openai_chat(2, parent=1, at=(1, 5), response_id="a"),
        openai_chat(3, parent=1, at=(6, 15), response_id="b"),
    ],
    "equal calls of two scopes one after the other": [
        APP, inference_chat(2, parent=1, at=(0, 10)), span(3, genai(), scope=LLMETRY_OPENAI, parent=1,
            at=(15, 20)),
    ],
    "parallel agents with one call each": [
        APP,
        agent(2, (900, 60), parent=1, at=(2, 50)), openai_chat(3, parent=2, at=(3, 40)),
        agent(4, (900, 60), parent=1, at=(3, 51)), openai_chat(5, parent=4, at=(4, 41)),
    ],
    "two silent streams beside a framework's spans": [
        APP,
        langchain(2, parent=1, at=(1, 11)), silent(3, parent=1, at=(1.5, 10.5)),
        langchain(4, parent=1, at=(2, 12)), silent(5, parent=1, at=(2.5, 11.5)),
    ],
    "Vercel: agent, steps, chats": [
        span(1, genai(1800, 120, operation="invoke_agent"), scope="gen_ai", at=(0, 30)),
        span(2, genai(operation="agent_step"), scope="gen_ai", parent=1, at=(1, 10)),
        span(3, genai(), scope="gen_ai", parent=2, at=(2, 9)),
        span(4, genai(operation="agent_step"), scope="gen_ai", parent=1, at=(11, 20)),
        span(5, genai(), scope="gen_ai", parent=4, at=(12, 19)),
    ],
    "three levels of agents": [
        agent(1, (1800, 120), at=(0, 50)), agent(2, (1800, 120), parent=1, at=(1, 49)),
        agent(3, (1800, 120), parent=2, at=(2, 48)),
        openai_chat(4, parent=3, at=(3, 9)), openai_chat(5, parent=3, at=(10, 19)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("spans", APART.values(), ids=APART)
def test_two_calls_stay_two_whatever_order_their_spans_end_in(spans) -> None:
    for order in orders(spans):
        assert booked(order).tokens() == [CALL, CALL], [one.span_id for one in order]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        pytest.param(
            [openai_chat(2, (3000, 500), at=(0, 10)), openai_chat(3, (200, 5), parent=2, at=(1, 3))],
            [(200, 0, 0, 5), (3000, 0, 0, 500)],
            id="a guardrail's call inside a call",
        ),
        pytest.param(
            [openai_chat(2, (3000, 5), at=(0, 10)), openai_chat(3, (200, 5), parent=2, at=(1, 3))],
            [(200, 0, 0, 5), (3000, 0, 0, 5)],
            id="a guardrail's call with an answer as long",
        ),
        pytest.param(
            [langchain(2, at=(0, 10)), failed(3, parent=2, at=(1, 2)), openai_chat(4, parent=2, at=(3, 9))],
            [NOTHING, CALL],
            id="a retry after a refusal",
        ),
        pytest.param(
            [
                langchain(2, at=(0, 10)), failed(3, "APITimeoutError", parent=2, at=(1, 2)),
                openai_chat(4, parent=2, at=(3, 9)),
            ],
            [NOTHING, CALL],
            id="a retry after a timeout",
        ),
        pytest.param(
            [
                langchain(2, at=(0, 10)), failed(3, parent=2, at=(1, 2)),
                openai_chat(4, parent=2, model="gpt-4o", at=(3, 9)),
            ],
            [NOTHING, CALL],
            id="a fallback to another model",
        ),
        pytest.param(
            [
                agent(1, (2700, 180), at=(0, 30)), agent(2, (1800, 120), parent=1, at=(1, 15)),
                openai_chat(5, parent=1, at=(16, 20)),
            ],
            [CALL, (1800, 0, 0, 120)],
            id="an agent that hides its calls inside one that does not",
        ),
        pytest.param(
            [
                agent(1, (900, 60), at=(0, 40)), openai_chat(2, parent=1, at=(1, 5)), span(3, parent=1,
                    at=(6, 30)),
                agent(4, (700, 50), parent=3, at=(7, 29)), openai_chat(5, (700, 50), parent=4, at=(8, 20)),
            ],
            [OTHER, CALL],
            id="an agent asked by another agent's tool",
        ),
        pytest.param(
            [
                APP, openai_chat(2, parent=1, response_id="chatcmpl-7", at=(1, 5)),
                inference_chat(3, (700, 50), parent=1, at=(2, 6)),
                span(4, genai(700, 50, response_id="chatcmpl-7"), scope=LLMETRY_OPENAI, trace=5, at=(2, 6)),
            ],
            [OTHER, OTHER, CALL],
            id="an id that a local server drew twice",
        ),
    ],
)  # fmt: skip
def test_calls_that_enclose_each_other_are_told_apart(spans, expected) -> None:
    for order in orders(spans):
        assert booked(order).tokens() == expected, [one.span_id for one in order]


def test_a_fallback_is_booked_under_the_model_that_answered() -> None:
    spans = [langchain(2, at=(0, 10)), openai_chat(4, parent=2, model="gpt-4o", at=(3, 9))]
    for order in orders(spans):
        assert [call.model for call in booked(order).calls()] == ["gpt-4o"]


def test_an_agent_without_reporting_children_is_counted_and_flagged() -> None:
    books = booked([span(3, parent=2, at=(1, 9)), agent(2, (1800, 120), at=(0, 30))])
    assert books.tokens() == [(1800, 0, 0, 120)]
    assert [call.usage_confidence for call in books.calls()] == ["estimated"]
    assert books.calls()[0].reasons


def test_an_agent_gives_its_numbers_to_its_one_silent_stream() -> None:
    books = booked([silent(2, parent=1, at=(1, 9)), agent(1, (900, 60), at=(0, 30))])
    assert books.tokens() == [CALL]
    assert books.calls()[0].usage_confidence == "estimated"


def test_an_agent_that_was_counted_is_taken_back_when_its_call_ends() -> None:
    books = booked([agent(2, (900, 60), at=(0, 10)), openai_chat(3, parent=2, at=(1, 12))])
    assert [one.decision.action for one in books.bookings] == ["count", "count"]
    assert [[one.call.span_id for one in booking.decision.taken_back] for booking in books.bookings] == [
        [],
        [2],
    ]
    assert [entry.kind for entry in books.ledger.entries()] == ["call", "reversal", "call"]


def test_an_agent_is_taken_back_by_a_call_two_links_below_whose_middle_link_ends_last() -> None:
    books = booked([
        agent(2, (900, 60), at=(0, 10)), openai_chat(4, parent=3, at=(1, 11)), span(3, parent=2, at=(1, 12)),
    ])  # fmt: skip
    assert books.tokens() == [CALL]
    assert books.reasons() == ["new", "new", "no_call"]


def test_an_agent_whose_middle_spans_were_sampled_out_is_known_by_its_sum() -> None:
    calls = [openai_chat(2, parent=98, at=(1, 9)), openai_chat(3, parent=99, at=(11, 19))]
    books = booked([*calls, agent(1, (1800, 120), at=(0, 30))])
    assert books.tokens() == [CALL, CALL]
    assert books.reasons() == ["new", "new", "aggregate"]


def test_parallel_agents_whose_middle_spans_were_sampled_out_are_known_each_by_its_calls() -> None:
    books = booked([
        openai_chat(2, parent=98, at=(1, 9)), openai_chat(3, parent=98, at=(2, 12)),
        openai_chat(4, (700, 50), parent=99, at=(2, 19)),
        agent(10, (1800, 120), at=(0, 30)), agent(11, (700, 50), at=(0, 30)),
    ])  # fmt: skip
    assert books.tokens() == [OTHER, CALL, CALL]


def test_a_sum_over_several_calls_is_not_booked_in_the_place_of_one() -> None:
    """The outer span is exact and says 4,000; each call below is only estimated and says 2,000."""
    blind = "opentelemetry.instrumentation.openai_v2"
    books = booked([
        span(2, genai(2000, 60), scope=blind, parent=1, at=(1, 8)),
        span(3, genai(2000, 60), scope=blind, parent=1, at=(9, 18)),
        inference_chat(1, (4000, 120), at=(0, 20)),
    ])  # fmt: skip
    assert books.tokens() == [(2000, 0, 0, 60)] * 2


def test_a_hedged_call_that_was_cut_off_does_not_take_the_answer_of_the_other() -> None:
    books = booked([
        openai_chat(2, parent=1, at=(1, 9)), failed(3, "CancelledError", parent=1, at=(1, 9.5)),
        langchain(1, at=(0, 10)),
    ])  # fmt: skip
    assert sorted((call.usage_confidence, call.usage.total) for call in books.calls()) == [
        ("exact", 960), ("unknown", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "spans"),
    [
        (
            "response_id",
            [openai_chat(2, response_id="c-1"), span(3, genai(response_id="c-1"), scope=LLMETRY_OPENAI)],
        ),
        ("ancestor", [openai_chat(3, parent=2, at=(1, 9)), inference_chat(2, at=(0, 10))]),
        ("descendant", [inference_chat(2, at=(0, 10)), openai_chat(3, parent=2, at=(1, 12))]),
        ("sibling", [openai_chat(3, at=(1, 9)), inference_chat(2, at=(0, 10))]),
        ("aggregate", [openai_chat(3, parent=2, at=(1, 9)), agent(2, (900, 60), at=(0, 10))]),
        ("aggregate_exceeds", [openai_chat(3, parent=2, at=(1, 9)), agent(2, (2700, 60), at=(0, 10))]),
        ("detached_trace", [openai_chat(3, at=(1, 9)), litellm(2, trace=7, at=(0, 10))]),
    ],
)
def test_every_merge_is_counted_under_its_reason(reason, spans) -> None:
    books = booked(spans)
    assert books.tokens() == [CALL]
    assert books.reasons() == ["new", reason]
    assert books.tallies("spanbudget.spans.merged") == {reason: 1}


def test_ids_count_before_ancestors_and_ancestors_before_siblings() -> None:
    first = openai_chat(5, response_id="c-1", at=(1, 9))
    books = booked([
        first,
        span(4, genai(response_id="c-1"), scope=LLMETRY_OPENAI, at=(0.5, 9.5)),
        span(3, genai(), scope="b", parent=2, at=(0.2, 9.6)),
        langchain(2, at=(0.1, 9.8)),
    ])  # fmt: skip
    assert books.reasons()[1] == "response_id"
    assert books.reasons()[3] == "ancestor"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"at": (20, 30)}, id="at another time"),
        pytest.param({"tokens": (901, 60)}, id="with other tokens"),
        pytest.param({"provider": "groq"}, id="of another provider"),
        pytest.param({"scope": GENAI_OPENAI}, id="of the same scope"),
    ],
)
def test_an_equal_response_id_alone_does_not_merge(other) -> None:
    tokens, provider = other.get("tokens", (900, 60)), other.get("provider", "openai")
    second = span(
        3, genai(*tokens, provider=provider, response_id="chatcmpl-7"), trace=9,
        scope=other.get("scope", LLMETRY_OPENAI), at=other.get("at", (0, 10)),
    )  # fmt: skip
    books = booked([openai_chat(2, response_id="chatcmpl-7", at=(0, 10)), second])
    assert len(books.tokens()) == 2


@pytest.mark.parametrize("count", [1, 2, 3, 8, 63, 64, 65, 200])
@pytest.mark.parametrize("alike", [True, False], ids=["alike", "different"])
def test_parallel_calls_seen_by_two_scopes_are_as_many_as_there_were(count, alike) -> None:
    """All inner spans end before all outer ones, as they do when every answer comes at once."""
    tokens = [(900 + (0 if alike else one), 60) for one in range(count)]
    starts = [1 + one / 100 for one in range(count)]
    inner = [inference_chat(1000 + n, tokens[n], parent=1, at=(at, 100 + at)) for n, at in enumerate(starts)]
    outer = [
        langchain(5000 + n, tokens[n], parent=1, at=(at - 0.005, 101 + at)) for n, at in enumerate(starts)
    ]
    assert len(booked([*inner, *outer, APP]).tokens()) == count


def seen_twice(times: list[tuple[float, float]], kind: str) -> list[SpanRecord]:
    """Calls at the given times (start, length), each seen by two scopes."""
    spans = [APP]
    for n, (start, length) in enumerate(times):
        outer, inner = 10 + 2 * n, 11 + 2 * n
        at, within = (start, start + length), (start + 0.1, start + length - 0.1)
        if kind == "ids":
            spans += [
                inference_anthropic(outer, parent=1, at=at),
                native(inner, f"msg_{n}", parent=outer, at=within),
            ]
        else:
            parent = outer if kind == "nested" else 1
            spans += [langchain(outer, parent=1, at=at), inference_chat(inner, parent=parent, at=within)]
    return spans


KINDS = st.sampled_from(["nested", "siblings", "ids"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(5, 30)), min_size=1, max_size=6), KINDS)
def test_parallel_calls_of_any_length_seen_by_two_scopes_are_as_many_as_there_were(times, kind) -> None:
    assert booked(as_ended(seen_twice(times, kind))).tokens() == [CALL] * len(times)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 9), min_size=1, max_size=4), KINDS, st.randoms(use_true_random=False))
def test_parallel_calls_that_mostly_overlap_are_as_many_as_there_were_in_any_order(starts, kind, rng) -> None:
    spans = seen_twice([(start, 20) for start in starts], kind)
    rng.shuffle(spans)
    assert booked(spans).tokens() == [CALL] * len(starts)


def test_a_later_span_that_knows_more_restates_the_call() -> None:
    """900 input of which 400 were cached: the first span does not tell, the second one does."""
    blind = span(2, genai(), scope="opentelemetry.instrumentation.openai_v2", parent=1, at=(1, 9))
    books = booked([blind, inference_chat(1, read=400, at=(0, 10))])
    assert books.tokens() == [(500, 400, 0, 60)]
    assert [entry.kind for entry in books.ledger.entries()] == ["call", "reversal", "call"]
    assert books.tallies("spanbudget.spans.restated") == {"ancestor": 1}
    assert (books.calls()[0].span_id, books.calls()[0].start_ns) == (1, NOON_NS)


def test_a_later_span_that_knows_less_changes_nothing() -> None:
    books = booked([inference_chat(2, read=400, at=(1, 9), parent=1), silent(1, at=(0, 10))])
    assert books.tokens() == [(500, 400, 0, 60)]
    assert len(list(books.ledger.entries())) == 1


def test_spans_of_a_detached_trace_are_only_looked_at_for_litellm() -> None:
    books = booked([openai_chat(3, at=(1, 9)), inference_chat(2, trace=7, at=(0, 10))])
    assert books.tokens() == [CALL, CALL]


def test_litellms_packed_id_of_the_responses_api_is_the_providers() -> None:
    inner = b"litellm:custom_llm_provider:openai;model_id:None;response_id:resp_00000012"
    packed = "resp_" + base64.b64encode(inner).decode()
    books = booked(
        [openai_chat(2, response_id="resp_00000012", at=(2, 8)), litellm(3, packed, trace=4, at=(1, 9))]
    )
    assert books.tokens() == [CALL]
    assert books.reasons() == ["new", "response_id"]


@pytest.mark.parametrize(("calls", "forgotten"), [(99, 0), (100, 0), (101, 1), (350, 250)])
def test_what_is_forgotten_at_the_bound_of_entries_is_counted(calls, forgotten) -> None:
    counter = CallCounter(max_entries=100)
    Books(counter=counter).book(openai_chat(n, trace=n, at=(n, n + 1)) for n in range(1, calls + 1))
    assert len(counter) == min(calls, 100)
    assert counter.forgotten == forgotten


@pytest.mark.parametrize(("pause_ms", "forgotten"), [(59_999, 0), (60_000, 0), (60_001, 1)])
def test_what_is_older_than_the_bound_of_age_is_forgotten_and_counted(pause_ms, forgotten) -> None:
    counter = CallCounter(max_age_ns=MINUTE_MS * 1_000_000)
    books = Books(counter=counter)
    books.book([openai_chat(2, at=(0, 1))])
    books.book([openai_chat(3, trace=9, at=(0, 1 + pause_ms))])
    assert counter.forgotten == forgotten
    assert counter.knows(openai_chat(2).trace_id, 2) is not bool(forgotten)


def test_an_agent_that_was_merged_is_not_counted_as_forgotten() -> None:
    counter = CallCounter(max_entries=2)
    Books(counter=counter).book([
        openai_chat(3, parent=2, at=(1, 9)), agent(2, (900, 60), at=(0, 10)), openai_chat(4, trace=9,
            at=(1, 20)),
    ])  # fmt: skip
    assert counter.forgotten == 1


@pytest.mark.parametrize(
    "parent", [lambda n: 10**6, lambda n: 10**6 + n], ids=["one root", "parents never seen"]
)
def test_a_trace_that_never_ends_stays_within_the_bound(parent) -> None:
    counter = CallCounter(max_entries=100)
    Books(counter=counter).book(openai_chat(n, parent=parent(n), at=(n, n + 0.5)) for n in range(1, 3001))
    traces = [trace for trace in counter._traces.values() if isinstance(trace, Trace)]
    held = [calls for trace in traces for calls in (trace.covered or {}).values()]
    assert len(counter) <= 100
    assert sum(map(len, held)) <= 100
    assert counter.forgotten + len(counter) == 3000


def test_the_root_of_a_trace_that_was_halved_still_knows_of_its_calls() -> None:
    books = Books(counter=CallCounter(max_entries=100))
    books.book([openai_chat(n, parent=10**6, at=(n, n + 0.5)) for n in range(1, 301)])
    books.book([agent(10**6, (270_000, 18_000), at=(0, 400))])
    assert books.reasons()[-1] == "aggregate_exceeds"  # of the forgotten ones it knows no tokens


def test_ids_from_a_small_range_are_forgotten_with_their_calls() -> None:
    counter = CallCounter(max_entries=100)
    calls = (
        openai_chat(n, trace=n, response_id=f"chatcmpl-{n % 7}", at=(n, n + 0.5)) for n in range(1, 3001)
    )
    Books(counter=counter).book(calls)
    assert len(counter._by_response) + sum(map(len, counter._same_id.values())) <= 100


def test_spans_that_are_no_calls_are_remembered_only_where_they_may_be_a_link() -> None:
    counter = CallCounter()
    books = Books(counter=counter).book([span(2), span(3, trace=9, parent=2)])
    assert books.reasons() == ["no_call", "no_call"]
    assert len(counter) == 1

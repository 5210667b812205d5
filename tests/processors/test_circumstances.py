"""How calls ended and how they were asked, as each emitter spells it."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_spans import (
    GENAI_OPENAI,
    INFERENCE_OPENAI,
    genai,
    inference_chat,
    openai_chat,
    openinference,
    read,
    span,
)

from spanbudget.processors.circumstances import Circumstances, deterministic, finish_reason, truth
from spanbudget.processors.evidence import combined
from spanbudget.processors.spans import STATUS_ERROR, STATUS_OK

FINISHES = [
    (("stop",), "stop"),
    (["length"], "length"),
    ('["stop"]', "stop"),
    ('["tool_calls", "stop"]', "tool_calls"),
    ("end_turn", "stop"),
    ("STOP", "stop"),
    ("MAX_TOKENS", "length"),
    ("max_output_tokens", "length"),
    ("tool_use", "tool_calls"),
    ("tool-calls", "tool_calls"),
    ("content-filter", "content_filter"),
    ("SAFETY", "content_filter"),
    ("FinishReason.STOP", "stop"),
    ("pause_turn", "pause_turn"),
    ('"stop"', "stop"),
    ("", None),
    ((), None),
    ([None, "stop"], "stop"),
    (7, None),
    ("I stopped because the user asked me to", None),
    ("x" * 65, None),
]


@pytest.mark.parametrize(("given", "name"), FINISHES)
def test_finish_reasons_have_one_name(given, name):
    assert finish_reason(given) == name


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.request.temperature": 0.0}, True),
        ({"gen_ai.request.temperature": 0}, True),
        ({"gen_ai.request.temperature": 0.2}, False),
        ({"gen_ai.request.temperature": "0"}, True),
        ({"gen_ai.request.temperature": True}, None),
        ({"gen_ai.request.temperature": "warm"}, None),
        ({"llm.invocation_parameters": '{"model": "gpt-5", "temperature": 0}'}, True),
        ({"llm.invocation_parameters": '{"temperature": 0.7}'}, False),
        ({"llm.invocation_parameters": '{"max_tokens": 5}'}, None),
        ({}, None),
    ],
)
def test_temperature_0_is_deterministic(attributes, expected):
    assert read(span(1, {**genai(), **attributes}, scope=GENAI_OPENAI)).deterministic is expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"gen_ai.response.finish_reasons": ("length",)}, "length"),
        ({"gen_ai.response.finish_reasons": ["length"]}, "length"),
        ({"anthropic.message.stop_reason": "max_tokens"}, "length"),
        ({"llm.finish_reason": "end_turn"}, "stop"),
        ({"ai.response.finishReason": "tool-calls"}, "tool_calls"),
        ({}, None),
    ],
)
def test_the_finish_reason_of_a_span_is_read(more, expected):
    assert read(span(1, {**genai(), **more}, scope=GENAI_OPENAI)).finish_reason == expected


def failed(attributes=None, *, status=STATUS_ERROR, exceptions=(), usage=(None, None)):
    given = {**genai(*usage), **(attributes or {})}
    return read(span(1, given, scope=GENAI_OPENAI, status=status, exceptions=exceptions))


def test_the_error_type_is_a_class_or_a_code_and_never_a_message():
    assert failed({"error.type": "openai.RateLimitError"}).error_type == "openai.RateLimitError"
    assert failed(exceptions=(("BadRequestError", "the prompt was: secret"),)).error_type == "BadRequestError"
    assert failed({"http.response.status_code": 429}).error_type == "429"
    assert failed({"error.type": "Error code: 429 - secret prompt"}).error_type == "_OTHER"
    assert failed({"error.type": "_OTHER"}, exceptions=(("APIError", ""),)).error_type == "APIError"
    assert failed({"error.type": "x" * 200}).error_type == "_OTHER"
    assert failed().error_type is None
    assert failed(status=STATUS_OK, usage=(900, 60)).error_type is None


def test_a_call_that_was_cut_short_tells_so():
    timeout = failed({"error.type": "_OTHER"}, exceptions=(("", "request timed out"),))
    assert (timeout.error_type, timeout.failed) == ("timeout", True)
    aborted = read(
        span(1, {**genai(None, None), "gen_ai.response.time_to_first_chunk": 0.2}, scope=GENAI_OPENAI)
    )
    assert (aborted.error_type, aborted.failed) == ("aborted_stream", False)


def test_two_spans_of_one_call_know_together_what_either_knows():
    known = read(openai_chat(1))._replace(finish_reason=None, prompt_hash=None)
    later = read(inference_chat(2, at=(0, 1000)))
    later = later._replace(finish_reason="length", deterministic=True, prompt_hash=7, interactive=False)
    better = combined(known, later)
    assert better is not None
    assert (better.finish_reason, better.deterministic, better.prompt_hash, better.interactive) == (
        "length", True, 7, False,
    )  # fmt: skip
    assert combined(better, better) is None


def test_what_changes_no_money_is_not_booked_again():
    """A finish reason alone is not worth a reversal and a new entry for each call."""
    known = read(openai_chat(1))
    assert combined(known, known._replace(finish_reason="stop", deterministic=True, error_type=None)) is None


def test_an_error_that_a_retry_mended_is_gone():
    known = read(openai_chat(1))._replace(failed=True, error_type="timeout")
    better = combined(known, known._replace(failed=False, error_type=None, tier="flex"))
    assert better is not None
    assert (better.failed, better.error_type) == (False, None)


def test_a_call_with_all_fields_survives_pickling():
    call = read(span(1, {**genai(finish=("stop",)), "gen_ai.request.temperature": 0}, scope=GENAI_OPENAI))
    again = pickle.loads(pickle.dumps(call))  # noqa: S301 - made in this line
    assert again == call
    assert type(again) is type(call)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = scalars | st.lists(scalars, max_size=3) | st.tuples(scalars) | st.dictionaries(st.text(), scalars)


@given(anything, anything, anything)
def test_whatever_stands_there_is_read_without_a_fault(finish, temperature, interactive):
    attributes = {
        **genai(),
        "gen_ai.response.finish_reasons": finish,
        "gen_ai.request.temperature": temperature,
        "spanbudget.interactive": interactive,
    }
    call = read(span(1, attributes, scope=GENAI_OPENAI))
    assert call.finish_reason is None or len(call.finish_reason) <= 64
    assert call.deterministic in (None, True, False)
    assert call.interactive in (None, True, False)


def test_what_was_seen_is_bounded():
    circumstances = Circumstances()
    for number in range(10_000):
        assert circumstances[(f"reason_{number}",), 0.5, None, None, None][0] == f"reason_{number}"
    assert len(circumstances) <= 4096


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, True),
        ("true", True),
        ("False", False),
        (0, False),
        (1, True),
        ("", None),
        ("maybe", None),
        (None, None),
    ],
)
def test_flags_as_people_spell_them(given, expected):
    assert truth(given) is expected


def test_a_resource_speaks_for_all_its_spans_that_do_not():
    batch = {"spanbudget.interactive": "false"}
    assert read(openai_chat(1, resource=batch)).interactive is False
    own = span(1, {**genai(), "spanbudget.interactive": True}, scope=GENAI_OPENAI, resource=batch)
    assert read(own).interactive is True
    assert read(openai_chat(1)._replace(interactive=True, resource=batch)).interactive is True


def test_openinference_tells_all_of_it():
    attributes = openinference(
        **{"llm.finish_reason": "stop", "llm.invocation_parameters": json.dumps({"temperature": 0})}
    )
    call = read(span(1, attributes, scope=INFERENCE_OPENAI, status=STATUS_OK))
    assert (call.finish_reason, call.deterministic) == ("stop", True)
    assert deterministic(float("nan")) is False

"""What a call without usage means."""

import pytest
from made_spans import span

from spanbudget.processors.outcome import reason_without_usage
from spanbudget.processors.spans import STATUS_ERROR, STATUS_OK, STATUS_UNSET


def reason(
    *, status=STATUS_ERROR, error_type=None, http=None, stream=False, chunk=False, answered=False, **more
):
    return reason_without_usage(
        span(1, status=status, **more),
        error_type=error_type, http_status=http, stream=stream, first_chunk=chunk, answered=answered,
    )  # fmt: skip


@pytest.mark.parametrize("status", [400, 429, "503", 599])
def test_an_http_refusal_costs_nothing(status) -> None:
    assert reason(http=status) == "not_billed"


@pytest.mark.parametrize("status", [200, 399, 600, "none", 1.5, True])
def test_another_http_status_does_not_decide(status) -> None:
    assert reason(http=status, error_type="APITimeoutError") == "timeout"


@pytest.mark.parametrize(
    ("error_type", "expected"),
    [
        ("openai.RateLimitError", "not_billed"), ("overloaded_error", "not_billed"), ("429", "not_billed"),
        ("BadRequestError", "not_billed"), ("InternalServerError", "not_billed"), ("AuthenticationError",
            "not_billed"),
        ("ThrottlingException", "not_billed"), ("google.ServiceUnavailable", "not_billed"),
        ("openai.APITimeoutError", "timeout"), ("TimeoutError", "timeout"), ("DeadlineExceeded", "timeout"),
        ("asyncio.CancelledError", "aborted_stream"), ("GeneratorExit", "aborted_stream"),
        ("KeyboardInterrupt", "aborted_stream"), ("_OTHER", "aborted_stream"),
        ("APIConnectionError", "connection_error"), ("httpx.ReadError", "connection_error"),
        ("SomethingElse", "not_billed"),
    ],
)  # fmt: skip
def test_an_error_type_tells_whether_it_may_have_been_billed(error_type, expected) -> None:
    assert reason(error_type=error_type) == expected


def test_exceptions_and_the_description_are_read_where_there_is_no_error_type() -> None:
    assert reason(exceptions=(("openai.APITimeoutError", "Request timed out."),)) == "timeout"
    assert reason(exceptions=(("openai.RateLimitError", "Error code: 429"),)) == "not_billed"
    assert reason(description="Request timed out") == "timeout"
    assert reason(status=STATUS_OK, exceptions=(("GeneratorExit", ""),)) == "aborted_stream"


def test_an_unknown_error_after_a_first_chunk_was_cut_off() -> None:
    assert reason(error_type="Weird", chunk=True) == "aborted_stream"
    assert reason(error_type="Weird") == "not_billed"


@pytest.mark.parametrize("status", [STATUS_UNSET, STATUS_OK])
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, "no_usage"),
        ({"stream": True}, "stream_without_usage"),
        ({"chunk": True, "answered": True}, "stream_without_usage"),
        ({"chunk": True}, "aborted_stream"),
        ({"stream": True, "chunk": True}, "aborted_stream"),
    ],
)
def test_a_call_without_an_error_and_without_usage_is_unknown_for_a_reason(status, told, expected) -> None:
    assert reason(status=status, **told) == expected

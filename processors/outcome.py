"""What a call without usage means: not billed, cut off, or simply not told."""

import re
from typing import Final

from spanbudget.processors.spans import STATUS_ERROR, SpanRecord

_CUT_OFF: Final = re.compile(
    r"time.?d?.?out|deadline|cancel|generatorexit|keyboardinterrupt|abandoned|abort|disconnect|_OTHER",
    re.IGNORECASE,
)
_NO_ANSWER: Final = re.compile(r"connection|connect|protocol|readerror|network|socket|eof", re.IGNORECASE)
_REFUSED: Final = re.compile(
    r"rate.?limit|server.?error|overloaded|bad.?request|invalid|authenticat|permission|not.?found|denied|"
    r"unprocessable|conflict|unavailable|quota|exhausted|throttl|validation|api_?status|apicallerror|"
    r"\b[45]\d\d\b",
    re.IGNORECASE,
)


def reason_without_usage(
    span: SpanRecord,
    *,
    error_type: object,
    http_status: object,
    stream: bool,
    first_chunk: bool,
    answered: bool,
) -> str:
    """Names what a call without any usage is.

    Args:
        span: The span.
        error_type: Value of `error.type`, None where absent.
        http_status: HTTP status of the answer, None where absent.
        stream: The span says that it streamed.
        first_chunk: The span shows that a first chunk arrived.
        answered: The span has an answer's finish reason.

    Returns:
        `not_billed`: refused by the provider, costs nothing. `timeout`, `aborted_stream`,
        `connection_error`: it may have been billed. `stream_without_usage`, `no_usage`: it ended well, and
        nobody said how many tokens it took.
    """
    if span.status != STATUS_ERROR and not span.exceptions and error_type is None:
        if first_chunk and not answered:
            return "aborted_stream"
        return "stream_without_usage" if stream or first_chunk else "no_usage"
    if _is_refusal(http_status):
        return "not_billed"
    words = " ".join([str(error_type or ""), *(part for pair in span.exceptions for part in pair)])
    if not words.strip() or error_type == "_OTHER":
        words += f" {span.description or ''}"
    if _REFUSED.search(words) and not re.search(r"time.?d?.?out", words, re.IGNORECASE):
        return "not_billed"
    if _CUT_OFF.search(words):
        return "timeout" if re.search(r"time.?d?.?out|deadline", words, re.IGNORECASE) else "aborted_stream"
    if _NO_ANSWER.search(words):
        return "connection_error"
    return "aborted_stream" if first_chunk else "not_billed"


def _is_refusal(http_status: object) -> bool:
    try:
        return 400 <= int(str(http_status)) < 600
    except ValueError:
        return False

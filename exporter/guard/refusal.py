"""The answer that stands in for a refused call: HTTP 402, which no SDK repeats."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from spanbudget.processors.errors import BudgetExceeded
from spanbudget.processors.money import pico_to_text

STATUS: Final = 402
EXTENSION: Final = "spanbudget.refusal"
"""Under this name the `BudgetExceeded` is among the extensions of the answer."""
KIND: Final = "budget_exceeded"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def refusal_body(refusal: BudgetExceeded) -> bytes:
    """The JSON of the answer: the shape of OpenAI's errors, and of Anthropic's.

    Money is in USD as an exact decimal text, tokens and calls are integers.
    """
    details: dict[str, Any] = {
        "type": KIND,
        "code": KIND,
        "message": str(refusal),
        "param": None,
        "budget": refusal.budget,
        "child": refusal.child,
        "reason": refusal.reason,
        "measure": refusal.measure,
        "requested": _amount(refusal, refusal.requested),
        "spent": _amount(refusal, refusal.spent),
        "reserved": _amount(refusal, refusal.reserved),
        "limit": _amount(refusal, refusal.limit),
        "window_end": _rfc3339(refusal.window_end_ns),
        "retry_after": refusal.retry_after_seconds,
    }
    return json.dumps({"type": "error", "error": details}).encode()


def refusal_headers(refusal: BudgetExceeded) -> dict[str, str]:
    """Headers of the answer; `x-should-retry` is what both SDKs obey."""
    headers = {"content-type": "application/json", "x-should-retry": "false"}
    if refusal.retry_after_seconds is not None:
        headers["retry-after"] = str(max(0, math.ceil(refusal.retry_after_seconds)))
    return headers


def refusal_of(error: BaseException) -> BudgetExceeded | None:
    """The refusal behind an SDK's error; None where there is another reason."""
    extensions = getattr(getattr(error, "response", None), "extensions", None)
    found = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
    return found if isinstance(found, BudgetExceeded) else None


def _amount(refusal: BudgetExceeded, amount: int) -> str | int:
    return pico_to_text(amount) if refusal.measure == "cost" else amount


def _rfc3339(at_ns: int | None) -> str | None:
    if at_ns is None:
        return None
    return (_EPOCH + timedelta(seconds=at_ns // 1_000_000_000)).isoformat().replace("+00:00", "Z")

"""Spans of LLM calls, made beforehand: what OpenTelemetry's OpenAI instrumentation sets, 15 attributes each.

Every span has its own trace, a parent and a response id; 50 users make the calls, one in four is cached.
"""

import random
from collections.abc import Iterator
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

SCOPE: Final = "opentelemetry.instrumentation.genai.openai"
SCOPE_VERSION: Final = "1.3b0"
SERVICE: Final[dict[str, str]] = {
    "service.name": "checkout",
    "deployment.environment.name": "production",
    "telemetry.sdk.language": "python",
}
USERS: Final = 50
MODELS: Final = (("gpt-5", "gpt-5-2025-08-07"), ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"))
AHEAD_NS: Final = 5_000_000_000
"""How far in the future the first span of a batch starts (5 s), because making a batch takes that long: a
live span is fresh when it is booked, and an old one is looked at twice."""
CALL_NS: Final = 800_000_000
APART_NS: Final = 10_000

_INSTRUMENTATION: Final = InstrumentationScope(SCOPE, SCOPE_VERSION)
_RESOURCE: Final = Resource(SERVICE)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


def call_attributes(number: int, *, users: int = USERS) -> dict[str, Any]:
    """The 15 attributes of one call; the same number gives the same call."""
    asked, answered = MODELS[number % 3 == 0]
    prompt, output = 200 + number * 37 % 3_900, 1 + number * 13 % 900
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": asked,
        "server.address": "api.openai.com",
        "server.port": 443,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 1_000,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.model": answered,
        "gen_ai.response.id": f"chatcmpl-{number:012x}",
        "gen_ai.usage.input_tokens": prompt,
        "gen_ai.usage.output_tokens": output,
        "gen_ai.usage.cache_read.input_tokens": prompt // 256 * 128 if number % 4 == 0 else 0,
        "openai.response.service_tier": "default",
        "user.id": f"user-{number % users}",
    }


def made_spans(first: int, count: int, base_ns: int, *, users: int = USERS) -> Iterator[ReadableSpan]:
    """Finished spans as the SDK hands them to a processor.

    Args:
        first: Number of the first call; calls with other numbers are other calls.
        count: How many.
        base_ns: Start of the first one, nanoseconds since the epoch; the others follow 10 µs apart.
        users: How many users make the calls.
    """
    ids = random.Random(first)
    for number in range(first, first + count):
        start_ns = base_ns + (number - first) * APART_NS
        trace_id = ids.getrandbits(128) | 1
        yield ReadableSpan(
            name="chat",
            context=SpanContext(trace_id, ids.getrandbits(64) | 1, is_remote=False, trace_flags=_SAMPLED),
            parent=SpanContext(trace_id, ids.getrandbits(64) | 1, is_remote=False, trace_flags=_SAMPLED),
            resource=_RESOURCE,
            attributes=BoundedAttributes(128, call_attributes(number, users=users), immutable=False),
            kind=SpanKind.CLIENT,
            instrumentation_scope=_INSTRUMENTATION,
            start_time=start_ns,
            end_time=start_ns + CALL_NS,
        )

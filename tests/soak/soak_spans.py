"""Spans for the tests that kill, fill and lock: finished ones for a pipeline, and files for a replay."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

GENAI = "opentelemetry.instrumentation.genai.openai"
INFERENCE = "openinference.instrumentation.openai"
CAPTURES = Path(__file__).parents[1] / "captures" / "data"
NOON_NS = 1_795_435_200_000_000_000
DAY_NS = 86_400_000_000_000

BUDGETS = """\
budgets:
  - {name: everything, max_cost: 1000, period: total}
  - {name: daily, max_tokens: 1000000, period: daily}
  - {name: per-user, per: [user], max_cost: 5, period: monthly}
"""


def call_attributes(number: int, **more: Any) -> dict[str, Any]:
    """Attributes of one call as OpenTelemetry's OpenAI instrumentation sets them."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.model": "gpt-5",
        "gen_ai.response.id": f"resp-{number}",
        "gen_ai.usage.input_tokens": 100 + number % 1_000,
        "gen_ai.usage.output_tokens": 1 + number % 77,
        "user.id": f"user-{number % 7}",
        **more,
    }


def finished_span(number: int, end_ns: int) -> ReadableSpan:
    """A finished span of the SDK; the same number is the same call."""
    return ReadableSpan(
        name="chat gpt-5",
        context=SpanContext(number + 1, number + 1, is_remote=False, trace_flags=TraceFlags(1)),
        resource=Resource({"service.name": "soak"}),
        attributes=call_attributes(number),
        instrumentation_scope=InstrumentationScope(GENAI, "1.3b0"),
        start_time=end_ns - 1_000_000,
        end_time=end_ns,
    )


def line_of(
    span_id: int,
    trace_id: int,
    parent_id: int,
    scope: str,
    times: tuple[int, int],
    attributes: dict[str, Any],
) -> str:
    """One span as a capture has it."""
    return json.dumps(
        {
            "name": "span",
            "trace_id": f"{trace_id:032x}",
            "span_id": f"{span_id:016x}",
            "parent_id": f"{parent_id:016x}" if parent_id else None,
            "start_ns": times[0],
            "end_ns": times[1],
            "status": {"code": "OK" if scope == INFERENCE else "UNSET"},
            "attributes": attributes,
            "events": [],
            "scope": {"name": scope, "version": "1"},
            "resource": {"service.name": "soak"},
        }
    )


def trace_lines(number: int) -> Iterator[str]:
    """A request: an agent with two calls, one of them told by two instrumentations, the poorer one first."""
    trace, first = 0xABC000000 + number, 1 + number * 8
    start = NOON_NS + number % 3 * DAY_NS + number * 50_000_000
    agent, wrapper, inner, other = range(first, first + 4)
    poor = {"openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": "gpt-5"}
    attributes = call_attributes(2 * number)
    more = call_attributes(2 * number + 1)
    usage = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    total = {key: attributes[key] + more[key] for key in usage}
    agent_attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "gpt-5", **total}
    agent_line = line_of(agent, trace, 0, "agents", (start, start + 40_000_000), agent_attributes)
    if number % 5 == 0:  # the agent's span comes first: it is counted and taken back
        yield agent_line
    if number % 2:
        yield line_of(inner, trace, wrapper, INFERENCE, (start + 2_000_000, start + 9_000_000), poor)
        yield line_of(wrapper, trace, agent, GENAI, (start + 1_000_000, start + 10_000_000), attributes)
    else:
        yield line_of(inner, trace, wrapper, GENAI, (start + 2_000_000, start + 9_000_000), attributes)
        yield line_of(wrapper, trace, agent, INFERENCE, (start + 1_000_000, start + 10_000_000), poor)
    yield line_of(other, trace, agent, GENAI, (start + 20_000_000, start + 30_000_000), more)
    if number % 5:
        yield agent_line


def write_spans(path: Path, traces: int, seed: int = 7) -> int:
    """Writes a file of captures and made-up requests, with every seventh line twice; answers its lines."""
    lines: list[str] = []
    for capture in sorted(CAPTURES.glob("*.jsonl")):
        if not capture.name.endswith(".expected.jsonl"):
            lines += capture.read_text(encoding="utf-8").splitlines()
    for number in range(traces):
        lines += trace_lines(number)
    order = random.Random(seed)
    again = [(order.randint(at, len(lines)), line) for at, line in enumerate(lines) if at % 7 == 0]
    for at, line in sorted(again, key=lambda one: one[0], reverse=True):
        lines.insert(at, line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)

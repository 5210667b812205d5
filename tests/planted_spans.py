"""Spans of real shape with a waste of known USD in them, as a file that `spanbudget replay` reads."""

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
GENAI = {"name": "opentelemetry.instrumentation.genai.openai", "version": "1.3b0"}
CALL_USD = Decimal("0.0225")
"""A call of gpt-5 with 10,000 tokens in at 1.25 USD per million and 1,000 out at 10: 0.0125 + 0.01."""
WHISPERED = "the patient has a rash"


def made_span(number: int, *, at_ns: int, parent: int = 0, trace: int = 0, **more: Any) -> dict[str, Any]:
    """A finished span in the capture format."""
    return {
        "name": "chat gpt-5",
        "kind": "CLIENT",
        "trace_id": f"{trace or number:032x}",
        "span_id": f"{number:016x}",
        "parent_id": f"{parent:016x}" if parent else None,
        "start_ns": at_ns,
        "end_ns": at_ns + SECOND_NS,
        "status": {"code": "UNSET", "description": None},
        "attributes": {},
        "events": [],
        "scope": GENAI,
        "resource": {"service.name": "shop"},
        **more,
    }


def usage(number: int, **more: Any) -> dict[str, Any]:
    """Attributes of a call that costs `CALL_USD`."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.model": "gpt-5-2025-08-07",
        "gen_ai.response.id": f"chatcmpl-{number}",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.request.temperature": 0,
        "gen_ai.usage.input_tokens": 10_000,
        "gen_ai.usage.output_tokens": 1_000,
        "user.id": f"user-{number % 3}",
        **more,
    }


def question(text: str) -> str:
    return json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}])


def repeated(count: int, repeats: int, *, contents: bool = False) -> Iterator[dict[str, Any]]:
    """`count` different requests, and the first of them `repeats` times again within half an hour.

    They are told apart by hashes of the application, or by their contents.
    """
    begin_ns = time.time_ns() - 3 * HOUR_NS
    for number in range(1, count + repeats + 1):
        asked = number if number <= count else 1
        said = (
            {"gen_ai.input.messages": question(f"{WHISPERED} {asked}")}
            if contents
            else {"spanbudget.prompt.hash": f"request {asked}"}
        )
        at_ns = begin_ns + number * 10 * SECOND_NS
        yield made_span(number, at_ns=at_ns, attributes=usage(number, **said))


def queued(count: int) -> Iterator[dict[str, Any]]:
    """Calls below a consumer of a queue, whose span ends after them."""
    begin_ns = time.time_ns() - 3 * HOUR_NS
    for number in range(1, count + 1):
        at_ns, root = begin_ns + number * 10 * SECOND_NS, 1_000_000 + number
        middle = 2_000_000 + number
        yield made_span(number, at_ns=at_ns, parent=middle, trace=root, attributes=usage(number))
        yield made_span(middle, at_ns=at_ns, parent=root, trace=root, name="step", kind="INTERNAL")
        yield made_span(root, at_ns=at_ns, trace=root, name="orders process", kind="CONSUMER")


def write_spans(path: Path, spans: Iterator[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in spans), encoding="utf-8")
    return path

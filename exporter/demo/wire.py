"""A request as the fake provider reads it, and the reply that it sends back."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from spanbudget.exporter.demo.scenarios import FAILURES, NOTHING, Counts, counts_of, demo_counts

Json = dict[str, Any]

ANSWER_WORDS = ("Hello ", "there", ".")
LONG_ANSWER_WORDS = tuple(f"word{n} " for n in range(60))
SLOW_STREAM_PAUSE_SECONDS = 0.05  # long enough for a client to leave in the middle

_SCENARIO = re.compile(r"scenario:(\w+)")
_TOOL_RESULT_MARKS = (
    '"role": "tool"',
    "function_call_output",
    "tool_result",
    "functionResponse",
    "toolResult",
)
_ANSWERED_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "gpt-4o": "gpt-4o-2024-08-06",
        "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
        "gpt-5": "gpt-5-2025-08-07",
        "gpt-5-mini": "gpt-5-mini-2025-08-07",
        "claude-haiku-4-5": "claude-haiku-4-5-20251001",
        "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
        "gemini-2.5-flash": "gemini-2.5-flash-001",
    }
)


@dataclass(frozen=True, slots=True)
class Question:
    """One request, with the counts that it will be billed for.

    Attributes:
        family: The provider whose interface was called: openai, anthropic, gcp.gemini, aws.bedrock.
        api: The path that was called, without its query.
        model: The model (or Azure deployment) that was asked for.
        stream: Whether the answer is to be streamed.
        body: The JSON body.
        scenario: The name in the prompt, `demo` where there is none.
        counts: What the answer bills.
        number: Counts the requests of one provider from 1.
    """

    family: str
    api: str
    model: str
    stream: bool
    body: Json
    scenario: str
    counts: Counts
    number: int

    @property
    def answered_model(self) -> str:
        """The dated name of the model that answers; an Azure deployment is answered by gpt-4o."""
        if "/openai/deployments/" in self.api:
            return _ANSWERED_MODELS["gpt-4o"]
        return _ANSWERED_MODELS.get(self.model, self.model)

    @property
    def words(self) -> tuple[str, ...]:
        """The pieces of text that the answer is made of."""
        return LONG_ANSWER_WORDS if self.scenario == "stream_abort" else ANSWER_WORDS

    @property
    def pause_seconds(self) -> float:
        """How long to wait between two pieces of a streamed answer."""
        return SLOW_STREAM_PAUSE_SECONDS if self.scenario == "stream_abort" else 0.0

    @property
    def calls_tool(self) -> bool:
        """Whether the answer is a call of the first tool offered."""
        return self.scenario == "tool"

    def id(self, prefix: str) -> str:
        """Returns the provider's id for the answer."""
        return f"{prefix}{self.number:08d}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What is written to the socket.

    Attributes:
        response_id: The id in the body, None where the interface has none.
        chunks: The body; more than one chunk is sent piece by piece.
        pause_seconds: The wait between two chunks.
    """

    response_id: str | None
    chunks: Sequence[bytes]
    status: int = 200
    content_type: str = "application/json"
    pause_seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


def read_scenario(family: str, body: Json, seed: int) -> tuple[str, Counts]:
    """Returns the scenario that the conversation asks for last, and its counts.

    A `tool` scenario whose tool has answered continues as `tool_result`.
    """
    conversation = body.get("messages") or body.get("input") or body.get("contents") or body
    text = json.dumps(conversation)
    names = _SCENARIO.findall(text)
    if not names:
        return "demo", demo_counts(seed, len(text))
    scenario: str = names[-1]
    if scenario in FAILURES:
        return scenario, NOTHING
    if scenario == "tool" and any(mark in text for mark in _TOOL_RESULT_MARKS):
        scenario = "tool_result"
    return scenario, counts_of(family, scenario)


def json_reply(response_id: str | None, body: Json, headers: Mapping[str, str] | None = None) -> Reply:
    """Returns a plain reply of status 200."""
    return Reply(response_id, (json.dumps(body).encode(),), headers=headers or {})


def event_reply(question: Question, response_id: str, events: Sequence[bytes]) -> Reply:
    """Returns a stream of server-sent events."""
    return Reply(response_id, events, content_type="text/event-stream", pause_seconds=question.pause_seconds)


def event(body: Json, name: str | None = None) -> bytes:
    """Returns one server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(body)}\n\n".encode()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool: its name, and its arguments by name."""

    name: str
    arguments: Mapping[str, str]


def call_of_first(tools: Sequence[Json]) -> ToolCall:
    """Returns a call of the first tool offered, each of its arguments `Paris`.

    Args:
        tools: Tools as OpenAI, Anthropic, Gemini or Bedrock spell them.
    """
    for offered in tools:
        tool = offered.get("function") or offered.get("toolSpec") or offered
        if "name" in tool:
            return ToolCall(str(tool["name"]), dict.fromkeys(_argument_names(tool), "Paris"))
    return ToolCall("get_weather", {"city": "Paris"})


def _argument_names(tool: Json) -> Sequence[str]:
    for key in ("parameters", "input_schema", "parametersJsonSchema", "inputSchema"):
        schema = tool.get(key)
        if schema:
            return list(schema.get("json", schema).get("properties", {}))
    return []

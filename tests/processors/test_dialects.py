"""The one table, and what it rules out when a span starts."""

import json
from functools import cache
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind

from spanbudget.exporter.replay.span_json import SpanDecoder
from spanbudget.processors.dialects import (
    FIELD_COUNT,
    LABEL_SPELLINGS,
    RULES,
    SPELLINGS,
    Field,
    may_be_llm,
    rule_for,
)
from spanbudget.processors.reading import SpanReader

DATA = Path(__file__).parents[1] / "captures" / "data"
NAMES = sorted(
    path.name.removesuffix(".jsonl")
    for path in DATA.glob("*.jsonl")
    if not path.name.endswith(".expected.jsonl")
)


@cache
def calls_of(name: str) -> list[dict]:
    """The spans of a capture that describe a call with usage, as they were written."""
    decoder, reader = SpanDecoder(), SpanReader()
    found = []
    for line in (DATA / f"{name}.jsonl").read_text().splitlines():
        raw = json.loads(line)
        for span in decoder.spans(raw):
            call = reader.read(span)
            if call is not None and call.usage.total:
                found.append(raw)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_no_span_that_ends_with_usage_is_ruled_out_at_its_start(name) -> None:
    """Whatever it starts with: nothing, all that is not usage, everything, or any one attribute alone."""
    assert calls_of(name)
    for raw in calls_of(name):
        attributes = raw["attributes"]
        plain = {key: value for key, value in attributes.items() if "usage" not in key and "token" not in key}
        foreign = {key: value for key, value in plain.items() if not key.startswith(("gen_ai.", "llm."))}
        for started in (
            None,
            {},
            plain,
            attributes,
            foreign,
            *({key: attributes[key]} for key in attributes),
        ):
            for kind in (raw["kind"], getattr(SpanKind, str(raw["kind"]), None), None):
                assert may_be_llm(raw["name"], kind, started), started


@pytest.mark.parametrize("path", sorted(DATA.glob("*.starts.json")), ids=lambda path: path.name)
def test_no_recorded_start_of_a_calls_span_is_ruled_out(path) -> None:
    scopes = {(raw["scope"]["name"], raw["name"]) for raw in calls_of(path.name.removesuffix(".starts.json"))}
    starts = json.loads(path.read_text())
    for key, attributes in starts.items():
        scope, _, span_name = key.partition(" ")
        if any(scope == one and other.startswith(span_name) for one, other in scopes):
            assert may_be_llm(span_name, SpanKind.CLIENT, dict.fromkeys(attributes, "x"))


@pytest.mark.parametrize(
    ("name", "kind", "attributes", "expected"),
    [
        ("SELECT", SpanKind.CLIENT, {"db.system": "postgresql"}, False),
        ("SELECT", SpanKind.CLIENT, {"db.system.name": "postgresql"}, False),
        ("publish", SpanKind.PRODUCER, {"messaging.system": "kafka"}, False),
        ("Get", SpanKind.CLIENT, {"rpc.system": "grpc"}, False),
        ("Bedrock Runtime.Converse", SpanKind.CLIENT, {"rpc.system": "aws-api"}, True),
        ("POST", SpanKind.CLIENT, {"http.request.method": "POST"}, False),
        ("HTTP POST", SpanKind.CLIENT, {"http.method": "POST"}, False),
        ("POST /chat", "CLIENT", {"http.request.method": "POST"}, False),
        ("chat gpt-5", SpanKind.CLIENT, {"http.request.method": "POST"}, True),
        ("POST /chat", SpanKind.SERVER, {"http.request.method": "POST"}, True),
        ("POST", SpanKind.CLIENT, {"http.request.method": "POST", "gen_ai.system": "openai"}, True),
        ("SELECT", SpanKind.CLIENT, {"db.system": "x", "llm.model_name": "y"}, True),
        ("anything", None, None, True),
        ("anything", SpanKind.INTERNAL, {"a": 1}, True),
    ],
)
def test_only_database_messaging_grpc_and_http_clients_are_ruled_out(
    name, kind, attributes, expected
) -> None:
    assert may_be_llm(name, kind, attributes) is expected


def test_no_attribute_is_spelled_for_two_fields() -> None:
    keys = [key for spellings in SPELLINGS.values() for key in spellings]
    assert len(keys) == len(set(keys))


def test_every_field_is_spelled_or_read_from_a_text() -> None:
    fields = {value for name, value in vars(Field).items() if name.isupper()}
    assert fields == set(range(FIELD_COUNT)) == set(SPELLINGS)


def test_no_attribute_is_spelled_for_two_labels() -> None:
    keys = [key for spellings in LABEL_SPELLINGS.values() for key in spellings]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("scope", sorted(RULES))
def test_every_known_scope_has_its_own_rule(scope) -> None:
    assert rule_for(scope, RULES) is RULES[scope]


def test_a_new_member_of_a_measured_family_includes_cached_tokens() -> None:
    for scope in ("openinference.instrumentation.new", "opentelemetry.instrumentation.genai.new"):
        rule = rule_for(scope, RULES)
        assert rule is not None
        assert (rule.input_includes_cache, rule.cache_read) == (True, "when_present")
    assert rule_for("acme.llm", RULES) is None

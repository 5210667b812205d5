"""`spanbudget replay`: files of spans in, calls and sums out, and what is said about broken files."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spanbudget.exporter.cli.main import main
from spanbudget.exporter.replay import files as replay_files

CAPTURES = Path(__file__).parents[1] / "captures" / "data"
NOON_NS = 1_795_435_200_000_000_000
FIELDS = [
    "trace_id", "span_id", "response_id", "provider", "model", "service_tier", "input", "cache_read",
    "cache_write", "cache_write_5m", "cache_write_1h", "output", "reasoning", "cost_usd", "price_id",
    "usage_confidence", "confidence", "reasons", "labels",
]  # fmt: skip
USAGE = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.usage.input_tokens": 900,
    "gen_ai.usage.output_tokens": 60,
    "user.id": "alice",
}
SCOPE = {"name": "opentelemetry.instrumentation.genai.openai", "version": "1.3b0"}


def captured(span_id: int = 1, trace_id: int = 0xA, attributes: dict | None = None, **more: object) -> dict:
    """A span in the capture format."""
    return {
        "name": "chat gpt-4o-mini", "kind": "CLIENT",
        "trace_id": f"{trace_id:032x}", "span_id": f"{span_id:016x}", "parent_id": None,
        "start_ns": NOON_NS, "end_ns": NOON_NS + 10**9, "status": {"code": "UNSET", "description": None},
        "attributes": USAGE if attributes is None else attributes, "events": [],
        "scope": SCOPE, "resource": {"service.name": "shop"}, **more,
    }  # fmt: skip


def any_value(value: object) -> dict:
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    return {kinds[type(value)]: str(value) if type(value) is int else value}


def pairs(attributes: dict) -> list[dict]:
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def otlp(span_id: int = 1, trace_id: int = 0xA, attributes: dict | None = None, **more: object) -> dict:
    """A span in OTLP/JSON."""
    span = {
        "traceId": f"{trace_id:032x}", "spanId": f"{span_id:016x}", "name": "chat gpt-4o-mini", "kind": 3,
        "startTimeUnixNano": str(NOON_NS), "endTimeUnixNano": str(NOON_NS + 10**9), "status": {},
        "attributes": pairs(USAGE if attributes is None else attributes), **more,
    }  # fmt: skip
    resource = {"attributes": pairs({"service.name": "shop"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": SCOPE, "spans": [span]}]}]}


def replay(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


def calls(*arguments: object) -> list[dict]:
    result = replay(*arguments, "--calls")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def write(tmp_path):
    def to(content: str | bytes, name: str = "spans.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to


GOOD = json.dumps(captured())
FORMS = {
    "capture": GOOD,
    "capture without a last newline": GOOD.rstrip(),
    "capture with Windows newlines and empty lines": f"\r\n{GOOD}\r\n\r\n",
    "OTLP in one line": json.dumps(otlp()) + "\n",
    "OTLP over several lines": json.dumps(otlp(), indent=2),
    "OTLP with snake case": json.dumps(otlp()).replace("resourceSpans", "resource_spans").replace(
        "scopeSpans", "scope_spans").replace("traceId", "trace_id").replace("spanId", "span_id").replace(
        "startTimeUnixNano", "start_time_unix_nano").replace("endTimeUnixNano", "end_time_unix_nano"),
    "a list of captures": json.dumps([captured()]),
    "a list of captures over several lines": json.dumps([captured()], indent=1),
    "gzip": gzip.compress(GOOD.encode()),
    "gzip of OTLP over several lines": gzip.compress(json.dumps(otlp(), indent=2).encode()),
    "with metrics and logs between": f'{{"resourceMetrics": []}}\n{GOOD}\n{{"resourceLogs": []}}\n{{}}\n',
}  # fmt: skip


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_every_form_of_file_gives_the_same_call(write, content) -> None:
    """900 * 0.15 + 60 * 0.60 USD per million = 0.000135 + 0.000036 = 0.000171."""
    (call,) = calls(write(content))
    assert (call["input"], call["output"], call["cost_usd"]) == (900, 60, "0.000171")


def test_formats_may_be_mixed_in_one_file_and_files_in_one_replay(write) -> None:
    first = write(f"{GOOD}\n{json.dumps(otlp(2, 0xB, {**USAGE, 'gen_ai.response.id': 'chatcmpl-2'}))}\n")
    second = write(
        gzip.compress(json.dumps(captured(3, 0xC, {**USAGE, "gen_ai.response.id": "x-3"})).encode()), "b.gz"
    )
    assert [call["trace_id"][-1] for call in calls(first, second)] == ["a", "b", "c"]


def test_a_call_has_exactly_the_fields_that_are_promised(write) -> None:
    (call,) = calls(write(GOOD))
    assert list(call) == FIELDS
    assert call == {
        "trace_id": "0000000000000000000000000000000a", "span_id": "0000000000000001",
        "response_id": "chatcmpl-1", "provider": "openai", "model": "gpt-4o-mini-2024-07-18",
        "service_tier": None,
        "input": 900, "cache_read": 0, "cache_write": 0, "cache_write_5m": 0, "cache_write_1h": 0,
        "output": 60, "reasoning": None, "cost_usd": "0.000171", "price_id": call["price_id"],
        "usage_confidence": "exact", "confidence": "exact", "reasons": [],
        "labels": {"service": "shop", "user": "alice"},
    }  # fmt: skip
    assert isinstance(call["price_id"], str)


def test_what_is_unknown_is_null_and_never_zero(write) -> None:
    silent = {key: value for key, value in USAGE.items() if "usage" not in key} | {
        "gen_ai.request.stream": True
    }
    (call,) = calls(write(json.dumps(captured(attributes=silent))))
    assert [call[name] for name in ("input", "cache_read", "output", "cost_usd", "price_id")] == [None] * 5
    assert (call["usage_confidence"], call["confidence"]) == ("unknown", "unpriced")
    assert "stream_without_usage" in call["reasons"]


BROKEN = {
    "half a line": (b'{"trace_id": "a', "not JSON"),
    "no JSON": (b"hello", "not JSON"),
    "a number": (b"17", "a JSON object is expected"),
    "another object": (b'{"a": 1}', "neither OTLP/JSON"),
    "spans that are no list": (b'{"resourceSpans": {"a": 1}}', "a list is expected"),
    "bytes that are no text": (b'{"\xff\xfe": 1}', "not JSON"),
    "a nest of ten thousand lists": (b"[" * 10_000, "not JSON"),
    "a number of ten thousand digits": (b'{"span_id": ' + b"9" * 10_000 + b"}", "not JSON"),
}


@pytest.mark.parametrize(("line", "why"), BROKEN.values(), ids=BROKEN)
def test_a_bad_line_is_told_with_its_number_and_the_rest_is_replayed(write, line, why) -> None:
    after = json.dumps(captured(2, 0xB, {**USAGE, "gen_ai.response.id": "x-2"})).encode()
    path = write(b"\n".join([GOOD.encode(), line, after]))
    result = replay(path, "--calls")
    assert result.exit_code == 2
    assert [json.loads(text)["trace_id"][-1] for text in result.stdout.splitlines()] == ["a", "b"]
    assert result.stderr.startswith(f"{path}:2: ")
    assert why in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_message_about_a_bad_line_holds_nothing_of_the_line(write) -> None:
    result = replay(write(f'{GOOD}\n{{"prompt": "my secret", oops\n'), "--calls")
    assert result.exit_code == 2
    assert "secret" not in result.output


def test_a_truncated_gzip_file_gives_what_could_be_read(write) -> None:
    lines = "\n".join(
        json.dumps(captured(n, n, {**USAGE, "gen_ai.response.id": f"x-{n}"})) for n in range(1, 400)
    )
    whole = gzip.compress(lines.encode())
    path = write(whole[: len(whole) // 2], "cut.gz")
    result = replay(path, "--calls")
    assert result.exit_code == 2
    assert 0 < len(result.stdout.splitlines()) < 399
    assert "the rest cannot be read" in result.stderr


@pytest.mark.parametrize(
    "content", [b"\x1f\x8b" + b"\x00\xff" * 50, bytes(range(256)) * 20], ids=["gzip in name only", "garbage"]
)
def test_a_file_of_garbage_is_told_and_breaks_nothing(write, content) -> None:
    path = write(content)
    result = replay(path, "--calls")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"{path}:1: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", gzip.compress(b"")], ids=["empty", "newlines", "empty gzip"]
)
def test_an_empty_file_has_no_calls_and_no_problems(write, content) -> None:
    path = write(content)
    assert calls(path) == []
    summary = json.loads(replay(path, "--format", "json").stdout)
    assert (summary["spans"], summary["calls"], summary["cost_usd"]) == (0, 0, "0")


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_missing_file_or_a_folder_is_told_before_anything_is_booked(write, tmp_path, name) -> None:
    ledger = tmp_path / "ledger.db"
    result = replay(tmp_path / name, write(GOOD), "--db", ledger)
    assert result.exit_code == 2
    assert str(tmp_path / name) in result.stderr
    assert result.stdout == ""
    assert not ledger.exists()


def test_a_line_that_is_too_long_is_skipped_and_told(write, monkeypatch) -> None:
    monkeypatch.setattr(replay_files, "LINE_MAX", 4096)
    long = json.dumps(captured(2, 0xB, {**USAGE, "note": "x" * 20_000}))
    after = json.dumps(captured(3, 0xC, {**USAGE, "gen_ai.response.id": "x-3"}))
    path = write(f"{GOOD}\n{long}\n{after}\n")
    result = replay(path, "--calls")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{path}:2: longer than")
    assert [json.loads(text)["trace_id"][-1] for text in result.stdout.splitlines()] == ["a", "c"]


ODD = {
    "NaN": float("nan"), "Infinity": float("inf"), "minus one": -1, "two to the 70": 1 << 70, "a half": 0.5,
    "a word": "many", "a list": [900], "an object": {"n": 900}, "a truth": True,
}  # fmt: skip


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_a_count_that_is_no_count_is_flagged_and_never_a_number(write, value) -> None:
    path = write(json.dumps(captured(attributes={**USAGE, "gen_ai.usage.input_tokens": value})))
    (call,) = calls(path)
    assert call["input"] is None
    assert call["usage_confidence"] == "unknown"
    assert "bad_value" in call["reasons"]
    assert json.loads(replay(path, "--format", "json").stdout)["decisions"]["rejected: bad_token_count"] == 1


@pytest.mark.parametrize("value", [900.0, "900"], ids=["a whole float", "digits"])
def test_a_count_in_another_type_is_read(write, value) -> None:
    (call,) = calls(write(json.dumps(captured(attributes={**USAGE, "gen_ai.usage.input_tokens": value}))))
    assert (call["input"], call["usage_confidence"]) == (900, "exact")


def test_otlp_values_of_every_kind_are_read_or_left_out(write) -> None:
    document = otlp()
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    nest: dict = {"stringValue": "deep"}
    for _ in range(40):
        nest = {"kvlistValue": {"values": [{"key": "k", "value": nest}]}}
    span["attributes"] += [
        {"key": "bytes", "value": {"bytesValue": "AAECAw=="}}, {"key": "nest", "value": nest},
        {"key": "empty", "value": {}}, {"key": "none"}, {"key": "new", "value": {"somethingNew": 1}},
        {"key": "list", "value": {"arrayValue": {}}}, {"key": "user.id", "value": {"bytesValue": "AAEC"}},
    ]  # fmt: skip
    assert calls(write(json.dumps(document)))[0]["input"] == 900


BAD_SPANS = {
    "no trace id": {"trace_id": None}, "a trace id that is no number": {"trace_id": "xyz"},
    "no times": {"start_ns": None, "end_ns": None}, "an unknown status": {"status": {"code": "FINE"}},
    "a status that is a word": {"status": "OK"}, "attributes that are a list": {"attributes": [1]},
    "a trace id that is too long": {"trace_id": "f" * 33}, "a negative span id": {"span_id": "-2"},
    "a parent id that is too long": {"parent_id": "f" * 17}, "a scope that is a word": {"scope": "x"},
    "events that are an object": {"events": {"a": 1}},
}  # fmt: skip


@pytest.mark.parametrize("change", BAD_SPANS.values(), ids=BAD_SPANS)
def test_a_malformed_span_costs_only_itself(write, change) -> None:
    bad = captured(2, 0xB, {**USAGE, "gen_ai.response.id": "x-2"}) | change
    result = replay(write(f"{json.dumps(bad)}\n{GOOD}\n"), "--calls")
    assert "Traceback" not in result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["trace_id"][-1] == "a"
    summary = json.loads(replay(write(f"{json.dumps(bad)}\n{GOOD}\n"), "--format", "json").stdout)
    assert summary["spans"] + summary["malformed"] == 2


def test_a_span_without_ids_or_with_a_broken_clock_is_rejected_by_reason(write) -> None:
    lines = [captured(0, 0), captured(2, 0xB, end_ns=0), captured(3, 0xC, end_ns=9 * 10**18), captured()]
    path = write("\n".join(map(json.dumps, lines)))
    summary = json.loads(replay(path, "--format", "json").stdout)
    assert summary["calls"] == 1
    assert summary["decisions"]["rejected: no_span_id"] == 1
    assert summary["decisions"]["rejected: bad_time"] == 2


def test_a_second_replay_into_the_same_ledger_changes_nothing_and_prints_the_stored_calls(tmp_path) -> None:
    capture, ledger = CAPTURES / "anthropic-native-openllmetry.jsonl", tmp_path / "ledger.db"
    first = calls(capture, "--db", ledger)
    assert first == calls(capture)
    for _ in range(2):
        assert calls(capture, "--db", ledger) == first


def test_a_second_file_adds_to_the_ledger_and_prints_only_its_own_calls(write, tmp_path) -> None:
    ledger = tmp_path / "ledger.db"
    second = json.dumps(captured(2, 0xB, {**USAGE, "gen_ai.response.id": "x-2"}))
    calls(write(GOOD), "--db", ledger)
    (call,) = calls(write(second, "b.jsonl"), "--db", ledger)
    assert call["trace_id"][-1] == "b"


def test_every_span_is_explained_in_a_line(write) -> None:
    inner = captured(2, attributes={**USAGE, "gen_ai.usage.input_tokens": 900}, parent_id=f"{1:016x}")
    app = captured(9, attributes={}, scope={"name": "app", "version": ""}, name="handle")
    outer = captured(
        1, attributes={"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-mini",
                       "llm.token_count.prompt": 900, "llm.token_count.completion": 60},
        scope={"name": "openinference.instrumentation.langchain", "version": "1"}, parent_id=f"{9:016x}",
    )  # fmt: skip
    path = write("\n".join(map(json.dumps, (inner, outer, app))))
    lines = replay(path, "--explain").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["count", "new"],
        ["merge", "ancestor"],
        ["skip", "no_call"],
    ]
    told = [json.loads(line) for line in replay(path, "--explain", "--format", "json").stdout.splitlines()]
    assert [(one["decision"], one["reason"]) for one in told] == [
        ("count", "new"), ("merge", "ancestor"), ("skip", "no_call"),
    ]  # fmt: skip
    assert told[1]["call"] == told[0]["span_id"]


def test_an_agent_that_is_taken_back_is_named_where_that_happens(write) -> None:
    agent = captured(
        1, attributes={**USAGE, "gen_ai.operation.name": "invoke_agent", "gen_ai.response.id": ""}
    )
    late = captured(2, parent_id=f"{1:016x}", end_ns=NOON_NS + 2 * 10**9)
    path = write(f"{json.dumps(agent)}\n{json.dumps(late)}\n")
    told = [json.loads(line) for line in replay(path, "--explain", "--format", "json").stdout.splitlines()]
    assert told[1]["taken_back"] == [f"{1:016x}"]
    assert len(calls(path)) == 1


def test_the_summary_as_json_adds_up(tmp_path) -> None:
    capture = CAPTURES / "genai-openai.jsonl"
    summary = json.loads(replay(capture, "--format", "json").stdout)
    each = calls(capture)
    assert summary["spans"] == len(capture.read_text().splitlines())
    assert summary["calls"] == len(each) == sum(line["calls"] for line in summary["models"])
    assert summary["unpriced"] == sum(call["cost_usd"] is None for call in each)
    decided = {
        name: n for name, n in summary["decisions"].items() if not name.startswith(("restated", "rejected"))
    }
    assert sum(decided.values()) == summary["spans"]
    for name in ("input", "cache_read", "cache_write", "output"):
        assert sum(line[name] for line in summary["models"]) == sum(call[name] or 0 for call in each)


def test_the_summary_as_a_table_names_models_reasons_and_budgets(write, tmp_path) -> None:
    config = write("budgets:\n  - {name: everything, max_cost: 10, period: monthly}\n", "budgets.yaml")
    result = replay(CAPTURES / "genai-openai.jsonl", "--config", config)
    assert result.exit_code == 0
    assert result.stderr == ""
    for word in ("gpt-5", "everything", "stream_without_usage", "counted: exact"):
        assert word in result.stdout


@pytest.mark.parametrize("more", [("--calls",), ("--explain", "--format", "json"), ("--format", "json")])
def test_standard_output_carries_nothing_but_data(write, more) -> None:
    result = replay(write(f"oops\n{GOOD}\n"), *more)
    assert result.exit_code == 2
    lines = [result.stdout] if more == ("--format", "json") else result.stdout.splitlines()
    assert [json.loads(line) for line in lines]
    assert ":1: not JSON" in result.stderr


def test_labels_come_from_the_configuration(write) -> None:
    config = write("attribution: {user: [app.customer], labels: [tenant]}\n", "budgets.yaml")
    path = write(json.dumps(captured(attributes={**USAGE, "app.customer": "bob", "tenant": "t1"})))
    (call,) = calls(path, "--config", config)
    assert call["labels"] == {"service": "shop", "tenant": "t1", "user": "bob"}

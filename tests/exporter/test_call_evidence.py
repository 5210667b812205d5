"""What advice reads of a call, on its way from a live span into the ledger: also over the spool file."""

import json
import os
import time
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from spanbudget.exporter.config import Config, parse_config
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.exporter.wiring import make_reader, open_pipeline
from spanbudget.processors.errors import ConfigurationError
from spanbudget.processors.span_processor import BudgetSpanProcessor

KEY = "0123456789abcdef0123456789abcdef"
WHISPERED = "the patient has a rash"
CAPTURES = Path(__file__).parents[1] / "captures" / "data"


def configured(folder, **ledger):
    text = json.dumps(
        {"ledger": {"url": f"sqlite:///{folder}/ledger.db", **ledger}, "advice": {"hash_key": "${HASH_KEY}"}}
    )
    return parse_config(text, "test.yaml", {"HASH_KEY": KEY})


@pytest.fixture
def started(tmp_path):
    """Starts a pipeline and a tracer on it."""
    opened = []

    def start(**ledger):
        pipeline = open_pipeline(configured(tmp_path, **ledger))
        opened.append(pipeline)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(
            BudgetSpanProcessor(pipeline, reraise=True, interactive=pipeline.interactive)
        )
        return pipeline, provider.get_tracer("opentelemetry.instrumentation.genai.openai")

    yield start
    for pipeline in opened:
        pipeline.shutdown()


def call(tracer, number=0, **attributes):
    tracer.start_span(
        "chat gpt-5",
        attributes={
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5",
            "gen_ai.request.temperature": 0.0,
            "gen_ai.response.id": f"chatcmpl-{number}",
            "gen_ai.response.finish_reasons": ("length",),
            "gen_ai.usage.input_tokens": 1_000,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.system_instructions": '[{"content": "be kind"}]',
            "gen_ai.input.messages": json.dumps([{"role": "user", "content": f"{WHISPERED} {number}"}]),
            **attributes,
        },
    ).end()


def calls_of(folder):
    ledger = SqliteLedger(folder / "ledger.db")
    found = [entry.priced.call for entry in ledger.standing(0, 1 << 62, limit=1_000)]
    ledger.close()
    return found


def check(found, count):
    assert len(found) == count
    assert {(one.finish_reason, one.deterministic, one.interactive) for one in found} == {
        ("length", True, True)
    }
    assert len({one.prompt_hash for one in found} - {None}) == count
    assert len({one.prefix_hash >> 8 for one in found}) == 1


def test_a_live_call_is_booked_with_what_surrounds_it(started, tmp_path):
    pipeline, tracer = started()
    with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
        for number in range(3):
            call(tracer, number)
    assert pipeline.flush()
    check(calls_of(tmp_path), 3)
    assert not pipeline.interactive


def test_a_full_queue_loses_none_of_it_and_keeps_no_prompt(started, tmp_path):
    """One span fits into the queue; the other 19 go through the file."""
    pipeline, tracer = started(queue_max_spans=1)
    with pipeline._work, tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
        for number in range(20):
            call(tracer, number)
        (spool,) = tmp_path.glob("*.spool")
        kept = spool.read_text(encoding="ascii")
    assert kept.count("chatcmpl-") >= 15
    assert not any(word in kept for word in (WHISPERED, "patient", "be kind", KEY))
    assert pipeline.flush()
    check(calls_of(tmp_path), 20)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_a_killed_process_left_in_the_spool_is_whole(started, tmp_path):
    """A child ends calls that its worker never books, and is killed; the next start books them."""
    child = os.fork()
    if child == 0:
        pipeline, tracer = started(queue_max_spans=1)
        with pipeline._work, tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
            for number in range(5):
                call(tracer, number)
            os.kill(os.getpid(), 9)
    assert os.waitpid(child, 0)[1] == 9
    pipeline, _ = started()
    assert pipeline.flush()
    found = calls_of(tmp_path)
    assert 3 <= len(found) <= 5  # what fitted into the queue died with the process
    check(found, len(found))


@pytest.mark.parametrize("key", ["short", "${EMPTY}", "€€€€€"])
def test_a_key_that_is_too_short_is_refused_without_showing_it(key):
    text = f"advice:\n  hash_key: '{key}'\n"
    with pytest.raises(ConfigurationError) as raised:
        parse_config(text, "a.yaml", {"EMPTY": "tiny"})
    (problem,) = raised.value.problems
    assert "hash_key must have at least 16 bytes" in problem
    assert "openssl rand" in problem
    assert not any(secret in problem for secret in ("short", "tiny", "€"))


def test_a_key_is_in_no_repr_and_opts_into_contents():
    config = configured("x")
    assert KEY not in repr(config)
    assert KEY not in str(config.model_dump())
    assert config.advice.key == KEY.encode()
    assert make_reader(config)._hashes_contents
    assert not make_reader(Config())._hashes_contents


def test_an_unknown_key_of_the_section_is_told():
    with pytest.raises(ConfigurationError, match=r"advice\.hashkey: unknown key; did you mean hash_key\?"):
        parse_config("advice: {hashkey: x}", "a.yaml")


WORDS = {"stop", "length", "tool_calls", "content_filter", "unknown", "error", None}


def test_every_emitter_that_was_captured_speaks_known_words():
    """Of every capture: finish reasons under their one name, and error types that are no sentences."""
    from spanbudget.exporter.replay.span_json import SpanDecoder  # noqa: PLC0415 - only here

    finishes, errors, reader = set(), set(), make_reader(Config())
    for path in sorted(CAPTURES.glob("*.jsonl")):
        if path.name.endswith(".expected.jsonl"):
            continue
        decoder = SpanDecoder()
        for line in path.read_text().splitlines():
            for span in decoder.spans(json.loads(line)):
                found = reader.read(span)
                if found is not None:
                    finishes.add(found.finish_reason)
                    errors.add(found.error_type)
    assert finishes <= WORDS
    assert {"stop", "tool_calls"} <= finishes
    assert not any(" " in error for error in errors if error is not None)
    assert any(error and error.endswith("RateLimitError") for error in errors)


def test_a_call_of_now_is_told_as_interactive_by_the_whole_instrumentation(tmp_path):
    """`instrument` remembers spans by itself."""
    import spanbudget  # noqa: PLC0415 - global state that this test cleans up

    provider = TracerProvider(shutdown_on_exit=False)
    pipeline = spanbudget.instrument(
        parse_config(f"ledger: {{url: 'sqlite:///{tmp_path}/ledger.db'}}", "a.yaml"), tracer_provider=provider
    )
    try:
        tracer = provider.get_tracer("opentelemetry.instrumentation.genai.openai")
        with tracer.start_as_current_span("orders process", kind=SpanKind.CONSUMER):
            call(tracer)
        assert pipeline is not None
        assert pipeline.flush()
        (found,) = calls_of(tmp_path)
        assert (found.interactive, found.prompt_hash) == (False, None)
        assert found.end_ns <= time.time_ns()
    finally:
        spanbudget.uninstrument()

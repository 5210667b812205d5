"""The pipeline with a real SDK, a real ledger file and the real price table."""

import contextlib
import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from spanbudget.exporter.config import parse_config
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.exporter.wiring import open_pipeline
from spanbudget.processors import names_out as names
from spanbudget.processors.money import PICO_PER_USD
from spanbudget.processors.span_processor import BudgetSpanProcessor

GPT_5_CALL = (1_000 * 1_250_000, 100 * 10_000_000)
"""1,000 input tokens at 1.25 USD and 100 output tokens at 10 USD per million: 0.00125 + 0.001 USD."""
COST = sum(GPT_5_CALL)


def settings(folder, **ledger):
    keys = "".join(f", {key}: {value}" for key, value in ledger.items())
    return parse_config(
        f"ledger: {{url: 'sqlite:///{folder}/ledger.db'{keys}}}\n"
        "budgets:\n"
        "  - {name: all, max_cost: 1, period: total}\n"
        "  - {name: each, per: [user], max_requests: 3, period: total}\n",
        "test.yaml",
    )


@pytest.fixture
def pipelines():
    opened = []

    def start(folder, **ledger):
        opened.append(open_pipeline(settings(folder, **ledger)))
        return opened[-1]

    yield start
    for pipeline in opened:
        pipeline.shutdown()


def tracer_of(pipeline, scope="opentelemetry.instrumentation.genai.openai"):
    provider = TracerProvider(resource=Resource({"service.name": "test"}), shutdown_on_exit=False)
    provider.add_span_processor(BudgetSpanProcessor(pipeline, reraise=True))
    return provider.get_tracer(scope, "1.3b0")


def call(tracer, number=0, **attributes):
    given = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.model": "gpt-5-2025-08-07",
        "gen_ai.response.id": f"chatcmpl-{number}",
        "gen_ai.usage.input_tokens": 1_000,
        "gen_ai.usage.output_tokens": 100,
        "user.id": f"user-{number % 2}",
        **attributes,
    }
    span = tracer.start_span("chat gpt-5", attributes=given)
    span.end()
    return span


def spent(pipeline, budget="all", child=""):
    return next(
        state.spent for state in pipeline.budget_states() if (state.budget, state.child) == (budget, child)
    )


def test_a_span_becomes_money_in_the_ledger(pipelines, tmp_path):
    """1,000 × 1.25 $/M + 100 × 10 $/M = $0.00225."""
    pipeline = pipelines(tmp_path)
    call(tracer_of(pipeline))
    assert pipeline.flush()
    assert spent(pipeline).cost == COST == 2_250_000_000
    assert COST / PICO_PER_USD == 0.00225
    assert spent(pipeline, "each", "user=user-0").requests == 1


def test_the_worker_books_without_being_asked(pipelines, tmp_path):
    pipeline = pipelines(tmp_path)
    call(tracer_of(pipeline))
    reader = SqliteLedger(tmp_path / "ledger.db")
    deadline = time.monotonic() + 20
    while not list(reader.entries()):
        assert time.monotonic() < deadline, "the worker never booked the span"
        time.sleep(0.01)
    reader.close()


def test_the_worker_imports_nothing(tmp_path):
    """A child that is forked in the middle of an import on another thread waits for that import for ever."""
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_pipeline import call, open_pipeline, settings, tracer_of\n"
        "pipeline = open_pipeline(settings(sys.argv[1]))\n"
        "tracer, before = tracer_of(pipeline), set(sys.modules)\n"
        "call(tracer)\n"
        "assert pipeline.flush() and pipeline.budget_states()[0].spent.cost\n"
        "print(*(set(sys.modules) - before))\n"
        "pipeline.shutdown()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []


def test_state_survives_a_restart(pipelines, tmp_path):
    first = pipelines(tmp_path)
    call(tracer_of(first), 1)
    first.shutdown()
    second = pipelines(tmp_path)
    call(tracer_of(second), 2)
    second.flush()
    assert spent(second).requests == 2
    assert spent(second, "each", "user=user-1").requests == 1


def test_a_span_that_another_process_counted_before_the_restart_is_not_counted_again(pipelines, tmp_path):
    """The native span arrives in a new process; the same response id, overlapping times."""
    start = time.time_ns() - 2_000_000_000
    first = pipelines(tmp_path)
    span = tracer_of(first).start_span("chat gpt-5", start_time=start, attributes=_same_call())
    span.end(start + 1_000_000_000)
    first.shutdown()
    second = pipelines(tmp_path)
    again = tracer_of(second, "my.other.scope").start_span("call", start_time=start, attributes=_same_call())
    again.end(start + 1_100_000_000)
    second.flush()
    assert spent(second).requests == 1
    assert second.health()[names.SPANS_MERGED.name, "response_id"] == 1


def _same_call():
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.id": "chatcmpl-same",
        "gen_ai.usage.input_tokens": 1_000,
        "gen_ai.usage.output_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 0,
    }


def test_a_full_queue_spills_into_the_spool_and_loses_nothing(pipelines, tmp_path):
    """Eight threads end 50 spans each while the worker is held up; ten fit into the queue."""
    pipeline = pipelines(tmp_path, queue_max_spans=10)
    tracer = tracer_of(pipeline)
    with pipeline._work:
        threads = [
            threading.Thread(target=lambda base=base: [call(tracer, base + n) for n in range(50)])
            for base in range(0, 400, 50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert pipeline.flush()
    assert spent(pipeline).requests == 400
    assert spent(pipeline).cost == 400 * COST
    health = pipeline.health()
    assert health[names.SPANS_SPOOLED.name, "queue_full"] >= 380
    assert health[names.SPANS_SEEN.name, ""] == 400


def test_spans_that_end_after_the_shutdown_are_counted_by_the_next_start(pipelines, tmp_path):
    first = pipelines(tmp_path)
    tracer = tracer_of(first)
    first.shutdown()
    call(tracer, 7)
    first._spool.close()  # as the end of the process does
    second = pipelines(tmp_path)
    second.flush()
    assert spent(second).requests == 1


def test_a_ledger_that_cannot_be_written_spools_and_recovers(pipelines, tmp_path):
    pipeline = pipelines(tmp_path)
    tracer = tracer_of(pipeline)
    call(tracer, 1)
    assert pipeline.flush()
    blocker = SqliteLedger(tmp_path / "ledger.db")
    with blocker.reading() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    blocker.close()
    ledger = pipeline._store._ledger
    with ledger.reading() as connection:
        connection.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(2, 2_002):
        call(tracer, number)
    assert not pipeline.flush()
    assert pipeline.health()[names.ENTRIES_SPOOLED.name, "ledger"] > 0
    assert pipeline.health()[names.UNFLUSHED_USD.name, ""] > 0
    assert spent(pipeline).cost == 2_001 * COST, "the last known totals go on while the ledger fails"
    with ledger.reading() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    deadline = time.monotonic() + 30
    while not pipeline.flush():
        assert time.monotonic() < deadline, "the ledger never recovered"
        time.sleep(0.05)
    assert spent(pipeline).cost == 2_001 * COST
    assert pipeline.health()[names.UNFLUSHED_USD.name, ""] == 0


@pytest.mark.parametrize(("policy", "admits"), [("deny", False), ("lease_only", False), ("allow", True)])
def test_at_the_bound_of_the_spool_the_policy_decides_and_losses_are_counted(
    pipelines, tmp_path, policy, admits, caplog
):
    """1 MiB of spool holds less than 5,000 entries of some 600 bytes."""
    pipeline = pipelines(tmp_path, spool_max_mb=1, on_store_error=policy)
    tracer = tracer_of(pipeline)
    call(tracer, 0)
    pipeline.flush()
    with pipeline._store._ledger.reading() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(1, 5_001):
        call(tracer, number)
    pipeline.flush()
    health = pipeline.health()
    lost = health[names.ENTRIES_LOST.name, policy]
    assert lost > 0
    assert health[names.ENTRIES_LOST_USD.name, policy] == lost * COST
    assert pipeline.admits() is admits
    assert "spool file is full" in caplog.text


def test_a_fault_on_one_span_loses_that_span_alone(pipelines, tmp_path, caplog):
    pipeline = pipelines(tmp_path)
    tracer = tracer_of(pipeline)
    with pipeline._work:
        call(tracer, 1)
        pipeline.observe(object())
        call(tracer, 2)
    assert pipeline.flush()
    assert spent(pipeline).requests == 2
    assert pipeline.health()[names.SPANS_LOST.name, "fault"] == 1
    assert "SpanBudget failed on a span" in caplog.text


def test_a_span_may_end_inside_the_garbage_collector_while_another_is_put_aside(pipelines, tmp_path):
    """A dropped stream ends its span when it is collected, which may be anywhere: also in our own code."""

    class Dropped:
        def __init__(self, tracer):
            self.tracer = tracer
            self.me = self

        def __del__(self):
            call(self.tracer, 99)

    pipeline = pipelines(tmp_path, queue_max_spans=1)
    tracer = tracer_of(pipeline)
    spool_append = pipeline._spool.append

    def append(record):
        Dropped(tracer)
        gc.collect()
        return spool_append(record)

    with pipeline._work:
        pipeline._spool.append = append
        call(tracer, 1)
        call(tracer, 2)
    pipeline._spool.append = spool_append
    assert pipeline.flush()
    assert spent(pipeline).requests == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_counts_its_own_spans_and_not_its_parents(pipelines, tmp_path):
    pipeline = pipelines(tmp_path)
    tracer = tracer_of(pipeline)
    with pipeline._work:
        call(tracer, 1)
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                pipeline.after_fork()
                call(tracer, 2)
                status = 0 if pipeline.flush() else 2
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert pipeline.flush()
    assert spent(pipeline).requests == 2


def test_a_new_budget_begins_with_what_its_window_has_cost(pipelines, tmp_path):
    first = pipelines(tmp_path)
    for number in range(3):
        call(tracer_of(first), number)
    first.shutdown()
    more = parse_config(
        f"ledger: {{url: 'sqlite:///{tmp_path}/ledger.db'}}\n"
        "budgets:\n"
        "  - {name: all, max_cost: 9, period: total}\n"
        "  - {name: late, match: {user: [user-0]}, max_cost: 1, period: monthly}\n"
        "  - {name: day, max_tokens: 10000, period: {rolling: 24h}}\n",
        "test.yaml",
    )
    second = open_pipeline(more)
    try:
        assert spent(second, "late").cost == 2 * COST
        assert spent(second, "all").requests == 3
        assert spent(second, "day").tokens == 3_300
    finally:
        second.shutdown()
    third = open_pipeline(more)
    try:
        assert spent(third, "late").cost == 2 * COST, "counted once, not at every start"
    finally:
        third.shutdown()


def test_the_charge_belongs_to_the_first_span_of_a_call(pipelines, tmp_path):
    pipeline = pipelines(tmp_path)
    around = tracer_of(pipeline, "opentelemetry.instrumentation.openai.v1").start_span("chat gpt-5")
    inner = call(tracer_of(pipeline), 5)
    around.set_attributes(inner.attributes)
    around.end()
    native, wrapper = inner.get_span_context(), around.get_span_context()
    assert pipeline.charge(native.trace_id, native.span_id, wait_seconds=20).cost == COST
    assert pipeline.charge(wrapper.trace_id, wrapper.span_id) is None


def test_nothing_that_an_application_writes_into_prompts_reaches_the_ledger(pipelines, tmp_path):
    pipeline = pipelines(tmp_path, queue_max_spans=1)
    tracer = tracer_of(pipeline)
    with pipeline._work:
        for number in range(3):
            call(tracer, number, **{"gen_ai.input.messages": "SECRET-PROMPT", "input.value": "SECRET-PROMPT"})
        files = [path.read_bytes() for path in tmp_path.iterdir()]
        assert not any(b"SECRET-PROMPT" in content for content in files)
    pipeline.flush()
    pipeline.shutdown()
    assert not any(b"SECRET-PROMPT" in path.read_bytes() for path in tmp_path.iterdir())

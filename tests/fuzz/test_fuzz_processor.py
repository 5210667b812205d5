"""The real processor on the SDK's own provider: no fault reaches the application."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nasty import (
    KEYS,
    NOW_NS,
    SCOPES,
    attributes,
    check_priced,
    counts,
    sdk_span,
    spans,
    texts,
    times,
    values,
)
from opentelemetry.sdk.trace import TracerProvider

from spanbudget.exporter.config import parse_config
from spanbudget.exporter.pipeline import Pipeline
from spanbudget.exporter.wiring import open_pipeline
from spanbudget.processors import names_out as names
from spanbudget.processors.span_processor import BudgetSpanProcessor

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)
CONFIG = """\
ledger: {{url: "sqlite:///{folder}/ledger.db", retention_days: 36500}}
metrics: {{exporter: none}}
budgets:
  - {{name: everything, max_cost: 1000, period: total}}
  - {{name: per-user, per: [user], max_cost: 5, period: daily}}
"""


class Application:
    """A provider with the processor on it; each fault of ours is raised where the application sees it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.processor = BudgetSpanProcessor(pipeline, ["user.id"], reraise=True)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.processor)

    def check(self) -> None:
        """Every span is accounted for, none was lost to a fault, and no total is negative."""
        assert self.pipeline.flush()
        assert self.processor.failures == 0
        health = self.pipeline.health()
        assert health.get((names.SPANS_LOST.name, "fault"), 0) == 0
        assert health.get((names.LEDGER_ERRORS.name, "LedgerError"), 0) == 0
        told = (names.SPANS_COUNTED.name, names.SPANS_MERGED.name, names.SPANS_SKIPPED.name)
        assert (
            sum(count for (name, _), count in health.items() if name in told)
            == health[names.SPANS_SEEN.name, ""]
        )
        assert min(health.values()) >= 0
        for state in self.pipeline.budget_states():
            assert min(state.spent.cost, state.spent.tokens, state.spent.requests, state.spent.unpriced) >= 0
        for _, total in self.pipeline.series():
            assert min(total[:6]) >= 0


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    logging.getLogger("opentelemetry").setLevel(
        logging.CRITICAL
    )  # it warns of each attribute that it refuses
    folder = tmp_path_factory.mktemp("fuzz")
    pipeline = open_pipeline(parse_config(CONFIG.format(folder=folder), "fuzz"))
    made = Application(pipeline)
    yield made
    made.provider.shutdown()
    logging.getLogger("opentelemetry").setLevel(logging.NOTSET)


@given(st.lists(spans, max_size=8))
@settings(suppress_health_check=SLOW)
def test_any_finished_span_is_taken(application, records):
    for record in records:
        application.processor.on_end(sdk_span(record))
    application.check()
    for record in records:
        priced = application.pipeline.charge(record.trace_id, record.span_id)
        if priced is not None:
            check_priced(priced)


@given(st.sampled_from(SCOPES), texts, attributes, st.sampled_from(KEYS), values | counts, times, times)
@settings(suppress_health_check=SLOW)
def test_any_span_of_the_sdk_is_taken(
    application, scope, name, given_attributes, key, value, start_ns, end_ns
):
    tracer = application.provider.get_tracer(scope or "app")
    span = tracer.start_span(name, attributes=given_attributes, start_time=start_ns)
    span.set_attribute(key, value)
    span.record_exception(ValueError(name))
    span.end(end_ns)
    application.check()


@given(st.lists(spans, min_size=2, max_size=6))
@settings(suppress_health_check=SLOW)
def test_a_span_that_changes_while_it_waits_harms_nothing(application, records):
    """Two spans may share a dict, and an application may go on changing it."""
    shared = dict(records[0].attributes)
    for record in records:
        span = sdk_span(record)
        span._attributes = shared
        application.processor.on_end(span)
        shared["gen_ai.usage.input_tokens"] = NOW_NS
    application.check()

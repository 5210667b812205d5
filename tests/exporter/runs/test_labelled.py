"""In a process of a run every call has the run's label, and no fault of ours lets one pass."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.config import parse_config
from spanbudget.exporter.pipeline import Pipeline
from spanbudget.exporter.runs.labelled import RunAttribution
from spanbudget.exporter.runs.notes import Notes
from spanbudget.exporter.wiring import open_pipeline
from spanbudget.processors.errors import BudgetExceeded


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    monkeypatch.setenv("SPANBUDGET_RUN", str(tmp_path))
    monkeypatch.setenv("SPANBUDGET_RUN_LABEL", "run/1")
    budget = "{name: run, match: {spanbudget.run: run/1}, max_cost: 1, hard_limit: true}"
    opened = open_pipeline(
        parse_config(f"{{ledger: {{url: 'sqlite:///{tmp_path}/l.db'}}, budgets: [{budget}]}}", "t")
    )
    yield opened
    opened.shutdown()


def engine(pipeline: Pipeline) -> Any:
    admission: Any = pipeline.admission
    return admission.engine


def test_a_call_has_the_label_and_so_the_budget(pipeline: Pipeline) -> None:
    reservation = engine(pipeline).reserve(CallRequest(cost=10**11))
    assert ("spanbudget.run", "run/1") in reservation.route.labels
    assert [budget.name for budget in reservation.route.budgets] == ["run"]
    reservation.release()


def test_a_refusal_is_noted(pipeline: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(BudgetExceeded):
        engine(pipeline).reserve(CallRequest(cost=2 * 10**12))
    with pytest.raises(BudgetExceeded):
        asyncio.run(engine(pipeline).reserve_async(CallRequest(cost=2 * 10**12)))
    assert [(note["budget"], note["reason"]) for note in Notes(tmp_path).read()] == [("run", "too_large")] * 2


def test_a_fault_of_ours_refuses_the_call(pipeline: Pipeline, tmp_path: Path) -> None:
    wrong = CallRequest(model="gpt-4o", input_tokens=cast("int", "many"), max_tokens=1)
    with pytest.raises(BudgetExceeded, match="a call without a cap is not made") as caught:
        engine(pipeline).reserve(wrong)
    assert caught.value.reason == "fault"
    assert [note["reason"] for note in Notes(tmp_path).read()] == ["fault"]


def test_what_a_span_says_of_the_run_is_not_believed() -> None:
    attribution = RunAttribution("run/1", {}, ["spanbudget.run"])
    assert attribution.labels_of({"spanbudget.run": "other/2"}, {}) == (("spanbudget.run", "run/1"),)

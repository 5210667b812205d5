"""What a suggestion says: its figures, how it is done, where it is, and which calls show it."""

from collections.abc import Callable

import pytest
from planted_calls import SINCE, UNTIL, PlantedPrices, table
from planted_waste import PLANTS, Plant, plant_batch, plant_duplicates, plant_flex

from spanbudget.processors.money import display_usd
from spanbudget.rules.advice.advise import advise
from spanbudget.rules.advice.settings import Settings
from spanbudget.rules.advice.suggestion import Suggestion


def first(planted: Plant, **changes: str | None) -> Suggestion:
    frame = table(planted.rows).assign(**changes)
    return advise(frame, PlantedPrices(), Settings(evidence=3), since_ns=SINCE, until_ns=UNTIL).suggestions[0]


@pytest.mark.parametrize("plant", PLANTS)
def test_every_suggestion_tells_its_figures_and_what_to_do(plant: Callable[[int], Plant]) -> None:
    planted = plant(1)
    one = first(planted)
    rows = {(row["trace_id"], row["span_id"]): row for row in planted.rows}
    assert f"{one.calls:,}" in one.explanation
    assert "$" in one.explanation
    assert one.how
    assert "None" not in f"{one.title} {one.explanation} {one.how} {dict(one.group)}"
    assert len(one.evidence) == 3
    assert one.group["service"] == planted.rows[0]["label.service"]
    assert one.group["provider"] == rows[one.evidence[0]]["provider"]


def test_the_evidence_is_what_saves_most() -> None:
    planted = plant_batch(1)
    dearest = sorted(planted.rows, key=lambda row: -row["cost"])[:3]
    assert set(first(planted).evidence) == {(row["trace_id"], row["span_id"]) for row in dearest}


def test_the_explanation_has_the_cost_before_and_after() -> None:
    planted = plant_flex(1)
    spent = sum(row["cost"] for row in planted.rows)
    text = first(planted).explanation
    assert f"cost {display_usd(spent)}" in text
    assert f"have cost {display_usd(spent - planted.pico)}" in text


@pytest.mark.parametrize("unknown", ["provider", "model"])
def test_an_unknown_provider_or_model_is_left_out(unknown: str) -> None:
    one = first(plant_duplicates(1), **{unknown: None})
    assert unknown not in one.group
    assert "None" not in one.explanation + one.how

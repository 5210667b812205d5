import numpy as np
import pytest
from planted_calls import SINCE, UNTIL, Caller, PlantedPrices, healthy, table
from planted_waste import plant_failures, plant_flex

from spanbudget.processors.errors import AmountError
from spanbudget.rules.advice.advise import advise
from spanbudget.rules.advice.efficiency import efficiency
from spanbudget.rules.advice.settings import Settings


def test_the_score_is_the_needed_share_of_the_money_times_the_success_rate() -> None:
    flex, failed = plant_flex(1), plant_failures(1)
    rows = flex.rows + failed.rows
    frame = table(rows)
    advice = advise(frame, PlantedPrices(), Settings(), since_ns=SINCE, until_ns=UNTIL)
    (score,) = efficiency(frame, advice.avoidable)
    spent = sum(row["cost"] for row in rows)
    assert (score.spent_pico, score.avoidable_pico) == (spent, flex.pico + failed.pico)
    assert (score.calls, score.failed) == (210, 60)
    assert score.score == pytest.approx(100 * (1 - (flex.pico + failed.pico) / spent) * 150 / 210)
    assert score.group == {}


def test_hypotheses_lower_no_score() -> None:
    make = Caller(1, "labels", "labels")
    rows = [make.call(at, "anthropic", "big", input=500, output=9) for at in make.anywhere(100)]
    frame = table(rows)
    advice = advise(frame, PlantedPrices(), Settings(), since_ns=SINCE, until_ns=UNTIL)
    assert [one.kind for one in advice.suggestions] == ["cheaper_model"]
    assert efficiency(frame, advice.avoidable)[0].score == 100.0


def test_each_user_and_model_has_a_score_and_their_money_adds_up() -> None:
    rows = healthy(1) + plant_flex(1).rows + plant_failures(1).rows
    rows[0] = rows[0] | {"label.user": None}
    frame = table(rows)
    advice = advise(frame, PlantedPrices(), Settings(), since_ns=SINCE, until_ns=UNTIL)
    (whole,) = efficiency(frame, advice.avoidable)
    for by in (["model"], ["label.user"], ["model", "label.user"]):
        scores = efficiency(frame, advice.avoidable, by)
        assert sum(score.spent_pico for score in scores) == whole.spent_pico == advice.spent_pico
        assert sum(score.avoidable_pico for score in scores) == whole.avoidable_pico
        assert sum(score.calls for score in scores) == whole.calls
        assert [score.spent_pico for score in scores] == sorted(
            (score.spent_pico for score in scores), reverse=True
        )
    users = {score.group["label.user"] for score in efficiency(frame, advice.avoidable, ["label.user"])}
    assert users == {"ann", "bob", "eve", None}


def test_a_part_of_the_calls_can_be_scored() -> None:
    frame = table(healthy(1) + plant_flex(1).rows)
    advice = advise(frame, PlantedPrices(), Settings(), since_ns=SINCE, until_ns=UNTIL)
    chosen = (frame["model"] == "gpt").to_numpy()
    (part,) = efficiency(frame[chosen], advice.avoidable[chosen])
    named = {score.group["model"]: score for score in efficiency(frame, advice.avoidable, ["model"])}
    assert part.score == named["gpt"].score
    assert part.avoidable_pico == plant_flex(1).pico


def test_a_column_that_no_call_has_is_one_group() -> None:
    frame = table(healthy(1)[:5])
    (score,) = efficiency(frame, np.zeros(5, dtype=np.int64), ["label.team"])
    assert score.group == {"label.team": None}


def test_amounts_of_other_calls_are_refused() -> None:
    frame = table(healthy(1)[:5])
    with pytest.raises(AmountError, match="avoidable has 4 amounts for 5 calls"):
        efficiency(frame, np.zeros(4, dtype=np.int64))
    with pytest.raises(AmountError, match="cannot score by cost, team"):
        efficiency(frame, np.zeros(5, dtype=np.int64), ["cost", "model", "team"])

"""Exit codes and words at the end of a run."""

import io
from collections import Counter
from typing import Any

import pytest
from rich.console import Console

from spanbudget.exporter.replay.report import ModelSummary
from spanbudget.exporter.runs.outcome import Outcome, Spending, processes_of, refusals_of
from spanbudget.exporter.runs.outcome_text import outcome_json, print_outcome
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.budgets import Budget, BudgetBook
from spanbudget.processors.ledger import Spend
from spanbudget.processors.periods import Period
from spanbudget.processors.selectors import Selector

USD = 10**12


def state(spent: int = 1 * USD, reserved: int = 0) -> BudgetState:
    budget = Budget(
        name="run", selector=Selector(), max_cost=2 * USD, period=Period("total"), hard_limit=True
    )
    return BudgetBook([budget]).state("run", "", Spend(spent, 10, 1), 10**18, reserved=reserved)


def an_outcome(**changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "command": ("python", "my agent.py"),
        "program_code": 0,
        "seconds": 1.25,
        "spending": Spending(
            state(), [ModelSummary("openai", "gpt-4o", 1, 1, input=8, output=2, cost=1 * USD)]
        ),
        "refusals": refusals_of([]),
        "capped": 1,
        "uncapped": Counter(),
        "ledger": None,
    }
    return Outcome(**values | changes)


def words(outcome: Outcome) -> str:
    out = io.StringIO()
    print_outcome(Console(file=out, width=160), outcome)
    return out.getvalue()


REFUSED = refusals_of([{"refusal": 1, "budget": "run", "reason": "limit", "message": "no money"}])


@pytest.mark.parametrize(
    ("code", "refused", "expected"),
    [
        (0, False, 0),
        (3, False, 3),
        (0, True, 0),  # it has coped
        (1, True, 4),
        (-9, False, 137),
        (-2, True, 130),  # somebody has interrupted it
    ],
)
def test_the_exit_code_is_4_where_the_budget_stopped_the_program(
    code: int, expected: int, *, refused: bool
) -> None:
    outcome = an_outcome(program_code=code, refusals=REFUSED if refused else refusals_of([]))
    assert outcome.exit_code == expected


def test_the_cost_by_model_the_cap_and_what_is_left_are_told() -> None:
    text = words(an_outcome())
    assert "python 'my agent.py', 1.2 s, exit 0" in text
    assert "Cap $2.00, spent $1.00, left $1.00" in text
    assert "openai" in text
    assert "Not exact" not in text


def test_what_is_not_exact_is_flagged() -> None:
    doubtful = ModelSummary("openai", "new", 3, 0, 2, 1, unpriced=1)
    text = words(an_outcome(spending=Spending(state(), [doubtful])))
    assert "2 estimated, 1 unknown usage, 1 unpriced" in text


def test_more_than_the_cap_is_told_as_such() -> None:
    text = words(an_outcome(spending=Spending(state(3 * USD), [])))
    assert "$1.00 over" in text
    assert "No call of a language model was seen." in text


def test_money_in_flight_is_told() -> None:
    spending = Spending(state(1 * USD, USD // 2), [])
    assert "left $0.50, $0.50 held by calls that have not ended" in words(an_outcome(spending=spending))
    assert outcome_json(an_outcome(spending=spending))["budget"]["left_usd"] == "0.5"


def test_refusals_are_told_with_the_reason_of_the_last() -> None:
    text = words(an_outcome(program_code=1, refusals=REFUSED))
    assert "stopped by its budget" in text
    assert "1 call was refused; the last: no money" in text


def test_a_program_without_python_is_told_to_be_uncapped() -> None:
    assert "Nothing was capped" in words(an_outcome(capped=0))
    assert "Nothing was capped" not in words(an_outcome())


def test_processes_are_counted_once_each() -> None:
    notes = [
        {"process": 1, "executable": "/a", "capped": True},
        {"process": 1, "executable": "/a", "capped": True},  # it has replaced itself by exec
        {"process": 2, "executable": "/b", "capped": False},
        {"refusal": 1, "budget": "run", "reason": "limit", "message": ""},
    ]
    assert processes_of(notes) == (1, Counter({"/b": 1}))

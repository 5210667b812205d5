"""Managers on a real SQLite ledger, and prices that are easy to add up."""

from collections.abc import Callable, Iterator

import pytest
from ready_ledger import put_ledger

from spanbudget import BudgetManager
from spanbudget.exporter.config import parse_config

PRICES = "prices: [{provider: openai, model: m, input: 1, output: 10}]\n"
"""One token of a prompt is 1,000,000 pico-USD, one of an answer 10,000,000."""


@pytest.fixture
def opened(tmp_path) -> Iterator[Callable[..., BudgetManager]]:
    """Makes managers on `ledger.db` from the text of `budgets:` and of `ledger:`."""
    made: list[BudgetManager] = []
    put_ledger(tmp_path / "ledger.db")

    def new(budgets: str = "[]", ledger: str = "", more: str = "") -> BudgetManager:
        text = (
            f"ledger: {{url: 'sqlite:///{tmp_path}/ledger.db'{ledger}}}\n{PRICES}{more}\nbudgets: {budgets}\n"
        )
        made.append(BudgetManager(config=parse_config(text, "test")))
        return made[-1]

    yield new
    for manager in made:
        manager.close()

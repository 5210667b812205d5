"""The guard with the real admission, a real ledger and real SDKs."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import openai
from recording import Recording, config_for

from spanbudget.exporter.admission.context import inside
from spanbudget.exporter.config import parse_config
from spanbudget.exporter.demo.provider import FakeProvider
from spanbudget.exporter.guard.install import install
from spanbudget.exporter.manager import BudgetManager
from spanbudget.processors.errors import BudgetExceeded
from spanbudget.processors.money import usd_to_pico

LIMIT = Decimal("0.02")
CALL = Decimal("0.0008725")
"""137 tokens of input at 2.50 USD and 53 of output at 10 USD per million: 0.0003425 + 0.00053."""


def ask(client: openai.OpenAI, *, stream: bool) -> None:
    found = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "scenario:plain"}],
        max_completion_tokens=100,
        stream=stream,
    )
    if isinstance(found, openai.Stream):
        list(found)


def ask_until_refused(client: openai.OpenAI, *, stream: bool = False) -> openai.APIStatusError:
    try:
        while True:
            ask(client, stream=stream)
    except openai.APIStatusError as error:
        return error


def test_a_hard_limit_holds_under_threads(provider: FakeProvider, tmp_path: Path) -> None:
    """What four threads spend together is never more than the limit."""
    config = parse_config(
        f"ledger: {{url: 'sqlite:///{tmp_path}/b.db'}}\n"
        f"budgets: [{{name: team, max_cost: {LIMIT}, period: total, hard_limit: true}}]",
        "budgets.yaml",
    )

    def work(number: int) -> openai.APIStatusError:
        with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
            return ask_until_refused(client, stream=number % 2 == 0)

    with BudgetManager(config=config) as manager:
        guard = install(manager._keeper.engine, config_for(provider.url))
        with ThreadPoolExecutor(4) as pool:
            refusals = list(pool.map(work, range(4)))
        assert manager.flush()
        state = manager.state("team")

    calls = len(provider.answered)
    assert CALL * calls <= LIMIT
    assert state.spent.cost == usd_to_pico(CALL * calls)
    assert state.spent.requests == calls
    assert state.reserved == 0
    assert {error.status_code for error in refusals} == {402}
    assert all(isinstance(error.__cause__, BudgetExceeded) for error in refusals)
    assert (guard.refused, guard.faults) == (4, 0)


def test_the_last_of_the_budget_can_be_used(provider: FakeProvider, tmp_path: Path) -> None:
    """The worst case of a call is below 0.0015 USD: 0.02 - 0.0015 pays for 21 calls of 0.0008725."""
    config = parse_config(
        f"ledger: {{url: 'sqlite:///{tmp_path}/b.db'}}\n"
        f"budgets: [{{name: team, max_cost: {LIMIT}, period: total, hard_limit: true}}]",
        "budgets.yaml",
    )
    with (
        BudgetManager(config=config) as manager,
        openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k") as client,
    ):
        install(manager._keeper.engine, config_for(provider.url))
        ask_until_refused(client)

    assert len(provider.answered) >= 21


def test_a_call_that_the_application_has_reserved_is_left_to_it(provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))
    with (
        openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k") as client,
        inside(object()),  # type: ignore[arg-type]
    ):
        ask(client, stream=False)

    assert recording.held == []

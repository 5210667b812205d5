"""A call that the guard, a span and a reservation describe is counted once, at what the provider bills."""

import contextlib
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from guarded import (
    ASKS,
    GPT,
    HAIKU,
    World,
    asks,
    bill_of,
    chat,
    chat_stream,
    embed,
    message,
    message_stream,
    message_stream_manager,
    respond,
    respond_stream,
    world,
)
from openinference.instrumentation import using_attributes
from opentelemetry import baggage, context

from spanbudget import BudgetExceeded, BudgetManager, Usage, budget_context
from spanbudget.exporter import instrument as home
from spanbudget.exporter.prometheus import PrometheusEndpoint
from spanbudget.processors.money import usd_to_pico
from spanbudget.processors.names_out import HELD_PRICE

TINY = "[{name: all, max_cost: 0.000001, period: total, hard_limit: true}]"
TOLD = usd_to_pico(Decimal("0.01"))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANBUDGET_RERAISE", "1")
    monkeypatch.setenv("SSL_CERT_DIR", str(Path(__file__).parent))  # no client here needs certificates


@pytest.fixture(params=[True, False], ids=["instrumented", "plain"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, instrumented=request.param) as opened:
        yield opened


EACH = pytest.mark.parametrize("ask", ASKS, ids=lambda ask: ask.__name__)


def assert_exact(here: World) -> None:
    """The ledger has one call for each request, with its tokens and its cost, in all budgets alike."""
    found = here.compared()
    assert (found.wrong, found.missing, found.surplus) == ([], [], [])
    assert found.calls == found.equal == len(here.answered)
    assert found.cost == bill_of(here.billed)
    for budget in ("all", "desk"):  # the second one matches by `service.name`
        assert here.spent(budget)[:2] == (found.cost, found.calls)


@EACH
def test_every_kind_of_call_is_counted_once(here: World, ask: Callable[[World], None]) -> None:
    ask(here)
    assert_exact(here)


@EACH
def test_a_span_may_come_late(tmp_path: Path, ask: Callable[[World], None]) -> None:
    with world(tmp_path, late_seconds=0.05) as here:
        ask(here)
        assert_exact(here)


def test_calls_inside_other_spans_are_counted_once(here: World) -> None:
    tracer = here.tracers.get_tracer("app")
    with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
        for ask in (chat, chat, message, embed, embed, respond_stream):
            ask(here)
    assert_exact(here)


def test_threads_with_the_same_tokens_are_kept_apart(here: World) -> None:
    """Embeddings have no id of the answer, and all have the same tokens."""

    def work(number: int) -> None:
        if number % 2:
            here.gpt.embeddings.create(model="text-embedding-3-small", input="scenario:embeddings")
        else:
            here.claude.messages.create(**HAIKU, messages=asks("plain"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(24)))
    assert_exact(here)


def test_an_aborted_chat_is_counted_once_at_what_was_held(here: World) -> None:
    """500 tokens of output at 10 USD per million are held, and a little for the prompt."""
    chunks = here.gpt.chat.completions.create(**GPT, messages=asks("stream_abort"), stream=True)
    next(iter(chunks))
    chunks.close()

    (call,) = here.calls()
    assert (call.price_id, call.confidence) == (HELD_PRICE, "estimated")
    assert call.cost is not None
    assert usd_to_pico(Decimal("0.005")) <= call.cost <= usd_to_pico(Decimal("0.006"))
    assert here.spent("all")[:2] == (call.cost, 1)


def test_an_aborted_message_is_counted_once_with_the_prompt_that_was_told(here: World) -> None:
    with here.claude.messages.stream(**HAIKU, messages=asks("stream_abort")) as events:
        next(iter(events))

    (call,) = here.calls()
    assert call.call.usage[:2] == (347, 2176)
    assert call.confidence == "estimated"
    assert here.spent("all")[:2] == (call.cost, 1)


def test_a_try_that_timed_out_is_an_estimate_and_the_next_one_is_exact(here: World) -> None:
    real = httpx2.HTTPTransport()
    tries: list[httpx2.Request] = []

    class Unsteady(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            tries.append(request)
            if len(tries) == 1:
                raise httpx2.ReadTimeout("slow", request=request)
            return real.handle_request(request)

    with httpx2.Client(transport=Unsteady()) as http, real:
        client = here.gpt.with_options(max_retries=1, http_client=http)
        client.chat.completions.create(**GPT, messages=asks("plain"))

    calls = sorted(here.calls(), key=lambda call: call.confidence)
    assert [(call.confidence, call.call.failed) for call in calls] == [("estimated", True), ("exact", False)]
    assert calls[1].cost == bill_of(here.billed)


@pytest.mark.parametrize("instrumented", [True, False])
def test_a_refused_call_costs_nothing(tmp_path: Path, *, instrumented: bool) -> None:
    """The error span is a counted request that is not billed; the guard books nothing."""
    prometheus = "{exporter: prometheus, prometheus: {port: 0}}"
    with world(tmp_path, instrumented=instrumented, budgets=TINY, metrics=prometheus) as here:
        for ask in (chat, chat_stream, embed, respond, message, message_stream_manager):
            errors: Any = (openai.APIStatusError, anthropic.APIStatusError)
            with pytest.raises(errors) as refused:
                ask(here)
            assert refused.value.status_code == 402
            assert isinstance(refused.value.__cause__, BudgetExceeded)

        assert here.answered == ()
        calls = here.calls()
        assert len(calls) == (6 if instrumented else 0)
        assert {(call.cost, call.price_id, call.call.failed) for call in calls} <= {(0, "not_billed", True)}
        assert here.spent("all") == (0, len(calls), 0)
        lines = scraped()
        assert "spanbudget_guard_refused_total 6.0" in lines
        assert {"spanbudget_guard_faults_total 0.0", "spanbudget_guard_unread_total 0.0"} <= lines


def scraped() -> set[str]:
    running = home._process.running
    assert running is not None
    assert isinstance(running.outlet, PrometheusEndpoint)
    with urllib.request.urlopen(f"http://127.0.0.1:{running.outlet.port}/metrics", timeout=10) as answer:
        return set(answer.read().decode().splitlines())


def test_a_call_that_the_provider_refuses_costs_nothing(here: World) -> None:
    with pytest.raises(openai.InternalServerError):
        here.gpt.chat.completions.create(**GPT, messages=asks("err500"))
    with pytest.raises(anthropic.APIStatusError):
        here.claude.messages.create(**HAIKU, messages=asks("err529"))
    assert {call.cost for call in here.calls()} <= {0}
    assert here.spent("all")[0] == 0


# Whose money it is.


def test_the_user_of_a_span_pays_for_a_call_that_the_guard_has_settled(tmp_path: Path) -> None:
    """The guard does not know the user, and comes first; the span restates the call."""
    with world(tmp_path) as here:
        with using_attributes(user_id="alice"):
            message(here)
        assert_exact(here)
        assert here.spent("per-user", "user=alice")[:2] == (bill_of(here.billed), 1)


@pytest.mark.parametrize("ask", [chat, message_stream, embed], ids=lambda ask: ask.__name__)
def test_the_user_of_the_context_pays(here: World, ask: Callable[[World], None]) -> None:
    token = context.attach(baggage.set_baggage("user.id", "alice"))
    try:
        ask(here)
    finally:
        context.detach(token)
    with budget_context(user="bob"):
        ask(here)
    assert_exact(here)
    for user in ("alice", "bob"):
        assert here.spent("per-user", f"user={user}")[:2] == (bill_of(here.billed[:1]), 1)


def test_a_budget_of_one_service_refuses_its_calls(tmp_path: Path) -> None:
    budgets = "[{name: desk, match: {service.name: desk}, max_cost: 0.000001, hard_limit: true}]"
    with (
        world(tmp_path, instrumented=False, budgets=budgets) as here,
        pytest.raises(openai.APIStatusError, match="desk"),
    ):
        chat(here)


# The application's own reservations.


@pytest.fixture
def manager(here: World) -> Iterator[BudgetManager]:
    with BudgetManager(config=here.config) as opened:
        yield opened


def gpt_once(here: World) -> None:
    here.gpt.chat.completions.create(**GPT, messages=asks("plain"))


def claude_once(here: World) -> None:
    here.claude.messages.create(**HAIKU, messages=asks("plain"))


ONCE = pytest.mark.parametrize("ask", [gpt_once, claude_once], ids=lambda ask: ask.__name__)
BLOCK = pytest.mark.parametrize("block", [True, False], ids=["guard", "reserve"])
OUTER = pytest.mark.parametrize("outer", [True, False], ids=["in_span", "root"])
USAGES = {gpt_once: Usage(input=137, cache_read=0, output=53), claude_once: Usage(input=219, output=84)}
MODELS = {
    gpt_once: {"model": "gpt-4o", "provider": "openai"},
    claude_once: {"model": "claude-haiku-4-5", "provider": "anthropic"},
}


@contextlib.contextmanager
def reserved(here: World, manager: BudgetManager, *, block: bool, outer: bool, **known: Any) -> Iterator[Any]:
    span = here.tracers.get_tracer("app").start_as_current_span("o") if outer else contextlib.nullcontext()
    with span:
        if block:
            with manager.guard(**known) as reservation:
                yield reservation
        else:
            reservation = manager.reserve(**known)
            yield reservation
            if reservation.state == "open":
                reservation.settle()


@ONCE
@BLOCK
@OUTER
@pytest.mark.parametrize("booked", [True, False], ids=["booked", "at_once"])
def test_a_cost_that_the_application_tells_is_the_cost(
    here: World, manager: BudgetManager, ask: Any, *, block: bool, outer: bool, booked: bool
) -> None:
    with reserved(here, manager, block=block, outer=outer, cost="0.5") as reservation:
        ask(here)
        if booked:
            assert manager.flush()
        reservation.settle(cost="0.01")
    assert [call.cost for call in here.calls()] == [TOLD]
    assert here.spent("all")[:2] == (TOLD, 1)


@ONCE
@BLOCK
@OUTER
def test_a_usage_that_the_application_gives_is_counted_once(
    here: World, manager: BudgetManager, ask: Any, *, block: bool, outer: bool
) -> None:
    known = {**MODELS[ask], "input_tokens": 500, "max_tokens": 100}
    with reserved(here, manager, block=block, outer=outer, **known) as reservation:
        ask(here)
        reservation.settle(usage=USAGES[ask])
    assert [call.cost for call in here.calls()] == [bill_of(here.billed)]


@ONCE
@BLOCK
@OUTER
def test_a_span_tells_what_the_application_does_not(
    here: World, manager: BudgetManager, request: Any, ask: Any, *, block: bool, outer: bool
) -> None:
    """Without a span nobody knows, and what was held is charged."""
    with reserved(here, manager, block=block, outer=outer, cost="0.5"):
        ask(here)
    instrumented = "instrumented" in request.node.name
    expected = bill_of(here.billed) if instrumented else usd_to_pico(Decimal("0.5"))
    assert [call.cost for call in here.calls()] == [expected]


def test_a_span_that_is_no_call_does_not_make_a_reserved_call_free(tmp_path: Path) -> None:
    """As that of an instrumented HTTP client, around a call that has no span of its own."""
    with world(tmp_path, instrumented=False) as here, BudgetManager(config=here.config) as manager:
        with manager.guard(cost="0.5"), here.tracers.get_tracer("http").start_as_current_span("POST"):
            gpt_once(here)
        assert [call.cost for call in here.calls()] == [usd_to_pico(Decimal("0.5"))]


def test_a_reservation_is_for_one_call(here: World, manager: BudgetManager) -> None:
    """The guard reserves for the calls that come after it."""
    reservation = manager.reserve(cost="0.5", **MODELS[gpt_once])
    for _ in range(3):
        gpt_once(here)
    reservation.settle(usage=USAGES[gpt_once])
    gpt_once(here)
    assert [call.cost for call in here.calls()] == [bill_of(here.billed[:1])] * 4

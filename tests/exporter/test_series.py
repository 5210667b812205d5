"""Series of this process's own calls: they count each call once and never go down."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.exporter import series
from spanbudget.exporter.series import Exemplar, SeriesBook, SeriesKey, SeriesTotal
from spanbudget.processors.call import Labels, LLMCall, PricedCall, Usage
from spanbudget.processors.ledger import Entry, EntryKind, entry_id


def booked(
    cost: int | None = 100,
    *,
    span_id: int = 1,
    model: str | None = "gpt-4o",
    kind: EntryKind = "call",
    labels: Labels = (("service", "shop"), ("team", "search")),
    failed: bool = False,
) -> Entry:
    usage = Usage(input=10, cache_read=20, cache_write=30, output=40)
    call = LLMCall(
        trace_id=7, span_id=span_id, parent_id=0, scope="s", provider="openai", model=model,
        request_model=model, response_model=model, operation="chat", aggregate=False, tier=None,
        usage=usage, usage_confidence="exact", reasons=(), start_ns=1, end_ns=2, failed=failed,
        response_id=None, labels=labels,
    )  # fmt: skip
    confidence = "unpriced" if cost is None else "exact"
    priced = PricedCall(call, cost, 0, 0, 0, 0, "table", confidence, ())
    return Entry(entry_id(call, kind), kind, priced)


def book(max_label_values: int = 100) -> SeriesBook:
    return SeriesBook(("service", "environment", "team"), max_label_values)


def only(own: SeriesBook) -> tuple[SeriesKey, SeriesTotal]:
    ((key, total),) = own.totals()
    return key, total


def test_a_call_adds_to_the_series_of_its_dimensions() -> None:
    """Two calls of 100 pico-USD and 10 + 20 + 30 + 40 tokens each."""
    own = book()
    own.add(booked())
    own.add(booked(span_id=2), sampled=True)
    key, total = only(own)
    assert key == SeriesKey(
        "openai", "gpt-4o", "chat", "unknown", "ok", "exact",
        (("service", "shop"), ("environment", "unknown"), ("team", "search")),
    )  # fmt: skip
    assert total == SeriesTotal(200, 20, 40, 60, 80, 2, Exemplar(7, 2, 2))


def test_a_call_without_a_price_is_a_request_of_an_unpriced_series_and_not_a_free_one() -> None:
    own = book()
    own.add(booked(None))
    key, total = only(own)
    assert (key.confidence, total.cost, total.requests) == ("unpriced", 0, 1)


def test_a_failed_call_has_its_own_series() -> None:
    own = book()
    own.add(booked(0, failed=True))
    own.add(booked())
    assert {key.outcome for key, _ in own.totals()} == {"ok", "error"}


def test_an_unsampled_call_is_no_exemplar_and_does_not_replace_one() -> None:
    own = book()
    own.add(booked(span_id=5), sampled=True)
    own.add(booked(span_id=6), sampled=False)
    assert only(own)[1].exemplar == Exemplar(7, 5, 2)


def test_a_restatement_between_two_looks_shows_only_its_difference() -> None:
    """100 - 100 + 130 = 130."""
    own = book()
    own.add(booked(100))
    own.add(booked(100, kind="reversal"))
    own.add(booked(130, span_id=2))
    total = only(own)[1]
    assert (total.cost, total.requests, own.held()) == (130, 1, 0)


def test_a_restatement_to_less_holds_the_difference_back_until_later_spend_covers_it() -> None:
    """Shown 100; 100 - 100 + 60 stays 100 with 40 held; 60 + 30 stays 100 with 10 held; 90 + 30 shows 120."""
    own = book()
    shown = []
    own.add(booked(100))
    shown.append((only(own)[1].cost, own.held()))
    own.add(booked(100, kind="reversal"))
    own.add(booked(60, span_id=2))
    shown.append((only(own)[1].cost, own.held()))
    own.add(booked(30, span_id=3))
    shown.append((only(own)[1].cost, own.held()))
    own.add(booked(30, span_id=4))
    shown.append((only(own)[1].cost, own.held()))
    assert shown == [(100, 0), (100, 40), (100, 10), (120, 0)]


def test_a_restatement_to_another_model_is_held_back_in_the_old_series() -> None:
    own = book()
    own.add(booked(100, model="wrong"))
    own.totals()
    own.add(booked(100, model="wrong", kind="reversal"))
    own.add(booked(60, model="right"))
    assert {key.model: total.cost for key, total in own.totals()} == {"wrong": 100, "right": 60}
    assert own.held() == 100


def test_a_reversal_of_an_earlier_process_never_shows_less_than_0() -> None:
    own = book()
    own.add(booked(100, kind="reversal"))
    assert only(own)[1] == SeriesTotal()


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans())))
def test_no_shown_number_ever_decreases(steps: list[tuple[int, bool, bool]]) -> None:
    own = book()
    standing: list[Entry] = []
    before: dict[SeriesKey, SeriesTotal] = {}
    for cost, reverse, look in steps:
        if reverse and standing:
            call = standing.pop().priced
            own.add(Entry(b"", "reversal", call))
        else:
            standing.append(booked(cost, model=f"m{cost % 2}"))
            own.add(standing[-1])
        if look:
            now = dict(own.totals())
            assert all(now[key][:6] >= total[:6] for key, total in before.items())
            assert all(a <= b for key in before for a, b in zip(before[key][:6], now[key][:6], strict=True))
            before = now
    shown = sum(total.cost for _, total in own.totals())
    assert shown - own.held() == sum(entry.priced.cost or 0 for entry in standing)


def test_label_values_beyond_the_limit_go_to_other_and_are_counted() -> None:
    own = book(max_label_values=2)
    for number in range(5):
        own.add(booked(labels=(("team", f"t{number}"),)))
    teams = {dict(key.labels)["team"]: total.requests for key, total in own.totals()}
    assert teams == {"t0": 1, "t1": 1, "other": 3}
    assert own.overflowed() == {"team": 3}


def test_a_reversal_meets_the_overflowed_series_of_its_call() -> None:
    own = book(max_label_values=1)
    own.add(booked(1, model="a"))
    own.add(booked(10, model="b"))
    own.add(booked(10, model="b", kind="reversal"))
    own.add(booked(100, model="c"))
    assert {key.model: total.cost for key, total in own.totals()} == {"a": 1, "other": 100}
    assert own.overflowed() == {"model": 2}


def test_the_number_of_series_is_bounded_and_no_money_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "SERIES_MAX", 26)
    own = book(max_label_values=1000)
    for number in range(100):
        own.add(booked(1, labels=(("team", f"t{number}"),)))
    totals = own.totals()
    assert len(totals) <= 26
    assert sum(total.cost for _, total in totals) == 100
    assert own.overflowed() == {"series": 80}


def test_what_is_remembered_is_bounded_and_forgetting_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(series, "_MEMO_MAX", 3)
    own = book()
    for number in range(20):
        own.add(booked(1, labels=(("session", f"s{number}"), ("team", "search"))))
        assert len(own._memo) <= 3
    assert only(own)[1].cost == 20


def test_a_configured_budget_has_a_counter_at_0_before_its_first_call() -> None:
    own = book()
    own.seed({"service": "shop"})
    key, total = only(own)
    assert total == SeriesTotal()
    assert key.labels == (("service", "shop"), ("environment", "unknown"), ("team", "unknown"))


def test_reading_while_adding_never_fails_and_ends_exact() -> None:
    own = book(max_label_values=10_000)
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(sum(total.cost for _, total in own.totals()))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(3000):
        own.add(booked(1, model=f"m{number % 400}"))
    done.set()
    reader.join()
    assert seen == sorted(seen)
    assert sum(total.cost for _, total in own.totals()) == 3000

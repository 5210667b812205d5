"""What every ledger must do; each test runs on each of them."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ready_ledger import put_ledger

from spanbudget.exporter.ledger.postgres import PostgresLedger
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.processors.call import NO_USAGE, LLMCall, PricedCall, Usage
from spanbudget.processors.ledger import (
    NO_SPEND,
    Entry,
    Ledger,
    MemoryLedger,
    Spend,
    SpendKey,
    entry_id,
    entry_spend,
)
from spanbudget.processors.money import PICO_PER_USD

START_NS = 1_790_000_000_000_000_000
MONTH = SpendKey("production", "", "monthly/UTC", START_NS)
DAY = SpendKey("per-user", "user=alice", "daily/UTC", START_NS)
ALL = SpendKey("global", "", "total", 0)

CALL = LLMCall(
    *(1, 1, 0, "scope", "openai", "gpt-5", "gpt-5", "gpt-5-2025", "chat", False, "default"),
    *(Usage(input=100, cache_read=20, output=30), "exact", (), START_NS, START_NS + 1, False, "resp-1", ()),
)


def booked(number: int, cost: int | None = 4_500_000, **changes: object) -> Entry:
    own = {
        "trace_id": number,
        "span_id": number,
        "end_ns": START_NS + number,
        "response_id": f"resp-{number}",
    }
    call = CALL._replace(**(own | changes))
    priced = PricedCall(call, cost, 1, 2, 3, 4, "price", "unpriced" if cost is None else "exact", ())
    return Entry(entry_id(call), "call", priced, (MONTH, DAY, ALL))


def reversal(entry: Entry) -> Entry:
    return entry._replace(id=entry_id(entry.priced.call, "reversal"), kind="reversal")


def bare(entries: list[Entry]) -> list[Entry]:
    return [entry._replace(windows=()) for entry in entries]


@pytest.fixture(
    params=["memory", "sqlite", "sqlite in memory", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def make(request, tmp_path) -> Iterator[Callable[[], Ledger]]:
    made: list[Ledger] = []

    def new() -> Ledger:
        match request.param:
            case "memory":
                made.append(MemoryLedger())
            case "postgres":
                made.append(emptied(PostgresLedger(request.getfixturevalue("postgres_url"))))
            case "sqlite":
                made.append(SqliteLedger(put_ledger(tmp_path / f"{len(made)}.db")))
            case _:
                made.append(SqliteLedger(":memory:"))
        return made[-1]

    yield new
    for one in made:
        one.close()


def emptied(ledger: PostgresLedger) -> PostgresLedger:
    """The ledger without what an earlier example has left; quicker than a database for each."""
    with ledger.session.lend() as connection:
        connection.execute("TRUNCATE entries, spend")
    return ledger


@pytest.fixture
def ledger(make) -> Ledger:
    return make()


def test_an_append_answers_with_the_new_totals(ledger):
    """2 calls of 4.5e6 pico and 150 tokens: 9e6 pico, 300 tokens, 2 requests."""
    appended = ledger.append([booked(1), booked(2)])
    total = Spend(9_000_000, 300, 2, 0, 0)
    assert appended.duplicates == frozenset()
    assert appended.spend == {MONTH: total, DAY: total, ALL: total}
    assert ledger.spend([MONTH, ALL]) == {MONTH: total, ALL: total}


def test_an_append_of_nothing_changes_nothing(ledger):
    assert ledger.append([]).spend == {}
    assert list(ledger.entries()) == []


def test_an_entry_without_windows_is_kept(ledger):
    ledger.append([booked(1)._replace(windows=())])
    assert len(list(ledger.entries())) == 1


def test_an_entry_appended_again_changes_nothing(ledger):
    ledger.append([booked(1), booked(2)])
    again = ledger.append([booked(2), booked(3)])
    assert again.duplicates == {booked(2).id}
    assert again.spend[MONTH] == Spend(13_500_000, 450, 3, 0, 0)
    assert [entry.id for entry in ledger.entries()] == [booked(n).id for n in (1, 2, 3)]


def test_a_batch_of_known_entries_answers_with_the_totals_of_their_windows(ledger):
    ledger.append([booked(1)])
    again = ledger.append([booked(1)])
    assert again.duplicates == {booked(1).id}
    assert again.spend == ledger.spend([MONTH, DAY, ALL])


def test_an_entry_twice_in_one_batch_counts_once(ledger):
    appended = ledger.append([booked(1), booked(2), booked(1)])
    assert appended.duplicates == {booked(1).id}
    assert appended.spend[ALL].requests == 2


def test_a_call_that_ends_anew_in_the_batch_that_repeats_it_is_counted(ledger):
    """The call again, its reversal, and the call with another end and another cost: 7 pico-USD."""
    first = booked(1, 4)
    last = booked(1, 7, end_ns=first.priced.call.end_ns + 5)
    ledger.append([first])
    ledger.append([first, reversal(first), last])
    assert ledger.spend([ALL])[ALL].cost == 7


def test_a_duplicate_that_names_other_windows_changes_no_total(ledger):
    ledger.append([booked(1)._replace(windows=(MONTH,))])
    again = ledger.append([booked(1)._replace(windows=(MONTH, DAY))])
    assert again.spend == {MONTH: Spend(4_500_000, 150, 1, 0, 0)}


def test_a_reversal_takes_its_call_out_again(ledger):
    ledger.append([booked(1), booked(2)])
    appended = ledger.append([reversal(booked(1))])
    assert appended.spend[MONTH] == Spend(4_500_000, 150, 1, 0, 0)
    assert [entry.kind for entry in ledger.entries()] == ["call", "call", "reversal"]


def test_a_total_may_be_negative(ledger):
    """A reversal that comes before its call: -4.5e6 pico, then 0."""
    before = ledger.append([reversal(booked(1))]).spend[MONTH]
    assert before == Spend(-4_500_000, -150, -1, 0, 0)
    assert ledger.append([booked(1)]).spend[MONTH] == NO_SPEND


def test_a_remainder_carries_into_whole_dollars_both_ways(ledger):
    """0.999999999999 + 0.000000000002 = 1.000000000001 USD; minus the first again leaves 2 pico-USD."""
    first, second = booked(1, PICO_PER_USD - 1), booked(2, 2)
    ledger.append([first])
    assert ledger.append([second]).spend[ALL].cost == PICO_PER_USD + 1
    assert ledger.append([reversal(first)]).spend[ALL].cost == 2
    assert ledger.append([reversal(second)]).spend[ALL].cost == 0


def test_totals_above_int64_are_exact(ledger):
    """Twenty calls of 9.2 million USD and 1 pico: 184,000,000.00000000002 USD, 20 times 2**63 pico."""
    cost = 9_200_000 * PICO_PER_USD + 1
    for number in range(1, 21):
        total = ledger.append([booked(number, cost)]).spend[ALL].cost
    assert total == 20 * cost > 2**63
    assert ledger.append([reversal(booked(1, cost))]).spend[ALL].cost == 19 * cost


def test_a_cost_beyond_int64_is_kept_exactly(ledger):
    """One call of 10 million USD is 1e19 pico-USD, more than 2**63."""
    entry = booked(1, 10_000_000 * PICO_PER_USD + 7)
    assert ledger.append([booked(2, 1), entry]).spend[ALL].cost == 10_000_000 * PICO_PER_USD + 8
    assert bare(list(ledger.entries())) == bare([booked(2, 1), entry])


def test_unpriced_and_estimated_calls_are_told_apart(ledger):
    estimated = booked(1)
    estimated = estimated._replace(priced=estimated.priced._replace(confidence="estimated"))
    total = ledger.append([estimated, booked(2, None), booked(3)]).spend[ALL]
    assert total == Spend(9_000_000, 450, 3, 4_500_000, 1)


def ends(entries):
    return [entry.priced.call.end_ns - START_NS for entry in entries]


def test_standing_calls_of_a_time_come_by_their_end(ledger):
    """Both ends of the time belong to it; calls 2 and 3 are reversed."""
    ledger.append([booked(number) for number in (5, 1, 6, 2, 4, 3)])
    ledger.append([reversal(booked(2)), reversal(booked(3))])
    assert ends(ledger.standing(START_NS + 1, START_NS + 5, limit=10)) == [1, 4, 5]
    assert ends(ledger.standing(START_NS + 2, START_NS + 3, limit=10)) == []
    assert ends(ledger.standing(-(1 << 70), 1 << 70, limit=10)) == [1, 4, 5, 6]


def test_of_too_many_standing_calls_the_latest_come(ledger):
    ledger.append([booked(number) for number in range(1, 20)])
    assert ends(ledger.standing(START_NS, START_NS + 100, limit=3)) == [17, 18, 19]


def test_look_ups_of_more_than_one_piece_find_everything(ledger):
    ledger.append([booked(number) for number in range(1, 1_301)])
    assert len(ledger.standing(0, 1 << 62, limit=2_000)) == 1_300
    keys = [ALL._replace(start_ns=number) for number in range(1_200)]
    ledger.append([booked(2_000)._replace(windows=tuple(keys))])
    assert len(ledger.spend([*keys, MONTH._replace(budget="none")])) == 1_200


def test_entries_of_a_time_are_half_open_and_in_the_order_of_append(ledger):
    ledger.append([booked(number) for number in (5, 1, 3, 2, 4)])
    ends = [
        e.priced.call.end_ns - START_NS for e in ledger.entries(since_ns=START_NS + 2, until_ns=START_NS + 4)
    ]
    assert ends == [3, 2]
    assert [e.priced.call.end_ns - START_NS for e in ledger.entries(since_ns=START_NS + 4)] == [5, 4]
    assert list(ledger.entries(since_ns=START_NS + 9)) == []


def test_closing_twice_does_nothing(ledger):
    ledger.close()
    ledger.close()


texts = st.text(max_size=12)
counts = st.none() | st.integers(0, 2**40)
money = st.none() | st.integers(0, 2**70)
hashes = st.none() | st.integers(-(2**63) + 1, 2**63 - 1)  # which no span tells: they are made here
calls = st.builds(
    LLMCall,
    trace_id=st.integers(0, 2**128 - 1),
    span_id=st.integers(0, 2**64 - 1),
    parent_id=st.integers(0, 2**64 - 1),
    scope=texts,
    provider=st.none() | texts,
    model=st.none() | texts | st.just("\ud800 is no Unicode"),
    request_model=st.none() | texts,
    response_model=st.none() | texts,
    operation=texts,
    aggregate=st.booleans(),
    tier=st.none() | texts,
    usage=st.just(NO_USAGE) | st.builds(Usage, *[counts] * 11),
    usage_confidence=st.sampled_from(["exact", "estimated", "unknown"]),
    reasons=st.lists(texts, max_size=2).map(tuple),
    start_ns=st.integers(0, 2**64),
    end_ns=st.integers(0, 2**64),
    prompt_hash=hashes,
    prefix_hash=hashes,
    failed=st.booleans(),
    response_id=st.none() | texts,
    labels=st.dictionaries(texts, texts, max_size=3).map(lambda one: tuple(sorted(one.items()))),
    reported_cost=money,
    claimed_cost=money,
    web_searches=counts,
)
prices = st.builds(
    PricedCall,
    call=calls,
    cost=money,
    cost_input=st.integers(0, 2**70),
    cost_cache_read=st.integers(0, 2**50),
    cost_cache_write=st.integers(0, 2**50),
    cost_output=st.integers(0, 2**50),
    price_id=st.none() | texts,
    confidence=st.sampled_from(["exact", "estimated", "unpriced"]),
    reasons=st.lists(texts, max_size=2).map(tuple),
)
keys = st.sampled_from([MONTH, DAY, ALL, ALL._replace(child="user=\ud800")])
an_entry = st.builds(
    lambda price, kind, windows: Entry(entry_id(price.call, kind), kind, price, tuple(windows)),
    prices,
    st.sampled_from(["call", "reversal"]),
    st.lists(keys, max_size=4),
)
quick = settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, *HealthCheck],
)


@quick
@given(st.lists(an_entry, max_size=8, unique_by=lambda entry: entry.id))
def test_every_entry_comes_back_as_it_was(make, made):
    ledger = make()
    ledger.append(made)
    assert bare(list(ledger.entries())) == bare(made)
    ledger.close()


@quick
@given(st.lists(an_entry, min_size=1, max_size=8, unique_by=lambda entry: entry.id), st.data())
def test_totals_do_not_depend_on_order_batches_or_repetition(make, made, data):
    expected: dict[SpendKey, Spend] = {}
    for entry in made:
        for key in entry.windows:
            expected[key] = expected.get(key, NO_SPEND).plus(entry_spend(entry))
    repeated = data.draw(st.permutations(made + data.draw(st.lists(st.sampled_from(made), max_size=6))))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(repeated)), max_size=4)) | {0, len(repeated)})
    ledger = make()
    for start, end in pairwise(cuts):
        ledger.append(repeated[start:end])
    assert ledger.spend(list(expected)) == expected
    ledger.close()

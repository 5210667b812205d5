"""What every ledger that keeps holds must do; each test runs on each of them."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import pytest
from forked import in_child
from ready_ledger import put_ledger

from spanbudget.exporter.ledger import open_ledger
from spanbudget.processors.call import LLMCall, PricedCall, Usage
from spanbudget.processors.errors import LedgerError
from spanbudget.processors.holds import HoldLedger, Owner, OwnerLostError, Settlement
from spanbudget.processors.ledger import Entry, Ledger, Spend, SpendKey, entry_id
from spanbudget.processors.limits import (
    MINUTE_NS,
    NOTHING,
    Amount,
    Demand,
    Grant,
    Limits,
    Pot,
    Refusal,
    Standing,
)
from spanbudget.processors.money import PICO_PER_USD

NOW_NS = 1_790_000_000_000_000_000
LATER_NS = NOW_NS + 60 * 10**9
ANN, BOB, EVE = (bytes([number]) * 16 for number in (1, 2, 3))
POT = Pot("production")
ALICE = Pot("per-user", "user=alice")
PERIOD = "monthly/UTC"
MONTH = SpendKey("production", "", PERIOD, NOW_NS)
USD = PICO_PER_USD


class FullLedger(Ledger, HoldLedger, Protocol):
    """A ledger that keeps holds."""


@pytest.fixture(params=["sqlite", "sqlite in memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request, tmp_path) -> str:
    match request.param:
        case "sqlite":
            return f"sqlite:///{put_ledger(tmp_path / 'ledger.db')}"
        case "postgres":
            return request.getfixturevalue("postgres_url")
        case _:
            return "sqlite://"


@pytest.fixture
def shared_url(url) -> str:
    if url == "sqlite://":
        pytest.skip("no other process sees a ledger in memory")
    return url


@pytest.fixture
def ledger(url) -> Iterator[FullLedger]:
    opened = open_ledger(url, busy_timeout_seconds=20)
    yield opened
    opened.close()


def owner(number: bytes = ANN, expires_ns: int = LATER_NS, **holds: Any) -> Owner:
    return Owner(number, "journal-1", expires_ns, 0, holds.get("holds", {}))


def demand(cost: int = 0, limit: int | None = None, pot: Pot = POT, **changes: Any) -> Demand:
    amount = Amount(cost, changes.pop("tokens", 0), changes.pop("requests", 0))
    limits = changes.pop("limits", Limits(cost=limit))
    asked = Demand(pot, PERIOD, NOW_NS, NOW_NS, limits, need=amount, want=changes.pop("want", amount))
    return replace(asked, **changes)


def booked(number: int, cost: int, windows: tuple[SpendKey, ...] = (MONTH,), **changes: Any) -> Entry:
    call = LLMCall(
        *(number, number, 0, "scope", "openai", "gpt-5", "gpt-5", "gpt-5-2025", "chat", False, "default"),
        *(Usage(input=100, output=50), "exact", (), NOW_NS, NOW_NS + number, False, None, ()),
    )._replace(**changes)
    return Entry(entry_id(call), "call", PricedCall(call, cost, cost, 0, 0, 0, "price", "exact", ()), windows)


def charge(number: bytes, cost: int, closed_ns: int, index: int = 0) -> Entry:
    """An orphan charge: its trace id is the owner, and it ends when the owner was closed."""
    return booked(1, cost, trace_id=int.from_bytes(number, "big"), span_id=index, end_ns=closed_ns)


def reversal(entry: Entry) -> Entry:
    return entry._replace(id=entry_id(entry.priced.call, "reversal"), kind="reversal")


def granted(answer: list[Grant] | Refusal) -> list[Amount]:
    assert isinstance(answer, list), answer
    return [grant.amount for grant in answer]


def refused(answer: list[Grant] | Refusal) -> Refusal:
    assert isinstance(answer, Refusal), answer
    return answer


def test_an_owner_that_joins_holds_nothing_yet(ledger):
    ledger.join(owner(holds={POT: Amount(1)}))
    assert ledger.owners() == [owner()]
    assert ledger.held([POT]) == {}


def test_joining_twice_is_joining_once(ledger):
    ledger.join(owner())
    ledger.take(ANN, [demand(5)], NOW_NS)
    ledger.join(owner())
    assert [one.holds for one in ledger.owners()] == [{POT: Amount(5)}]


def test_a_renewal_moves_the_expiry(ledger):
    ledger.join(owner())
    ledger.renew(ANN, LATER_NS + 7)
    assert [one.expires_ns for one in ledger.owners()] == [LATER_NS + 7]


def test_the_expired_owners_can_be_asked_for(ledger):
    ledger.join(owner(ANN, LATER_NS))
    ledger.join(owner(BOB, LATER_NS + 10))
    assert [one.id for one in ledger.owners(LATER_NS - 1)] == []
    assert [one.id for one in ledger.owners(LATER_NS + 1)] == [ANN]
    assert [one.id for one in ledger.owners(LATER_NS + 11)] == [ANN, BOB]
    assert [one.id for one in ledger.owners()] == [ANN, BOB]


def test_what_is_asked_is_held(ledger):
    ledger.join(owner())
    answer = ledger.take(ANN, [demand(3, tokens=10, requests=1)], NOW_NS)
    assert granted(answer) == [Amount(3, 10, 1)]
    assert ledger.held([POT, ALICE]) == {POT: Amount(3, 10, 1)}
    assert [one.holds for one in ledger.owners()] == [{POT: Amount(3, 10, 1)}]


def test_the_limit_itself_can_be_held_and_one_more_cannot(ledger):
    """Of 10: 4 + 6 = 10 are held, 1 more is refused with 0 available."""
    ledger.join(owner())
    assert granted(ledger.take(ANN, [demand(4, 10)], NOW_NS)) == [Amount(4)]
    assert granted(ledger.take(ANN, [demand(6, 10)], NOW_NS)) == [Amount(6)]
    refusal = refused(ledger.take(ANN, [demand(1, 10)], NOW_NS))
    assert (refusal.reason, refusal.measure, refusal.limit, refusal.available) == ("limit", "cost", 10, 0)
    assert refusal.standing == Standing(held=Amount(10), holders=1)
    assert ledger.held([POT]) == {POT: Amount(10)}


@pytest.mark.parametrize(
    ("limits", "amounts", "measure"),
    [
        (Limits(tokens=10), {"tokens": 11}, "tokens"),
        (Limits(requests=1), {"requests": 2}, "requests"),
    ],
)
def test_every_measure_is_limited(ledger, limits, amounts, measure):
    ledger.join(owner())
    assert refused(ledger.take(ANN, [demand(limits=limits, **amounts)], NOW_NS)).measure == measure


def test_what_is_settled_counts_against_the_limit_in_the_windows_of_the_demand(ledger):
    """2 + 3 of the windows 1 and 2 are spent, 100 of window 3 and of another period are not: 5 of 10 left."""
    ledger.join(owner())
    others = (MONTH._replace(start_ns=3), MONTH._replace(start_ns=1, period="daily/UTC"))
    ledger.append([
        booked(1, 2, (MONTH._replace(start_ns=1),)),
        booked(2, 3, (MONTH._replace(start_ns=2),)),
        booked(3, 100, others),
    ])  # fmt: skip
    asked = demand(6, 10, first_ns=1, last_ns=2)
    refusal = refused(ledger.take(ANN, [asked], NOW_NS))
    assert refusal.standing == Standing(spent=Amount(5, 300, 2))
    assert refusal.available == 5
    assert granted(ledger.take(ANN, [replace(asked, need=Amount(5), want=Amount(5))], NOW_NS)) == [Amount(5)]


def test_all_owners_hold_from_one_limit(ledger):
    """3 + 4 + 3 of 10 by three owners; the fourth unit of the third is one too many."""
    for one in (ANN, BOB, EVE):
        ledger.join(owner(one))
    assert granted(ledger.take(ANN, [demand(3, 10)], NOW_NS)) == [Amount(3)]
    assert granted(ledger.take(BOB, [demand(4, 10)], NOW_NS)) == [Amount(4)]
    refusal = refused(ledger.take(EVE, [demand(4, 10)], NOW_NS))
    assert refusal.standing == Standing(held=Amount(7), holders=2)
    assert granted(ledger.take(EVE, [demand(3, 10)], NOW_NS)) == [Amount(3)]
    assert ledger.held([POT]) == {POT: Amount(10)}


def test_a_lease_is_part_of_what_is_left(ledger):
    """100 left, a quarter of it for the only holder: 25."""
    ledger.join(owner())
    assert granted(ledger.take(ANN, [demand(1, 100, want=Amount(90))], NOW_NS)) == [Amount(25)]


def test_all_demands_are_granted_or_none_is_held(ledger):
    ledger.join(owner())
    both = [demand(5, 10), demand(5, 4, ALICE)]
    assert refused(ledger.take(ANN, both, NOW_NS)).pot == ALICE
    assert refused(ledger.take(ANN, both[::-1], NOW_NS)).pot == ALICE
    assert ledger.held([POT, ALICE]) == {}
    assert granted(ledger.take(ANN, [demand(5, 10), demand(4, 4, ALICE)], NOW_NS)) == [Amount(4), Amount(5)]
    assert ledger.held([POT, ALICE]) == {POT: Amount(5), ALICE: Amount(4)}


def test_grants_come_by_pot(ledger):
    ledger.join(owner())
    pots = [Pot("b"), Pot("a", "user=z"), Pot("a"), Pot("c")]
    answer = ledger.take(ANN, [demand(1, 10, pot) for pot in pots], NOW_NS)
    assert [grant.pot for grant in answer] == sorted(pots)


def test_a_demand_of_nothing_leaves_no_hold(ledger):
    ledger.join(owner())
    assert granted(ledger.take(ANN, [demand(0, 10)], NOW_NS)) == [NOTHING]
    assert granted(ledger.take(ANN, [], NOW_NS)) == []
    assert ledger.held([POT]) == {}
    assert ledger.held([]) == {}


def test_a_suspended_budget_holds_nothing(ledger):
    ledger.join(owner())
    assert refused(ledger.take(ANN, [demand(1, 10, closed=True)], NOW_NS)).reason == "suspended"


def test_a_rate_is_kept_between_takes_and_owners(ledger):
    """6 requests a minute: 6 at once, then one more every 10 seconds, whoever asks."""
    ledger.join(owner(ANN))
    ledger.join(owner(BOB))
    one = demand(requests=1, rates=Limits(requests=6))
    for _ in range(6):
        assert granted(ledger.take(ANN, [one], NOW_NS)) == [Amount(requests=1)]
    refusal = refused(ledger.take(BOB, [one], NOW_NS))
    assert (refusal.reason, refusal.retry_after_ns) == ("rate", MINUTE_NS // 6)
    assert refusal.standing.busy_until_ns == (0, 0, NOW_NS + MINUTE_NS)
    assert refused(ledger.take(BOB, [one], NOW_NS + MINUTE_NS // 6 - 1)).reason == "rate"
    assert granted(ledger.take(BOB, [one], NOW_NS + MINUTE_NS // 6)) == [Amount(requests=1)]


def test_a_settlement_gives_back_what_a_rate_was_not_used_for(ledger):
    """6 requests a minute, all taken; 20 seconds' worth given back are 2 requests."""
    ledger.join(owner())
    one = demand(requests=1, rates=Limits(requests=6))
    for _ in range(6):
        ledger.take(ANN, [one], NOW_NS)
    ledger.settle(Settlement(ANN, 1, [], {}, {POT: (0, 0, MINUTE_NS // 3)}))
    ledger.settle(Settlement(ANN, 1, [], {}, {POT: (0, 0, MINUTE_NS // 3)}))
    answers = [ledger.take(ANN, [one], NOW_NS) for _ in range(3)]
    assert [isinstance(answer, Refusal) for answer in answers] == [False, False, True]


def test_a_settlement_turns_a_hold_into_spend(ledger):
    """10 held, 7 spent and 10 released: 3 are free again, and 7 + 3 is the limit."""
    ledger.join(owner())
    ledger.take(ANN, [demand(10, 10)], NOW_NS)
    appended = ledger.settle(Settlement(ANN, 1, [booked(1, 7)], {POT: Amount(10)}))
    assert appended.spend == {MONTH: Spend(7, 150, 1)}
    assert appended.duplicates == frozenset()
    assert ledger.held([POT]) == {}
    assert refused(ledger.take(ANN, [demand(4, 10)], NOW_NS)).available == 3
    assert granted(ledger.take(ANN, [demand(3, 10)], NOW_NS)) == [Amount(3)]


def test_a_settlement_that_was_seen_changes_no_hold_again(ledger):
    ledger.join(owner())
    ledger.take(ANN, [demand(10)], NOW_NS)
    settlement = Settlement(ANN, 5, [booked(1, 4)], {POT: Amount(4)})
    ledger.settle(settlement)
    again = ledger.settle(settlement)
    assert again.duplicates == {booked(1, 4).id}
    assert again.spend == {MONTH: Spend(4, 150, 1)}
    older = ledger.settle(replace(settlement, sequence=3, entries=[booked(2, 1)]))
    assert older.spend == {MONTH: Spend(5, 300, 2)}
    assert ledger.held([POT]) == {POT: Amount(6)}
    ledger.settle(Settlement(ANN, 6, [], {POT: Amount(1)}))
    assert ledger.held([POT]) == {POT: Amount(5)}


def test_no_hold_goes_below_zero(ledger):
    """Held 5 pico and 2 tokens; released 3 and 9, then 9 and 9, also of a pot that was never held."""
    ledger.join(owner())
    ledger.take(ANN, [demand(5, tokens=2)], NOW_NS)
    ledger.settle(Settlement(ANN, 1, [], {POT: Amount(3, 9), ALICE: Amount(9)}))
    assert ledger.held([POT, ALICE]) == {POT: Amount(2)}
    ledger.settle(Settlement(ANN, 2, [], {POT: Amount(9, 9)}))
    assert ledger.held([POT, ALICE]) == {}
    assert [one.holds for one in ledger.owners()] == [{}]


def test_a_settlement_lessens_no_other_owners_holds(ledger):
    for one in (ANN, BOB):
        ledger.join(owner(one))
        ledger.take(one, [demand(5)], NOW_NS)
    ledger.settle(Settlement(ANN, 1, [], {POT: Amount(5)}))
    assert {one.id: one.holds for one in ledger.owners()} == {ANN: {}, BOB: {POT: Amount(5)}}


def test_an_unknown_owner_can_neither_renew_nor_take_nor_settle(ledger):
    with pytest.raises(OwnerLostError):
        ledger.renew(ANN, LATER_NS)
    with pytest.raises(OwnerLostError):
        ledger.take(ANN, [demand(1)], NOW_NS)
    with pytest.raises(OwnerLostError):
        ledger.settle(Settlement(ANN, 1, [booked(1, 1)], {}))
    assert list(ledger.entries()) == []


def test_a_closed_owner_can_neither_renew_nor_take_nor_settle(ledger):
    ledger.join(owner())
    assert ledger.close_owner(ANN, [], LATER_NS)
    with pytest.raises(OwnerLostError, match=ANN.hex()):
        ledger.renew(ANN, LATER_NS)
    with pytest.raises(OwnerLostError, match=ANN.hex()):
        ledger.take(ANN, [demand(1)], NOW_NS)
    with pytest.raises(OwnerLostError, match=ANN.hex()):
        ledger.settle(Settlement(ANN, 1, [booked(1, 1)], {}))
    assert list(ledger.entries()) == []
    assert ledger.owners() == []


def test_closing_charges_and_releases_at_once(ledger):
    """5 held by Ann are charged with 5; Bob's 2 stay: 10 - 5 - 2 = 3 are left."""
    for one, cost in ((ANN, 5), (BOB, 2)):
        ledger.join(owner(one))
        ledger.take(one, [demand(cost, 10)], NOW_NS)
    assert ledger.close_owner(ANN, [charge(ANN, 5, LATER_NS)], LATER_NS)
    assert ledger.held([POT]) == {POT: Amount(2)}
    assert [one.id for one in ledger.owners()] == [BOB]
    assert refused(ledger.take(BOB, [demand(4, 10)], NOW_NS)).available == 3


def test_an_owner_is_closed_once(ledger):
    ledger.join(owner())
    assert ledger.close_owner(ANN, [charge(ANN, 5, LATER_NS)], LATER_NS)
    assert not ledger.close_owner(ANN, [charge(ANN, 6, LATER_NS + 1, 7)], LATER_NS + 1)
    assert not ledger.close_owner(BOB, [charge(BOB, 6, LATER_NS)], LATER_NS)
    assert [entry.priced.cost for entry in ledger.entries()] == [5]


def test_a_forgotten_owner_leaves_nothing(ledger):
    ledger.join(owner())
    ledger.take(ANN, [demand(5)], NOW_NS)
    ledger.forget_owner(ANN)
    ledger.forget_owner(ANN)
    assert ledger.owners() == []
    assert ledger.held([POT]) == {}
    with pytest.raises(OwnerLostError):
        ledger.take(ANN, [demand(1)], NOW_NS)


def test_the_charges_of_a_closed_owner_can_be_found(ledger):
    """Not those that were reversed, not other calls at the same time, and none while the owner lives."""
    for one in (ANN, BOB):
        ledger.join(owner(one))
    charges = [charge(ANN, cost, LATER_NS, cost) for cost in (1, 2, 3)]
    assert ledger.orphans(ANN) == []
    ledger.close_owner(ANN, charges, LATER_NS)
    ledger.append([charge(BOB, 9, LATER_NS), reversal(charges[1])])
    found = sorted(ledger.orphans(ANN), key=lambda entry: entry.id)
    assert found == [entry._replace(windows=()) for entry in (charges[0], charges[2])]
    assert ledger.orphans(BOB) == []
    assert ledger.orphans(EVE) == []


def test_reopening_gives_a_new_owner_what_the_closed_one_had(ledger):
    """8 were charged; 3 of them were settled in truth, and 4 are in flight."""
    ledger.join(owner(ANN))
    ledger.take(ANN, [demand(8, 10)], NOW_NS)
    orphan = charge(ANN, 8, LATER_NS)
    ledger.close_owner(ANN, [orphan], LATER_NS)
    heir = owner(BOB, holds={POT: Amount(4)})
    ledger.reopen(ANN, [reversal(orphan), booked(1, 3)], heir)
    assert ledger.owners() == [heir]
    assert ledger.spend([MONTH]) == {MONTH: Spend(3, 150, 1)}
    assert ledger.orphans(ANN) == []
    with pytest.raises(OwnerLostError):
        ledger.renew(ANN, LATER_NS)
    refusal = refused(ledger.take(BOB, [demand(4, 10)], NOW_NS))
    assert refusal.standing == Standing(Amount(3, 150, 1), Amount(4), holders=1)
    ledger.settle(Settlement(BOB, 1, [booked(2, 4)], {POT: Amount(4)}))
    assert ledger.held([POT]) == {}


def test_amounts_above_int64_are_exact(ledger):
    """100 million USD are 1e20 pico-USD; with 1 pico each: spent 1e20 + 1, held twice 1e20 + 1."""
    huge = 100_000_000 * USD + 1
    limit = 4 * huge
    ledger.join(owner(ANN))
    ledger.join(owner(BOB))
    ledger.append([booked(1, huge)])
    for one in (ANN, BOB):
        assert granted(ledger.take(one, [demand(huge, limit)], NOW_NS)) == [Amount(huge)]
    assert ledger.held([POT]) == {POT: Amount(2 * huge)}
    refusal = refused(ledger.take(ANN, [demand(huge + 1, limit)], NOW_NS))
    assert refusal.available == huge
    assert refusal.standing == Standing(Amount(huge, 150, 1), Amount(2 * huge), holders=2)
    ledger.settle(Settlement(ANN, 1, [booked(2, 1)], {POT: Amount(huge - 1)}))
    left = {one.id: one.holds[POT].cost for one in ledger.owners()}
    assert left == {ANN: 1, BOB: huge}


def test_a_remainder_is_borrowed_from_and_carried_into_whole_dollars(ledger):
    """2 USD less 1 pico is 1.999999999999; with 1 pico again 2."""
    ledger.join(owner())
    ledger.take(ANN, [demand(2 * USD)], NOW_NS)
    ledger.settle(Settlement(ANN, 1, [], {POT: Amount(1)}))
    assert ledger.held([POT]) == {POT: Amount(2 * USD - 1)}
    ledger.take(ANN, [demand(USD - 1)], NOW_NS)
    assert ledger.held([POT]) == {POT: Amount(3 * USD - 2)}
    ledger.take(ANN, [demand(2)], NOW_NS)
    assert ledger.held([POT]) == {POT: Amount(3 * USD)}


def test_an_odd_child_is_held_and_settled(ledger):
    pots = [Pot("per-user", child) for child in ("", "user=\\\"{},NULL '%s", "user=ü\U0001f600", "NULL")]
    ledger.join(owner())
    ledger.take(ANN, [demand(3, 10, pot) for pot in pots], NOW_NS)
    assert ledger.held(pots) == dict.fromkeys(pots, Amount(3))
    ledger.settle(Settlement(ANN, 1, [], dict.fromkeys(pots, Amount(1))))
    assert ledger.owners()[0].holds == dict.fromkeys(pots, Amount(2))


def test_a_refused_settlement_leaves_no_trace(ledger):
    """A total of 2**63 tokens is more than a ledger can hold."""
    ledger.join(owner())
    ledger.take(ANN, [demand(5)], NOW_NS)
    absurd = booked(1, 1, usage=Usage(input=2**63 - 1))
    with pytest.raises(LedgerError):
        ledger.settle(Settlement(ANN, 1, [absurd], {POT: Amount(5)}))
    assert list(ledger.entries()) == []
    assert ledger.held([POT]) == {POT: Amount(5)}
    ledger.settle(Settlement(ANN, 1, [booked(2, 1)], {POT: Amount(5)}))
    assert ledger.held([POT]) == {}


def test_documents_are_kept_by_kind_and_name(ledger):
    assert ledger.documents(["budget", "grant"]) == {}
    assert ledger.put_document("budget", "production", "one", new=True)
    assert ledger.put_document("grant", "production", "two", new=False)
    assert ledger.documents(["budget"]) == {("budget", "production"): "one"}
    assert ledger.documents(["budget", "grant", "none"]) == {
        ("budget", "production"): "one",
        ("grant", "production"): "two",
    }
    assert ledger.documents([]) == {}


def test_a_new_document_replaces_none(ledger):
    ledger.put_document("budget", "production", "one", new=True)
    assert not ledger.put_document("budget", "production", "two", new=True)
    assert ledger.documents(["budget"]) == {("budget", "production"): "one"}
    assert ledger.put_document("budget", "production", "two", new=False)
    assert ledger.documents(["budget"]) == {("budget", "production"): "two"}


def test_a_document_is_deleted_once(ledger):
    ledger.put_document("budget", "production", "one", new=True)
    assert ledger.delete_document("budget", "production")
    assert not ledger.delete_document("budget", "production")
    assert ledger.documents(["budget"]) == {}


def test_the_version_grows_with_every_change_and_only_then(ledger):
    versions = [ledger.document_version()]
    for change in (
        lambda: ledger.put_document("budget", "a", "1", new=True),
        lambda: ledger.put_document("budget", "a", "2", new=False),
        lambda: ledger.put_document("budget", "b", "1", new=True),
        lambda: ledger.delete_document("budget", "a"),
    ):
        assert change()
        versions.append(ledger.document_version())
    assert versions == sorted(set(versions))
    ledger.put_document("budget", "b", "2", new=True)
    ledger.delete_document("budget", "a")
    assert ledger.document_version() == versions[-1]


def in_processes(count: int, work: Callable[[int], None]) -> None:
    """Runs work in forked processes, all at once; each must succeed."""
    gate, opener = os.pipe()
    children = []
    for number in range(count):

        def begin(number: int = number) -> None:
            os.close(opener)
            os.read(gate, 1)
            work(number)

        children.append(in_child(begin))
    os.close(opener)
    os.close(gate)
    assert [os.waitpid(one, 0)[1] for one in children] == [0] * count


def test_eight_processes_that_only_take_are_granted_the_limit_exactly(shared_url):
    """1,000 for 8 processes that ask for 7: 142 times 7 is 994, and 6 are left."""

    def ask(number: int) -> None:
        mine = open_ledger(shared_url, busy_timeout_seconds=60)
        me = bytes([number]) * 16
        mine.join(owner(me))
        while not isinstance(mine.take(me, [demand(7, 1_000)], NOW_NS), Refusal):
            pass
        mine.close()

    in_processes(8, ask)
    ledger = open_ledger(shared_url)
    assert ledger.held([POT]) == {POT: Amount(994)}
    ledger.close()


def test_eight_processes_that_take_and_settle_never_see_more_than_the_limit(shared_url):
    """1,000 for calls that hold 5 and cost 3, in a budget and one of two children of 400 each.

    Settled money and holds are looked at together by every decision, so no call slips through between the
    two; at the end all is spent that the children allow: 133 calls of 3 are 399, and 1 is left of each.
    """
    users = [Pot("per-user", f"user={name}") for name in ("alice", "bob")]

    def call(number: int) -> None:
        mine = open_ledger(shared_url, busy_timeout_seconds=60)
        me, user = bytes([number]) * 16, users[number % 2]
        windows = (MONTH, SpendKey(*user, PERIOD, NOW_NS))
        mine.join(owner(me))
        made = 0
        while True:
            asked = [demand(5, 1_000), demand(5, 400, user)]
            answer = mine.take(me, asked, NOW_NS)
            if isinstance(answer, Refusal):
                asked = [demand(3, 1_000), demand(3, 400, user)]  # the last call of all is a smaller one
                answer = mine.take(me, asked, NOW_NS)
            if isinstance(answer, Refusal):
                if answer.standing.held == NOTHING:
                    break
                continue
            for grant, limit in zip(answer, (400, 1_000), strict=True):
                assert grant.standing.spent.cost + grant.standing.held.cost + grant.amount.cost <= limit
            made += 1
            release = {grant.pot: grant.amount for grant in answer}
            mine.settle(Settlement(me, made, [booked(number * 10_000 + made, 3, windows)], release))
        mine.forget_owner(me)
        mine.close()

    in_processes(8, call)
    ledger = open_ledger(shared_url)
    keys = [MONTH, *(SpendKey(*user, PERIOD, NOW_NS) for user in users)]
    spent = ledger.spend(keys)
    assert [spent[key].cost for key in keys] == [798, 399, 399]
    assert spent[MONTH].requests == len(list(ledger.entries())) == 266
    assert ledger.held([POT, *users]) == {}
    assert ledger.owners() == []
    ledger.close()


def test_a_settlement_is_never_seen_half_done(shared_url):
    """One process moves 1,000 from held to spent, one by one; another sees 1,000 in both together, always."""

    def move(_: int) -> None:
        mine = open_ledger(shared_url, busy_timeout_seconds=60)
        for number in range(1, 201):
            mine.settle(Settlement(ANN, number, [booked(number, 5)], {POT: Amount(5)}))
        mine.close()

    def look(number: int) -> None:
        if number == 0:
            return move(number)
        mine = open_ledger(shared_url, busy_timeout_seconds=60)
        mine.join(owner(BOB))
        while True:
            standing = refused(mine.take(BOB, [demand(1, 1_000)], NOW_NS)).standing
            assert standing.spent.cost + standing.held.cost == 1_000
            if standing.held == NOTHING:
                break
        mine.close()
        return None

    ledger = open_ledger(shared_url)
    ledger.join(owner())
    ledger.take(ANN, [demand(1_000, 1_000)], NOW_NS)
    ledger.close()
    in_processes(2, look)


def test_two_processes_close_an_owner_once(shared_url):
    ledger = open_ledger(shared_url)
    ledger.join(owner())

    def close(number: int) -> None:
        mine = open_ledger(shared_url, busy_timeout_seconds=60)
        mine.close_owner(ANN, [charge(ANN, number + 1, LATER_NS + number)], LATER_NS + number)
        mine.close()

    in_processes(6, close)
    assert len(list(ledger.entries())) == len(ledger.orphans(ANN)) == 1
    ledger.close()

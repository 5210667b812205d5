"""Which totals a call belongs to, and what the totals mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.processors.budget_state import Thresholds
from spanbudget.processors.budgets import OTHER_CHILD, Budget, BudgetBook
from spanbudget.processors.call import NO_USAGE, LLMCall
from spanbudget.processors.children import child_labels, child_text
from spanbudget.processors.ledger import NO_SPEND, Spend, SpendKey
from spanbudget.processors.periods import Period
from spanbudget.processors.selectors import CallIdentity, Selector, wildcard_match

USD = 10**12
S = 1_000_000_000
DAY = 86_400 * S
NOON = 20_000 * DAY + DAY // 2
NOBODY = CallIdentity()
OPENAI = CallIdentity("openai", "gpt-5", "gpt-5-latest", "gpt-5-2026-01-01", "flex", "chat")


def budget(name: str = "all", **fields) -> Budget:
    return Budget(**{"name": name, "max_cost": 5 * USD, "period": Period("daily"), **fields})


def names(book: BudgetBook, labels: dict[str, str], identity: CallIdentity = NOBODY) -> list[str]:
    return [key.budget for key in book.windows(tuple(sorted(labels.items())), identity, NOON)]


def children(book: BudgetBook, labels: dict[str, str], end_ns: int = NOON) -> list[str]:
    return [key.child for key in book.windows(tuple(sorted(labels.items())), NOBODY, end_ns)]


@pytest.mark.parametrize(
    ("match", "labels", "matches"),
    [
        ({}, {}, True),
        ({"user": ["alice"]}, {"user": "alice"}, True),
        ({"user": ["alice"]}, {"user": "Alice"}, False),
        ({"user": ["alice"]}, {}, False),
        ({"user": ["*"]}, {}, False),
        ({"user": ["*"]}, {"user": ""}, True),
        ({"enduser.id": ["alice"]}, {"user": "alice"}, True),
        ({"service.name": ["checkout", "search"]}, {"service": "search"}, True),
        ({"service.name": ["checkout", "search"]}, {"service": "mail"}, False),
        ({"deployment.environment": ["prod*"]}, {"environment": "production"}, True),
        ({"tenant.id": ["t1"]}, {"tenant.id": "t1"}, True),
        ({"user": ["alice"], "team": ["a"]}, {"user": "alice", "team": "b"}, False),
    ],
)
def test_a_selector_matches_labels(match, labels, matches):
    book = BudgetBook([budget(selector=Selector.of(match))])
    assert bool(names(book, labels)) is matches


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ({"gen_ai.provider.name": ["openai"]}, True),
        ({"model": ["gpt-5*"]}, True),
        ({"gen_ai.request.model": ["*-latest"]}, True),
        ({"gen_ai.response.model": ["gpt-*-01-01"]}, True),
        ({"tier": ["batch"]}, False),
        ({"operation": ["chat"]}, True),
    ],
)
def test_a_selector_sees_the_call_itself(match, matches):
    book = BudgetBook([budget(selector=Selector.of(match))])
    assert bool(names(book, {}, OPENAI)) is matches
    assert not names(book, {})


def test_a_label_does_not_stand_in_for_what_the_call_says():
    book = BudgetBook([budget(selector=Selector.of({"provider": ["openai"]}))])
    assert not names(book, {"provider": "openai"})


def test_two_names_of_one_label_are_refused():
    with pytest.raises(ValueError, match="both select the label 'user'"):
        Selector.of({"user": ["a"], "user.id": ["b"]})


def test_a_label_without_values_is_refused():
    with pytest.raises(ValueError, match="'user' has no allowed value"):
        Selector.of({"user": []})


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("gpt-5*", "gpt-5", True),
        ("gpt-5*", "gpt-4", False),
        ("*mini", "gpt-5-mini", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c", False),
        ("ab*ba", "aba", False),
        ("a**b", "ab", True),
        ("*", "", True),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("*a*a*a*a*a*a*a*a*b", "a" * 5_000, False),
    ],
)
def test_only_a_star_is_special_in_a_pattern(pattern, value, matches):
    assert wildcard_match(pattern, value) is matches


def test_a_call_belongs_to_the_windows_of_all_its_budgets():
    book = BudgetBook(
        [
            budget("month", period=Period("monthly")),
            budget("other", selector=Selector.of({"user": ["bob"]})),
            budget("each", per=("user",)),
            budget("last-day", period=Period("rolling", rolling_seconds=86_400)),
        ]
    )
    assert book.windows((("user", "alice"),), OPENAI, NOON + 61 * S) == (
        SpendKey("month", "", "monthly:1@UTC", 19_997 * DAY),
        SpendKey("each", "user=alice", "daily@UTC", 20_000 * DAY),
        SpendKey("last-day", "", "rolling:86400s", NOON + 60 * S),
    )


def test_windows_of_reads_labels_identity_and_end_from_the_call():
    call = LLMCall(
        1, 2, 0, "scope", *OPENAI[:4], "chat", False, "flex", NO_USAGE, "unknown", (), NOON - S, NOON, False,
        None, (("user", "alice"),),
    )  # fmt: skip
    book = BudgetBook([budget(selector=Selector.of({"tier": ["flex"], "model": ["gpt-5"]}), per=("user",))])
    assert book.windows_of(call) == book.windows(call.labels, OPENAI, NOON)
    assert book.windows_of(call)[0].child == "user=alice"


@given(st.lists(st.integers(NOON - 2 * DAY, NOON + 2 * DAY), max_size=12))
def test_what_is_remembered_never_changes_the_answer(instants):
    """Late and early spans get the window of their own end, in whatever order they come."""
    budgets = [
        budget("d", per=("user",)),
        budget("h", period=Period("hourly")),
        budget("t", period=Period("total")),
    ]
    book = BudgetBook(budgets)
    for end_ns in instants:
        fresh = BudgetBook(budgets).windows((("user", "a"),), NOBODY, end_ns)
        assert book.windows((("user", "a"),), NOBODY, end_ns) == fresh


def test_label_sets_are_forgotten_at_the_limit():
    book = BudgetBook([budget(per=("user",))], routes_max=10)
    for number in range(100):
        assert children(book, {"user": f"u{number}"}) == [f"user=u{number}"]
    assert len(book._routes) <= 10
    assert len(book._shared) <= 10


def test_budgets_are_found_by_name_and_keep_their_order():
    book = BudgetBook([budget("b"), budget("a")])
    assert [each.name for each in book.budgets] == ["b", "a"]
    assert book.budget("a").name == "a"
    with pytest.raises(KeyError):
        book.budget("c")


def test_two_budgets_of_one_name_are_refused():
    with pytest.raises(ValueError, match="same name"):
        BudgetBook([budget(), budget()])


def test_a_call_without_the_label_is_not_exempt_from_a_per_user_budget():
    book = BudgetBook([budget(per=("user",))])
    assert children(book, {}) == ["user=(unknown)"]
    assert children(book, {"user": "(unknown)"}) == ["user=%28unknown)"]
    assert children(book, {"user": ""}) == ["user="]


ODD = "a,=%~(\x00\x7f\ud800\udfffé"
values = st.dictionaries(
    st.sampled_from(["user", "team"]), st.one_of(st.text(ODD, max_size=5), st.text("xy~", min_size=158))
)


@given(values, values)
def test_two_sets_of_values_never_share_a_child(one, other):
    per = ("team", "user")
    assert (child_text(per, one) == child_text(per, other)) is (one == other)
    child_text(per, one).encode()
    assert all(character >= " " for character in child_text(per, one))


@given(st.dictionaries(st.sampled_from(["user", "team"]), st.text(ODD, max_size=8)))
def test_the_labels_of_a_child_can_be_read_back(labels):
    per = ("team", "user")
    assert child_labels(child_text(per, labels)) == tuple((name, labels.get(name)) for name in per)


def test_a_long_value_is_cut_and_told_apart():
    long = child_text(("user",), {"user": "x" * 161})
    assert long != child_text(("user",), {"user": "x" * 162})
    assert len(long) < 220
    assert (child_labels(long)[0][1] or "").startswith("x" * 160 + "~")
    assert child_labels("") == child_labels(OTHER_CHILD) == ()


def test_children_beyond_the_limit_share_one_and_are_counted():
    book = BudgetBook([budget(per=("user",))], children_max=2)
    seen = [children(book, {"user": user})[0] for user in ("a", "b", "c", "d", "a")]
    assert seen == ["user=a", "user=b", OTHER_CHILD, OTHER_CHILD, "user=a"]
    assert book.folded("all") == 2
    assert book.children("all", NOON) == (OTHER_CHILD, "user=a", "user=b")


def test_a_new_window_has_room_for_new_children():
    book = BudgetBook([budget(per=("user",))], children_max=1)
    assert children(book, {"user": "a"}) + children(book, {"user": "b"}) == ["user=a", OTHER_CHILD]
    assert children(book, {"user": "b"}, NOON + DAY) == ["user=b"]
    assert children(book, {"user": "a"}, NOON + DAY) == [OTHER_CHILD]


def test_the_children_of_a_window_are_those_of_its_calls():
    book = BudgetBook([budget(per=("user",))])
    children(book, {"user": "a"})
    children(book, {"user": "b"}, NOON + DAY)
    assert book.children("all", NOON) == ("user=a",)
    assert book.children("all", NOON + DAY) == ("user=b",)
    assert book.children("all", NOON + 2 * DAY) == ()
    assert book.children("all") == ("user=a", "user=b")


def test_spans_from_wrong_clocks_do_not_hold_up_new_children():
    book = BudgetBook([budget(per=("user",))], children_max=1)
    for years in range(1, 50):
        children(book, {"user": "wrong"}, NOON + years * 365 * DAY)
    assert children(book, {"user": "a"}) == ["user=a"]
    assert children(book, {"user": "b"}, NOON + DAY) == ["user=b"]
    assert len(book._lanes["all"].seen) <= 4


def test_children_of_a_rolling_window_are_bounded_by_its_length():
    book = BudgetBook(
        [budget(per=("user",), period=Period("rolling", rolling_seconds=3_600))], children_max=1
    )
    assert children(book, {"user": "a"}) + children(book, {"user": "b"}, NOON + 60 * S) == [
        "user=a",
        OTHER_CHILD,
    ]
    assert children(book, {"user": "b"}, NOON + 3_660 * S) == ["user=b"]
    assert book.children("all", NOON + 3_660 * S) == (OTHER_CHILD, "user=a", "user=b")


def test_a_plain_budget_is_its_own_child():
    assert BudgetBook([budget()]).children("all", NOON) == ("",)


def test_keys_at_names_the_totals_to_sum():
    book = BudgetBook([budget(), budget("r", period=Period("rolling", rolling_seconds=60))])
    assert book.keys_at("all", "", NOON) == (SpendKey("all", "", "daily@UTC", 20_000 * DAY),)
    keys = book.keys_at("r", "", NOON)
    assert [keys[0].start_ns, keys[-1].start_ns, len(keys)] == [NOON - 60 * S, NOON, 61]
    assert book.windows((), NOBODY, NOON)[1] in keys


@pytest.mark.parametrize(
    ("spent", "status"),
    [
        (0, "ok"),
        (4 * USD - 1, "ok"),
        (4 * USD, "warning"),
        (4 * USD + 1, "warning"),
        (4_500_000_000_000 - 1, "warning"),
        (4_500_000_000_000, "critical"),
        (5 * USD - 1, "critical"),
        (5 * USD, "exceeded"),
        (9 * USD, "exceeded"),
        (-USD, "ok"),
    ],
)
def test_the_status_changes_at_exactly_its_percent(spent, status):
    """5 USD: warning at 80 % = 4.00 USD, critical at 90 % = 4.50 USD, exceeded at 5.00 USD."""
    state = BudgetBook([budget()]).state("all", "", Spend(cost=spent), NOON)
    assert state.status == status
    assert not state.suspended


def test_money_beyond_the_precision_of_floats_is_compared_exactly():
    limit = 10**9 * USD + 1
    book = BudgetBook([budget(max_cost=limit)])
    assert book.state("all", "", Spend(cost=limit - 1), NOON).status == "critical"
    assert book.state("all", "", Spend(cost=limit), NOON).status == "exceeded"


def test_the_fullest_limit_decides():
    book = BudgetBook([budget(max_tokens=1_000, max_requests=10)])
    state = book.state("all", "", Spend(cost=USD, tokens=950, requests=3), NOON)
    assert (state.status, state.utilization) == ("critical", 0.95)
    assert (state.remaining_cost, state.remaining_tokens, state.remaining_requests) == (4 * USD, 50, 7)


def test_a_limit_that_is_not_set_has_no_remainder():
    state = BudgetBook([Budget(name="r", max_requests=1)]).state("r", "", NO_SPEND, NOON)
    assert (state.remaining_cost, state.remaining_tokens, state.remaining_requests) == (None, None, 1)


def test_auto_suspend_suspends_an_exceeded_budget():
    book = BudgetBook([budget(auto_suspend=True)])
    assert book.state("all", "", Spend(cost=5 * USD), NOON).status == "suspended"
    assert book.state("all", "", Spend(cost=5 * USD), NOON).suspended
    assert not book.state("all", "", Spend(cost=5 * USD - 1), NOON).suspended


def test_reserved_money_lowers_what_remains_and_not_the_status():
    state = BudgetBook([budget()]).state("all", "", Spend(cost=USD), NOON, reserved=4 * USD)
    assert (state.remaining_cost, state.status, state.utilization) == (0, "ok", 0.2)


def test_a_state_names_its_window():
    book = BudgetBook([budget(), budget("r", period=Period("rolling", rolling_seconds=60))])
    assert book.state("all", "", NO_SPEND, NOON).window == (20_000 * DAY, 20_001 * DAY)
    assert book.state("r", "", NO_SPEND, NOON).window == (NOON - 60 * S, NOON + S)


def test_own_thresholds_are_used():
    book = BudgetBook([budget(thresholds=Thresholds(50, 100))])
    assert book.state("all", "", Spend(cost=2_500_000_000_000), NOON).status == "warning"
    assert book.state("all", "", Spend(cost=5 * USD - 1), NOON).status == "warning"


@pytest.mark.parametrize(
    "limits", [{}, {"max_cost": 0}, {"max_tokens": -1}, {"max_cost": 1, "max_requests": 0}]
)
def test_a_budget_needs_a_limit_above_zero(limits):
    with pytest.raises(ValueError, match="budget 'b' needs a limit"):
        Budget(name="b", **limits)


@pytest.mark.parametrize("percents", [(90, 80), (80, 80), (0, 90), (80, 101)])
def test_thresholds_ascend_within_100(percents):
    with pytest.raises(ValueError, match="warning < critical"):
        Thresholds(*percents)

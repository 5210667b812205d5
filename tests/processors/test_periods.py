"""Windows of every kind of period, on the days when clocks do something odd."""

import pickle
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spanbudget.processors.periods import INSTANT_MAX_NS, Period, Window, WindowMemo, _day_start

S = 1_000_000_000
H = 3_600 * S

ZONES = [
    "UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/St_Johns",
    "America/Sao_Paulo", "America/Havana", "America/Caracas", "America/Asuncion", "Africa/Cairo",
    "Africa/Casablanca", "Africa/Monrovia", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Tehran", "Asia/Beirut",
    "Asia/Gaza", "Asia/Pyongyang", "Australia/Lord_Howe", "Australia/Eucla", "Pacific/Apia",
    "Pacific/Kwajalein", "Pacific/Chatham", "Pacific/Kiritimati", "Atlantic/Azores", "Antarctica/Troll",
    "Antarctica/Casey", "America/Scoresbysund", "Etc/GMT+12",
]  # fmt: skip


def at(text: str, zone: str = "UTC", fold: int = 0) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(moment.timestamp()) * S


def wall(at_ns: int, zone: str) -> str:
    return datetime.fromtimestamp(at_ns / S, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def hours(window: Window) -> float:
    return (window.end_ns - window.start_ns) / H


@pytest.mark.parametrize(
    ("day", "zone", "length"),
    [
        ("2026-03-28", "Europe/Berlin", 24),
        ("2026-03-29", "Europe/Berlin", 23),
        ("2026-10-25", "Europe/Berlin", 25),
        ("2026-04-05", "Australia/Lord_Howe", 24.5),
        ("2026-10-04", "Australia/Lord_Howe", 23.5),
        ("2018-11-04", "America/Sao_Paulo", 23),
        ("2018-02-17", "America/Sao_Paulo", 25),
        ("2026-04-24", "Africa/Cairo", 23),
        ("2026-03-08", "America/Havana", 23),
        ("2026-11-01", "America/Havana", 25),
    ],
)
def test_a_day_is_as_long_as_its_clock_says(day, zone, length):
    window = Period("daily", zone).window(at(f"{day} 12:00", zone))
    assert hours(window) == length
    assert wall(window.start_ns, zone).startswith(day)


@pytest.mark.parametrize(
    ("day", "zone"),
    [("2018-11-04", "America/Sao_Paulo"), ("2026-04-24", "Africa/Cairo"), ("2026-03-08", "America/Havana")],
)
def test_a_day_without_midnight_starts_at_one(day, zone):
    window = Period("daily", zone).window(at(f"{day} 12:00", zone))
    assert wall(window.start_ns, zone) == f"{day} 01:00"


def test_a_midnight_that_comes_twice_starts_the_day_the_first_time():
    window = Period("daily", "America/Havana").window(at("2026-11-01 12:00", "America/Havana"))
    assert window.start_ns == at("2026-11-01 00:00", "America/Havana", fold=0)


def test_a_clock_that_falls_back_over_midnight_does_not_reopen_the_old_day():
    """St. John's fell back at 00:01 to 23:01: the repeated 23:30 belongs to the day that has begun."""
    zone = "America/St_Johns"
    repeated = Period("daily", zone).window(at("2010-11-06 23:30", zone, fold=1))
    assert repeated == Period("daily", zone).window(at("2010-11-07 12:00", zone))
    assert hours(repeated) == 25


def test_the_day_that_apia_skipped_has_no_window():
    period = Period("daily", "Pacific/Apia")
    before = period.window(at("2011-12-29 12:00", "Pacific/Apia"))
    after = period.window(at("2011-12-31 12:00", "Pacific/Apia"))
    assert before.end_ns == after.start_ns
    assert (hours(before), hours(after)) == (24, 24)


def test_a_jump_over_midnight_starts_the_day_at_the_jump():
    """Toronto went from 23:30 on 1919-03-30 to 00:30 on the 31st: the day begins at 00:30, not at 01:00."""
    zone = "America/Toronto"
    start_ns = _day_start(date(1919, 3, 31), ZoneInfo(zone)) * S
    assert wall(start_ns, zone) == "1919-03-31 00:30"
    assert wall(start_ns - S, zone) == "1919-03-30 23:29"


def test_the_repeated_hour_is_two_hours():
    period = Period("hourly", "Europe/Berlin")
    first = period.window(at("2026-10-25 02:30", "Europe/Berlin", fold=0))
    second = period.window(at("2026-10-25 02:30", "Europe/Berlin", fold=1))
    assert first.end_ns == second.start_ns
    assert (hours(first), hours(second)) == (1, 1)


@pytest.mark.parametrize(
    ("zone", "offset_minutes"), [("Asia/Kathmandu", 45), ("Asia/Kolkata", 30), ("Pacific/Chatham", 45)]
)
def test_hours_start_on_the_full_local_hour(zone, offset_minutes):
    window = Period("hourly", zone).window(at("2026-06-01 12:34", zone))
    assert wall(window.start_ns, zone) == "2026-06-01 12:00"
    assert window.start_ns // (60 * S) % 60 == 60 - offset_minutes
    assert hours(window) == 1


def test_a_jump_of_half_an_hour_cuts_the_hour():
    """Lord Howe falls back from 02:00 to 01:30: 01:00-02:00, then 01:30-02:00, then 02:00-03:00."""
    zone, period = "Australia/Lord_Howe", Period("hourly", "Australia/Lord_Howe")
    window = period.window(at("2026-04-05 01:10", zone))
    lengths = []
    for _ in range(3):
        lengths.append(hours(window))
        window = period.window(window.end_ns)
    assert lengths == [1, 0.5, 1]


def test_a_jump_in_the_middle_of_an_hour_ends_the_hour():
    """Caracas went from 02:30 to 03:00: 02:00-02:30, then 03:00-04:00."""
    zone, period = "America/Caracas", Period("hourly", "America/Caracas")
    window = period.window(at("2016-05-01 02:10", zone))
    assert (wall(window.start_ns, zone), hours(window)) == ("2016-05-01 02:00", 0.5)
    following = period.window(window.end_ns)
    assert (wall(following.start_ns, zone), hours(following)) == ("2016-05-01 03:00", 1)


@pytest.mark.parametrize(
    ("week_start", "start"), [("monday", "2026-06-08"), ("sunday", "2026-06-07"), ("wednesday", "2026-06-10")]
)
def test_a_week_starts_on_its_day(week_start, start):
    window = Period("weekly", week_start=week_start).window(at("2026-06-10 00:00"))
    assert window == (at(f"{start} 00:00"), at(f"{start} 00:00") + 7 * 24 * H)


@pytest.mark.parametrize(
    ("moment", "anchor_day", "start", "end"),
    [
        ("2026-01-31 00:00", 31, "2026-01-31", "2026-02-28"),
        ("2026-02-28 00:00", 31, "2026-02-28", "2026-03-31"),
        ("2024-02-29 00:00", 31, "2024-02-29", "2024-03-31"),
        ("2026-01-01 00:00", 15, "2025-12-15", "2026-01-15"),
        ("2026-01-14 23:59", 15, "2025-12-15", "2026-01-15"),
        ("2026-01-15 00:00", 15, "2026-01-15", "2026-02-15"),
        ("2026-12-31 00:00", 1, "2026-12-01", "2027-01-01"),
    ],
)
def test_a_month_starts_on_its_anchor_day(moment, anchor_day, start, end):
    window = Period("monthly", anchor_day=anchor_day).window(at(moment))
    assert window == (at(f"{start} 00:00"), at(f"{end} 00:00"))


@pytest.mark.parametrize(
    ("moment", "start", "end"),
    [
        ("2026-02-27 23:59", "2025-02-28", "2026-02-28"),
        ("2028-02-29 00:00", "2028-02-29", "2029-02-28"),
        ("2028-02-28 23:59", "2027-02-28", "2028-02-29"),
    ],
)
def test_a_year_anchored_on_leap_day_starts_on_the_last_of_february(moment, start, end):
    window = Period("yearly", anchor_month=2, anchor_day=29).window(at(moment))
    assert window == (at(f"{start} 00:00"), at(f"{end} 00:00"))


def test_total_has_one_window():
    period = Period("total")
    assert period.window(0) == period.window(at("2026-06-01")) == (0, INSTANT_MAX_NS)


@pytest.mark.parametrize("at_ns", [-1, INSTANT_MAX_NS, 2**64])
@pytest.mark.parametrize("kind", ["hourly", "daily", "weekly", "monthly", "yearly", "total"])
def test_instants_outside_of_time_go_to_the_first_or_the_last_window(kind, at_ns):
    period = Period(kind, "Europe/Berlin")
    assert period.window(at_ns) == period.window(0 if at_ns < 0 else INSTANT_MAX_NS - 1)


@given(
    zone=st.sampled_from(ZONES),
    kind=st.sampled_from(["hourly", "daily", "weekly", "monthly", "yearly", "total"]),
    at_ns=st.one_of(st.integers(0, 4_102_444_800 * S), st.integers(0, INSTANT_MAX_NS - 1)),
    week_start=st.sampled_from(["monday", "saturday", "sunday"]),
    anchor_day=st.integers(1, 31),
    anchor_month=st.integers(1, 12),
)
@settings(max_examples=500, deadline=None)
@example("Pacific/Apia", "daily", at("2011-12-31 12:00", "Pacific/Apia"), "monday", 1, 1)
@example("Pacific/Apia", "monthly", at("2011-12-31 12:00", "Pacific/Apia"), "monday", 30, 1)
@example("America/St_Johns", "daily", at("2010-11-06 23:30", "America/St_Johns", 1), "monday", 1, 1)
@example("America/St_Johns", "hourly", at("2010-11-06 23:30", "America/St_Johns", 1), "monday", 1, 1)
@example("Africa/Monrovia", "hourly", at("1972-01-07 00:20"), "monday", 1, 1)
def test_windows_partition_time(zone, kind, at_ns, week_start, anchor_day, anchor_month):
    """Every instant is in exactly one window, and the neighbours touch it without a gap."""
    period = Period(kind, zone, week_start, anchor_day, anchor_month)
    window = period.window(at_ns)
    assert window.start_ns <= at_ns < window.end_ns
    for inside in (window.start_ns, (window.start_ns + window.end_ns) // 2, window.end_ns - 1):
        if 0 <= inside < INSTANT_MAX_NS:
            assert period.window(inside) == window
    if window.start_ns > 0:
        assert period.window(window.start_ns - 1).end_ns == window.start_ns
    if window.end_ns < INSTANT_MAX_NS:
        assert period.window(window.end_ns).start_ns == window.end_ns


@pytest.mark.parametrize("zone", ZONES)
def test_windows_partition_the_hours_around_every_jump(zone):
    """Walks each jump of 2005 to 2025: hourly and daily windows follow each other and hold what they say."""
    tz, day_s = ZoneInfo(zone), 86_400
    offsets = [datetime.fromtimestamp(s, tz).utcoffset() for s in range(1_104_537_600, 1_767_225_600, day_s)]
    jumps = [i for i in range(1, len(offsets)) if offsets[i] != offsets[i - 1]]
    for kind in ("hourly", "daily"):
        period = Period(kind, zone)
        for jump in jumps[::4]:
            moment = (1_104_537_600 + (jump - 2) * day_s) * S
            stop = moment + 3 * 24 * H
            while moment < stop:
                window = period.window(moment)
                assert window.start_ns <= moment < window.end_ns
                assert period.window(window.end_ns - 1) == window
                assert period.window(window.end_ns).start_ns == window.end_ns
                moment = window.end_ns


@pytest.mark.parametrize(
    ("seconds", "slice_seconds"),
    [(60, 1), (1_440, 1), (2_159, 1), (2_160, 2), (86_400, 60), (7 * 86_400, 420), (400 * 86_400, 24_000)],
)
def test_a_slice_is_a_1440th_in_whole_seconds(seconds, slice_seconds):
    assert Period("rolling", rolling_seconds=seconds).slice_seconds == slice_seconds


@given(
    seconds=st.integers(60, 400 * 86_400),
    now_ns=st.integers(500 * 86_400 * S, 4_102_444_800 * S),
    age=st.floats(0, 1.1),
)
@settings(max_examples=300, deadline=None)
def test_a_rolling_sum_has_all_that_is_inside_and_at_most_a_slice_more(seconds, now_ns, age):
    period = Period("rolling", rolling_seconds=seconds)
    spent_ns = now_ns - int(seconds * S * age)
    counted = period.window(spent_ns).start_ns in period.slices(now_ns)
    if now_ns - spent_ns <= seconds * S:
        assert counted
    if now_ns - spent_ns > (seconds + period.slice_seconds) * S:
        assert not counted
    assert len(period.slices(now_ns)) <= 2_160
    span = period.span(now_ns)
    assert span.start_ns <= now_ns - seconds * S
    assert now_ns < span.end_ns


def test_a_calendar_period_has_one_total():
    period, now_ns = Period("monthly"), at("2026-06-10 12:00")
    assert list(period.slices(now_ns)) == [at("2026-06-01 00:00")]
    assert period.span(now_ns) == period.window(now_ns)


@pytest.mark.parametrize(
    ("period", "text"),
    [
        (Period("hourly"), "hourly@UTC"),
        (Period("daily", "Europe/Berlin"), "daily@Europe/Berlin"),
        (Period("weekly", week_start="sunday"), "weekly:sunday@UTC"),
        (Period("monthly", anchor_day=15), "monthly:15@UTC"),
        (Period("yearly", anchor_month=4, anchor_day=6), "yearly:04-06@UTC"),
        (Period("total", "Europe/Berlin"), "total"),
        (Period("rolling", rolling_seconds=86_400), "rolling:86400s"),
    ],
)
def test_the_text_names_what_cuts_the_windows(period, text):
    assert period.text == text


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "fortnightly"},
        {"kind": "daily", "zone": "Europe/Berln"},
        {"kind": "daily", "zone": ""},
        {"kind": "daily", "zone": "America"},
        {"kind": "daily", "zone": "../../etc/passwd"},
        {"kind": "daily", "zone": "right/Europe/Berlin"},
        {"kind": "daily", "zone": "localtime"},
        {"kind": "weekly", "week_start": "mon"},
        {"kind": "monthly", "anchor_day": 0},
        {"kind": "monthly", "anchor_day": 32},
        {"kind": "yearly", "anchor_month": 13},
        {"kind": "rolling"},
        {"kind": "rolling", "rolling_seconds": 59},
        {"kind": "rolling", "rolling_seconds": 400 * 86_400 + 1},
        {"kind": "daily", "rolling_seconds": 60},
    ],
)
def test_a_wrong_period_is_refused(wrong):
    with pytest.raises(ValueError):
        Period(**wrong)


def test_a_memo_answers_as_the_period_does():
    period = Period("hourly", "Europe/Berlin")
    memo = WindowMemo(period)
    for moment in (
        at("2026-06-10 12:00"),
        at("2026-06-10 12:59"),
        at("2026-06-10 13:00"),
        at("2026-06-10 12:01"),
    ):
        assert memo.window(moment) == period.window(moment)
    assert memo.window(moment) is memo.window(moment)


def test_a_period_can_be_pickled_and_compared():
    period = Period("daily", "Europe/Berlin")
    assert pickle.loads(pickle.dumps(period)) == period  # noqa: S301 - our own bytes
    assert hash(period) == hash(Period("daily", "Europe/Berlin"))

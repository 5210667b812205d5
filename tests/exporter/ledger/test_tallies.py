"""Sums over entries; each test runs on SQLite and on PostgreSQL, and the truth is summed in Python."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from ledger_calls import START_NS, booked, reversed_entry
from ready_ledger import put_ledger

from spanbudget.exporter.ledger import DurableLedger, open_ledger
from spanbudget.exporter.ledger.postgres import PostgresLedger
from spanbudget.exporter.ledger.tallies import (
    Gathering,
    LedgerTallies,
    Row,
    Tally,
    TallyQuestion,
    open_tallies,
    pieces,
)
from spanbudget.processors.call import Usage
from spanbudget.processors.errors import LedgerError
from spanbudget.processors.ledger import Entry
from spanbudget.processors.names_out import DURATION_BOUNDS_SECONDS, OTHER

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
LABELS = ("team", "gen_ai.agent.name", "größe", 'say "hi"', "back\\slash", "[0]", "absent")


class Opened:
    """A ledger, and its readers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ledger: DurableLedger = open_ledger(url)
        self._readers: list[LedgerTallies] = []

    def reader(self, *labels: str) -> LedgerTallies:
        self._readers.append(open_tallies(self.url, question=TallyQuestion(labels), within=self.ledger))
        return self._readers[-1]

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self.ledger.close()


@pytest.fixture(params=["sqlite", "memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def opened(request, tmp_path) -> Iterator[Opened]:
    urls: dict[str, Callable[[], str]] = {
        "sqlite": lambda: f"sqlite:///{put_ledger(tmp_path / 'ledger.db')}",
        "memory": lambda: "sqlite://",
        "postgres": lambda: request.getfixturevalue("postgres_url"),
    }
    made = Opened(urls[request.param]())
    yield made
    made.close()


def lasting(number: int, seconds: float, **changes: Any) -> Entry:
    start_ns = START_NS + number * SECOND
    return booked(number, start_ns=start_ns, end_ns=start_ns + round(seconds * SECOND), **changes)


def summed(entries: Sequence[Entry], labels: Sequence[str] = (), step_ns: int = 0) -> list[Tally]:
    """What the database is to answer."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for entry in entries:
        call = entry.priced.call
        sign = -1 if entry.kind == "reversal" else 1
        known = dict(call.labels)
        key = (
            call.end_ns // step_ns * step_ns if step_ns else 0,
            *(call.provider, call.model, call.request_model, call.response_model, call.operation, call.tier),
            *(call.failed, entry.priced.confidence),
            tuple((name, known[name]) for name in labels if name in known),
        )
        seconds = max(0, call.end_ns - call.start_ns)
        bounds = [bound * SECOND for bound in DURATION_BOUNDS_SECONDS]
        place = sum(seconds > bound for bound in bounds)
        usage = call.usage
        numbers = [
            *(1, int(entry.priced.cost is None), entry.priced.cost or 0),
            *(usage.input or 0, usage.cache_read or 0, usage.cache_write or 0, usage.output or 0, seconds),
            *(int(index == place) for index in range(len(bounds) + 1)),
        ]
        group = groups.setdefault(key, [0] * len(numbers))
        groups[key] = [one + sign * other for one, other in zip(group, numbers, strict=True)]
    return in_order(Tally._make((*key, *numbers[:8], tuple(numbers[8:]))) for key, numbers in groups.items())


def in_order(tallies: Any) -> list[Tally]:
    return sorted(tallies, key=repr)


def various(seed: int, count: int) -> list[Entry]:
    rnd = random.Random(seed)
    made = []
    for number in range(count):
        call = lasting(
            number,
            rnd.choice((*DURATION_BOUNDS_SECONDS, 0.0, 100.0, rnd.random() * 90)),
            provider=rnd.choice(["openai", "anthropic", None]),
            model=rnd.choice(["gpt-5", "claude", None, "mod\x00el \ud800"]),
            request_model=rnd.choice(["gpt-5", None]),
            tier=rnd.choice(["default", None]),
            failed=rnd.random() < 0.2,
            usage=Usage(
                rnd.choice([None, 0, rnd.randrange(9_000)]),
                rnd.choice([None, 7]),
                None,
                output=rnd.randrange(99),
            ),
            labels=tuple(
                sorted(
                    (name, rnd.choice(["a", "😀 b", "\x00", "\ud800", '"\\u0041\n'])) for name in LABELS[:-1]
                )
            ),
            cost=rnd.choice([None, 0, rnd.randrange(10**13)]),
        )
        made.append(call)
        if rnd.random() < 0.1:
            made.append(reversed_entry(call))
    return made


def test_an_empty_ledger_has_no_tallies(opened):
    reader = opened.reader()
    assert reader.max_seq() == 0
    assert reader.tallies_after(0) == ([], 0)
    assert list(reader.tallies_between(0, 2**63 - 1, MINUTE)) == []


def test_the_database_sums_as_python_does(opened):
    made = various(1, 300)
    opened.ledger.append(made)
    labels = ("team", "gen_ai.agent.name", "absent")
    reader = opened.reader(*labels)
    assert in_order(reader.tallies_after(0)[0]) == summed(made, labels)
    assert in_order(reader.tallies_between(0, 2**63 - 1, MINUTE)) == summed(made, labels, MINUTE)


@pytest.mark.parametrize("name", LABELS)
def test_a_label_of_any_name_and_value_is_told(opened, name):
    made = various(2, 60)
    opened.ledger.append(made)
    found = in_order(opened.reader(name).tallies_after(0)[0])
    expected = summed(made, [name])
    if name == 'say "hi"' and not isinstance(opened.ledger, PostgresLedger):
        # SQLite ends a text that it reads itself at a NUL; such a name with such a value is seen nowhere.
        assert sum(one.cost for one in found) == sum(one.cost for one in expected)
    else:
        assert found == expected


def test_labels_are_told_apart_only_where_they_are_asked_for(opened):
    opened.ledger.append([booked(n, labels=(("session", f"s{n}"), ("team", "a"))) for n in range(100)])
    (tally,) = opened.reader("team").tallies_after(0)[0]
    assert (tally.requests, tally.labels) == (100, (("team", "a"),))


def test_what_was_told_is_not_told_again(opened):
    reader = opened.reader()
    opened.ledger.append([booked(1), booked(2)])
    first, seq = reader.tallies_after(0)
    assert (first[0].requests, first[0].cost) == (2, 9_000_000)
    opened.ledger.append([booked(2), booked(3)])
    (second,), last = reader.tallies_after(seq)
    assert (second.requests, second.cost) == (1, 4_500_000)
    assert reader.tallies_after(last) == ([], last)


def test_a_reversal_takes_out_what_its_call_brought(opened):
    reader = opened.reader()
    opened.ledger.append([lasting(1, 3.0)])
    (call,), seq = reader.tallies_after(0)
    opened.ledger.append([reversed_entry(lasting(1, 3.0))])
    (reversal,), _ = reader.tallies_after(seq)
    assert [-one for one in reversal[10:18]] == list(call[10:18])
    assert [-one for one in reversal.durations] == list(call.durations)
    assert reader.tallies_after(0)[0][0].durations == (0,) * 15


def test_history_and_what_follows_join_without_gap_or_overlap(opened):
    made = various(3, 200)
    reader = opened.reader()
    opened.ledger.append(made[:120])
    last = reader.max_seq()
    opened.ledger.append(made[120:])
    history = list(reader.tallies_between(0, 2**63 - 1, 1, last_seq=last))
    after, _ = reader.tallies_after(last)
    assert sum(one.requests for one in history) + sum(one.requests for one in after) == sum(
        -1 if entry.kind == "reversal" else 1 for entry in made
    )
    assert in_order(history) == summed(made[:120], (), 1)


def test_a_stretch_of_time_is_half_open(opened):
    opened.ledger.append([booked(n, start_ns=START_NS, end_ns=START_NS + n * SECOND) for n in range(4)])
    reader = opened.reader()
    found = list(reader.tallies_between(START_NS + SECOND, START_NS + 3 * SECOND, SECOND))
    assert [one.bucket_ns for one in found] == [START_NS + SECOND, START_NS + 2 * SECOND]


def test_durations_at_a_bound_are_below_it(opened):
    """10 ms is in the first bucket, 10 ms and 1 ns in the second, 81.92 s in the 14th, more in the 15th."""
    durations = (10_000_000, 10_000_001, 81_920_000_000, 81_920_000_001)
    opened.ledger.append(
        [booked(n, start_ns=START_NS, end_ns=START_NS + ns) for n, ns in enumerate(durations)]
    )
    (tally,) = opened.reader().tallies_after(0)[0]
    assert tally.durations == (1, 1, *(0,) * 11, 1, 1)
    assert tally.duration_ns == sum(durations)


ABSURD = [
    booked(1, cost=2**70, windows=()),
    booked(2, cost=2**62, windows=()),
    booked(3, cost=2**62, windows=()),
    booked(4, cost=-(2**80), windows=()),
    booked(5, usage=Usage(input=2**64, output=2**62), windows=()),
    booked(6, usage=Usage(input=2**62, output=2**62), windows=()),
    booked(7, start_ns=-(2**63) + 1, windows=()),
    booked(8, start_ns=2**65, windows=()),
    booked(9, windows=()),
    reversed_entry(booked(1, cost=2**70, windows=())),
]


def test_absurd_numbers_are_summed_exactly(opened):
    """Pico-USD: 2**70 - 2**70 + 2 * 2**62 - 2**80 + 5 * 4.5e6; also beyond what SQLite can add."""
    opened.ledger.append(ABSURD)
    reader = opened.reader()
    assert in_order(reader.tallies_after(0)[0]) == summed(ABSURD)
    (tally,) = reader.tallies_after(0)[0]
    assert tally.cost == 2 * 2**62 - 2**80 + 5 * 4_500_000
    assert in_order(reader.tallies_between(0, 2**70, MINUTE)) == summed(ABSURD, (), MINUTE)


def test_an_end_beyond_any_calendar_is_counted_when_it_comes_and_in_no_history(opened):
    late = booked(1, end_ns=2**65, windows=())
    opened.ledger.append([late, booked(2, windows=())])
    reader = opened.reader()
    assert in_order(reader.tallies_after(0)[0]) == summed([late, booked(2)])
    assert sum(one.requests for one in reader.tallies_between(0, 2**63 - 1, MINUTE)) == 1


def test_a_reader_does_not_make_a_writer_wait(tmp_path):
    opened = Opened(f"sqlite:///{tmp_path / 'ledger.db'}")
    opened.ledger.append(various(4, 50))
    reading = opened.reader().tallies_between(0, 2**63 - 1, 1)
    next(reading)
    opened.ledger.append([booked(999)])
    assert sum(1 for _ in reading) > 10
    opened.close()


def test_groups_beyond_the_bound_become_other_and_no_call_is_lost():
    gathering = Gathering(TallyQuestion(("user",), ()), 0, groups_max=3)
    columns = ("openai", "gpt-5", None, None, "chat", None, 0, "exact", "call")
    gathering.add(Row(0, columns, (f"u{n}",), (1, 1, 5, 0, 0, 0, 0, 0)) for n in range(10))
    found = gathering.tallies()
    assert [one.requests for one in found] == [1, 1, 1, 7]
    assert (found[-1].model, found[-1].labels, found[-1].cost) == (OTHER, (("user", OTHER),), 35)


def test_pieces_cover_a_stretch_in_whole_steps_and_are_few():
    cut = list(pieces((105, 10_000), 100, 10_005, 10))
    assert len(cut) <= 257
    assert (cut[0][0], cut[-1][1]) == (100, 10_005)
    assert all(one[1] == other[0] and one[1] % 10 == 0 for one, other in pairwise(cut))


@pytest.mark.postgres
def test_an_entry_that_is_committed_late_is_neither_missed_nor_told_twice(postgres, postgres_url):
    """The first append gets the lower numbers and is still open when the second one is committed."""
    opened = Opened(postgres_url)
    reader = opened.reader()
    copied = (
        b"INSERT INTO entries (id, end_ns, start_ns, parent_id, labels, kind, scope, operation, aggregate,"
    )
    copied += b" usage_confidence, cost_confidence, failed, cost_input_pico, cost_cache_read_pico,"
    copied += (
        b" cost_cache_write_pico, cost_output_pico) VALUES ('late', 1, 0, 0, '{}', 'call', '', 'chat', 0,"
    )
    copied += b" 'exact', 'exact', 0, 0, 0, 0, 0)"
    with postgres.connect(postgres_url.rpartition("/")[2]) as late:
        late.execute("BEGIN")
        late.execute(copied)
        opened.ledger.append([booked(1)])
        with pytest.raises(LedgerError, match=r"append is under way.*ask again"):
            reader.tallies_after(0)
        late.execute("COMMIT")
    tallies, last = reader.tallies_after(0)
    assert sum(one.requests for one in tallies) == 2
    assert reader.tallies_after(last) == ([], last)
    opened.close()


@pytest.mark.postgres
def test_a_reader_beside_many_writers_sees_every_entry_once(postgres_url):
    """4 writers of 50 entries each, in batches of 1."""

    def write(first: int) -> None:
        ledger = open_ledger(postgres_url)
        for number in range(first, first + 50):
            ledger.append([booked(number, windows=())])
        ledger.close()

    opened = Opened(postgres_url)
    reader = opened.reader()
    writers = [threading.Thread(target=write, args=(1_000 * n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    seen, seq, running = 0, 0, True
    while running:
        running = any(writer.is_alive() for writer in writers)
        tallies, seq = reader.tallies_after(seq)
        seen += sum(one.requests for one in tallies)
    assert seen == 200
    opened.close()

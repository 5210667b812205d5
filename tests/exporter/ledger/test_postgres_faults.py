import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
from cut_wire import CutWire
from forked import in_child
from hold_requests import ME, NOW_NS, POT, asking, counted, join
from ledger_calls import ALL, booked, random_entries
from postgres_server import PASSWORD

from spanbudget.exporter.ledger import postgres_statements as sql
from spanbudget.exporter.ledger.postgres import PostgresLedger
from spanbudget.exporter.ledger.postgres_session import BEGIN
from spanbudget.exporter.ledger.postgres_store import Statement
from spanbudget.processors.errors import LedgerError
from spanbudget.processors.holds import Owner, OwnerLostError, Settlement
from spanbudget.processors.ledger import Entry
from spanbudget.processors.limits import Amount, admit

pytestmark = pytest.mark.postgres


@pytest.fixture
def ledger(postgres_url) -> Iterator[PostgresLedger]:
    opened = PostgresLedger(postgres_url)
    yield opened
    opened.close()


def until_it_works(ledger: PostgresLedger, entries: list[Entry]) -> int:
    """Appends until it succeeds; answers with how often it failed."""
    failures = 0
    while True:
        try:
            ledger.append(entries)
        except LedgerError:
            failures += 1
            time.sleep(0.01)
        else:
            return failures


def test_processes_that_append_the_same_entries_in_opposite_orders_get_through(postgres_url):
    """Each waits for an entry of the other's transaction; the server breaks one off, which is tried again."""
    made = random_entries(1, 600)

    def append(entries: list[Entry]) -> None:
        mine = PostgresLedger(postgres_url, busy_timeout_seconds=20)
        for start in range(0, 600, 200):
            mine.append(entries[start : start + 200])
        mine.close()

    children = [in_child(partial(append, made[::order])) for order in (1, -1, 1, -1)]
    assert [os.waitpid(one, 0)[1] for one in children] == [0] * 4
    ledger = PostgresLedger(postgres_url)
    total = ledger.spend([ALL])[ALL]
    assert total.requests == len(list(ledger.entries())) == 600
    assert total.cost == sum(entry.priced.cost or 0 for entry in made)
    ledger.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_was_restarted_fails_one_call_and_loses_nothing(ledger, postgres, how):
    join(ledger)
    ledger.append([booked(1)])
    ledger.take(ME, [asking(10)], NOW_NS)
    postgres.restart(how)
    with pytest.raises(LedgerError):
        ledger.append([booked(2)])
    assert ledger.append([booked(2)]).spend[ALL].requests == 2
    assert ledger.held([POT]) == {POT: Amount(10)}
    ledger.settle(Settlement(ME, 1, [booked(3)], {POT: Amount(10)}))
    assert counted(ledger) == 3


def test_a_server_that_is_down_is_explained_and_used_again_when_it_is_up(ledger, postgres):
    postgres.stop()
    for _ in range(3):
        with pytest.raises(LedgerError, match=r"\*\*\*@127.*(is stopping|cannot be used)") as caught:
            ledger.append([booked(1)])
        assert PASSWORD not in str(caught.value)
    postgres.start()
    ledger.append([booked(1)])
    assert counted(ledger) == 1


def test_nothing_is_lost_or_doubled_while_the_server_is_stopped_and_killed(postgres_url, postgres):
    """2,000 entries by two processes that try each batch again; the server goes away five times."""
    batches = [[random_entries(seed, 1_000)[n : n + 10] for n in range(0, 1_000, 10)] for seed in (1, 2)]

    def append(mine: list[list[Entry]]) -> None:
        ledger = None
        failures = 0
        while ledger is None:
            try:
                ledger = PostgresLedger(postgres_url)
            except LedgerError:
                time.sleep(0.01)
        for batch in mine:
            failures += until_it_works(ledger, batch)
            time.sleep(0.005)
        ledger.close()
        assert failures

    children = [in_child(partial(append, mine)) for mine in batches]
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGINT, signal.SIGQUIT, signal.SIGQUIT):
        time.sleep(0.12)
        postgres.restart(how)
    assert [os.waitpid(one, 0)[1] for one in children] == [0, 0]
    ledger = PostgresLedger(postgres_url)
    made = [entry for mine in batches for batch in mine for entry in batch]
    total = ledger.spend([ALL])[ALL]
    assert total.requests == len(list(ledger.entries())) == 2_000
    assert total.cost == sum(entry.priced.cost or 0 for entry in made)
    ledger.close()


@pytest.fixture
def wire(postgres) -> Iterator[CutWire]:
    made = CutWire(postgres.port)
    yield made
    made.close()


@pytest.fixture
def wired(postgres, postgres_url, wire) -> Iterator[PostgresLedger]:
    """A ledger whose connection can be cut."""
    opened = PostgresLedger(postgres.url(postgres_url.rpartition("/")[2], port=wire.port))
    yield opened
    opened.close()


def test_a_take_whose_commit_was_not_answered_holds_nothing(wired, wire, ledger):
    """The server has committed, the caller was told that it failed: the next use takes it back."""
    join(wired)
    wired.take(ME, [asking(3)], NOW_NS)
    wire.cut_after = b"COMMIT\x00"
    with pytest.raises(LedgerError):
        wired.take(ME, [asking(5)], NOW_NS)
    assert ledger.held([POT]) == {POT: Amount(8)}
    assert wired.held([POT]) == {POT: Amount(3)}
    assert ledger.held([POT]) == {POT: Amount(3)}
    assert wired.held([POT]) == {POT: Amount(3)}


def test_a_take_that_was_cut_before_its_commit_holds_nothing(wired, wire, ledger):
    join(wired)
    wired.take(ME, [asking(3)], NOW_NS)
    wire.cut_after = b"pg_advisory_xact_lock"
    with pytest.raises(LedgerError):
        wired.take(ME, [asking(5)], NOW_NS)
    assert wired.held([POT]) == {POT: Amount(3)}
    assert ledger.held([POT]) == {POT: Amount(3)}


def test_a_settlement_whose_commit_was_not_answered_can_be_tried_again(wired, wire):
    join(wired)
    wired.take(ME, [asking(8)], NOW_NS)
    settlement = Settlement(ME, 1, [booked(1)], {POT: Amount(3)})
    wire.cut_after = b"COMMIT\x00"
    with pytest.raises(LedgerError):
        wired.settle(settlement)
    assert wired.settle(settlement).duplicates == {booked(1).id}
    assert wired.held([POT]) == {POT: Amount(5)}
    assert counted(wired) == 1


def test_a_server_that_hangs_is_given_up(ledger, postgres):
    ledger.append([booked(1)])
    [(backend,)] = [ledger.session._connection.execute("SELECT pg_backend_pid()").fetchone()]
    ledger.session._connection.patience_seconds = 0.3
    os.kill(backend, signal.SIGSTOP)
    try:
        with pytest.raises(LedgerError, match=r"no answer in 0\.3 seconds"):
            ledger.append([booked(2)])
        assert ledger.append([booked(3)]).spend[ALL].requests == 2
    finally:
        os.kill(backend, signal.SIGCONT)


def test_a_lock_that_lasts_too_long_is_explained_and_can_be_tried_again(postgres_url, postgres):
    ledger = PostgresLedger(postgres_url, busy_timeout_seconds=0.05)
    with postgres.connect(postgres_url.rpartition("/")[2]) as other, other.transaction():
        other.execute("LOCK TABLE entries")
        with pytest.raises(LedgerError, match="locked for longer"):
            ledger.append([booked(1)])
    ledger.append([booked(1)])
    assert counted(ledger) == 1
    ledger.close()


def test_a_process_that_stops_inside_a_transaction_stops_nobody_else(postgres_url):
    """It holds the lock of a pot; the server ends its session when it has been idle for too long."""
    stopped = PostgresLedger(postgres_url, busy_timeout_seconds=0.2)
    ledger = PostgresLedger(postgres_url, busy_timeout_seconds=20)
    join(ledger)
    connection = stopped.session._connection
    assert connection is not None
    connection.execute("SET idle_in_transaction_session_timeout = '200ms'")
    stopped._look(connection, ME, [asking(5)])
    assert isinstance(ledger.take(ME, [asking(5)], NOW_NS), list)
    with pytest.raises(LedgerError):
        stopped.held([POT])
    assert stopped.held([POT]) == {POT: Amount(5)}
    stopped.close()
    ledger.close()


def test_a_read_only_server_is_explained(postgres_url, postgres):
    name = postgres_url.rpartition("/")[2]
    with postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    ledger = PostgresLedger(postgres_url)
    with pytest.raises(LedgerError, match="name the primary server"):
        ledger.append([booked(1)])
    ledger.close()


def test_a_transaction_level_of_the_server_does_not_change_what_take_sees(postgres_url, postgres):
    name = postgres_url.rpartition("/")[2]
    with postgres.connect() as connection:
        connection.execute(
            f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'".encode()
        )
    first, second = PostgresLedger(postgres_url), PostgresLedger(postgres_url)
    join(first)
    for number in range(50):
        one = (first, second)[number % 2]
        assert isinstance(one.take(ME, [asking(2)], NOW_NS), list)
    assert not isinstance(first.take(ME, [asking(1)], NOW_NS), list)
    first.close()
    second.close()


def test_a_take_does_not_wait_for_a_long_settlement_of_its_owner(ledger, postgres_url):
    asker = PostgresLedger(postgres_url, busy_timeout_seconds=0.2)
    join(ledger)
    with ledger.session.lend() as connection:
        connection.run(BEGIN, Statement(sql.SETTLING_OWNER, (ME,)), Statement(sql.EXCLUDE_WRITERS))
        assert isinstance(asker.take(ME, [asking(5)], NOW_NS), list)
    asker.close()


@pytest.mark.parametrize("how", ["forget", "close", "reopen"])
def test_what_is_taken_while_its_owner_goes_goes_too(ledger, postgres_url, how):
    """The owner waits for the take that has begun, and no hold without an owner stays behind."""
    join(ledger)
    leaver = PostgresLedger(postgres_url)
    leaving = {
        "forget": lambda: leaver.forget_owner(ME),
        "close": lambda: leaver.close_owner(ME, [], NOW_NS),
        "reopen": lambda: leaver.reopen(ME, [], Owner(b"h" * 16, "journal", NOW_NS, 0, {})),
    }
    thread = threading.Thread(target=leaving[how])
    with ledger.session.lend() as connection:
        transaction, standings = ledger._look(connection, ME, [asking(5)])
        thread.start()
        time.sleep(0.1)
        grant = admit(asking(5), standings[0], NOW_NS)
        ledger._hold(connection, ME, transaction, [(asking(5), grant)])
    thread.join()
    assert ledger.held([POT]) == {}
    with pytest.raises(OwnerLostError):
        ledger.take(ME, [asking(1)], NOW_NS)
    leaver.close()

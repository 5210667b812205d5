import gc
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from forked import in_child, succeeds_in_child
from hold_requests import ME, NOW_NS, counted, join
from ledger_calls import ALL, booked, random_entries, reversed_entry
from postgres_server import PASSWORD, PASSWORD_IN_URL
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.backfill import count_existing
from spanbudget.exporter.ledger.inspection import model_uses
from spanbudget.exporter.ledger.postgres import PostgresLedger
from spanbudget.exporter.ledger.schema import metadata
from spanbudget.exporter.ledger.store import SCHEMA_VERSION, VERSION_TABLE
from spanbudget.processors.budgets import Budget
from spanbudget.processors.errors import LedgerError, LedgerSchemaError
from spanbudget.processors.holds import Owner
from spanbudget.processors.ledger import Spend
from spanbudget.processors.limits import Amount, Demand, Limits, Pot
from spanbudget.processors.money import PICO_PER_USD
from spanbudget.processors.periods import Period

pytestmark = pytest.mark.postgres


@pytest.fixture
def ledger(postgres_url) -> Iterator[PostgresLedger]:
    opened = PostgresLedger(postgres_url)
    yield opened
    opened.close()


def test_entries_and_totals_are_there_after_opening_again(ledger, postgres_url):
    ledger.append([booked(1), booked(2)])
    ledger.close()
    again = PostgresLedger(postgres_url)
    assert counted(again) == 2
    assert [entry.priced for entry in again.entries()] == [booked(1).priced, booked(2).priced]
    again.close()


@pytest.mark.parametrize("count", [1, 3, 65, 700, 4_097])
def test_a_batch_of_any_size_keeps_its_order(ledger, count):
    made = random_entries(count, count)
    ledger.append(made)
    assert [entry.id for entry in ledger.entries()] == [entry.id for entry in made]
    assert ledger.append([*made, booked(1)]).duplicates == {entry.id for entry in made}
    assert counted(ledger) == count + 1


def test_many_different_shapes_are_kept(ledger):
    made = [booked(number, model=f"m{number}", labels=(("user", f"u{number}"),)) for number in range(3_000)]
    ledger.append(made)
    assert [entry.priced for entry in ledger.entries()] == [entry.priced for entry in made]


def test_a_child_too_long_for_an_index_is_counted_and_held(ledger):
    """2,000 characters of 4 bytes each, which no compression makes short; two that differ at the end."""
    rnd = random.Random(1)
    head = "".join(chr(rnd.randrange(0x10000, 0x10FFFF)) for _ in range(2_000))
    windows = tuple(ALL._replace(child=head + end) for end in "ab")
    ledger.append([booked(1, 3, windows[:1]), booked(2, 4, windows)])
    again = ledger.append([booked(1, 3, windows)])
    assert {key: spend.cost for key, spend in again.spend.items()} == {windows[0]: 7, windows[1]: 4}
    assert sorted(spend.cost for spend in ledger.spend_by_child("global", "total", 0, 0).values()) == [4, 7]
    join(ledger)
    pots = [Pot("global", key.child) for key in windows]
    asked = [Demand(pot, "total", 0, 0, Limits(100), Amount(n), Amount(n)) for n, pot in enumerate(pots, 1)]
    assert [grant.standing.spent.cost for grant in ledger.take(ME, asked, NOW_NS)] == [7, 4]
    assert ledger.held(pots) == {pots[0]: Amount(1), pots[1]: Amount(2)}


def test_texts_that_postgresql_cannot_hold_are_kept(ledger):
    odd = "NUL \x00, ESC \x1b0000, half a character \ud83d\ude00, \\N {\"a\",NULL} '%s' $1"
    ledger.join(Owner(ME, odd, NOW_NS, 0, {}))
    ledger.put_document("kind" + odd, "name" + odd, odd, new=True)
    ledger.append([booked(1, model=odd, response_id=odd)])
    assert ledger.owners()[0].journal == odd
    assert ledger.documents(["kind" + odd]) == {("kind" + odd, "name" + odd): odd}
    (entry,) = ledger.entries()
    assert (entry.priced.call.model, entry.priced.call.response_id) == (odd, odd)
    assert model_uses(ledger)[0].model == odd


def test_a_closed_ledger_says_so(ledger):
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.append([booked(1)])


def test_a_total_that_no_ledger_can_hold_is_refused_and_leaves_no_trace(ledger):
    """2**63 tokens in one total; the same 2**62 twice."""
    absurd = [booked(n, usage=booked(1).priced.call.usage._replace(input=2**62)) for n in (1, 2)]
    with pytest.raises(LedgerError, match="absurd"):
        ledger.append(absurd)
    assert list(ledger.entries()) == []
    ledger.append([booked(3)])
    assert counted(ledger) == 1


def test_the_threads_of_a_process_may_share_a_ledger(ledger):
    def append(seed: int) -> None:
        for entry in random_entries(seed, 50):
            ledger.append([entry])

    threads = [threading.Thread(target=append, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert sum(1 for _ in ledger.entries()) <= 200
    assert counted(ledger) == 200


def test_a_forked_child_opens_a_connection_of_its_own_and_closes_no_other(ledger):
    ledger.append([booked(1)])

    def append() -> None:
        nonlocal ledger
        assert ledger.append([booked(2)]).spend[ALL].requests == 2
        ledger.close()
        del ledger
        gc.collect()

    assert succeeds_in_child(append)
    assert ledger.append([booked(3)]).spend[ALL].requests == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((PASSWORD_IN_URL, "other-secret"), "are the user, the password and the database right"),
        (("/test_", "/gone_"), "are the user, the password and the database right"),
        ((PASSWORD_IN_URL, "se@cret"), "percent-encoded"),
        ((PASSWORD_IN_URL, "se/cret"), "percent-encoded"),
        ((PASSWORD_IN_URL, "%zzsecret"), "the driver cannot read this URL"),
        (("/test_", "/?sslmode=secret&dbname="), r"postgresql://spanbudget:\*\*\*@"),
    ],
)
def test_a_url_that_does_not_work_is_explained_without_its_password(postgres_url, change, said):
    with pytest.raises(LedgerError, match=said) as caught:
        open_ledger(postgres_url.replace(*change))
    error: BaseException | None = caught.value
    while error is not None:
        assert PASSWORD not in str(error)
        assert PASSWORD_IN_URL not in str(error)
        assert change[1] not in str(error) or change[0] == "/test_"
        error = error.__cause__ or error.__context__


def test_both_schemes_and_options_of_the_driver_are_taken(postgres_url):
    url = postgres_url.replace("postgresql://", "postgresql+psycopg://")
    ledger = open_ledger(f"{url}?options=-c%20lock_timeout%3D1234&connect_timeout=7")
    assert isinstance(ledger, PostgresLedger)
    with ledger.session.lend() as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("spanbudget",)
        assert connection.execute("SHOW lock_timeout").fetchone() == ("1234ms",)
        assert connection.execute("SHOW statement_timeout").fetchone() == ("10s",)
    ledger.close()


def test_a_missing_driver_is_explained(tmp_path):
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from spanbudget.exporter.ledger import open_ledger\n"
        "open_ledger('postgresql://user:secret@127.0.0.1/ledger')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'spanbudget[postgres]'" in done.stderr
    assert "secret@" not in done.stderr.rpartition("LedgerError")[2]


def test_an_up_to_date_ledger_opens_without_sqlalchemy(postgres_url):
    code = (
        "import sys; from spanbudget.exporter.ledger import open_ledger;"
        f"open_ledger('{postgres_url}').close();"
        "sys.exit(bool({'sqlalchemy', 'alembic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def empty(postgres) -> Iterator[str]:
    with postgres.database() as name:
        yield name


def test_eight_processes_open_an_empty_database_at_once_and_append(postgres, empty):
    """8 times 60 entries of their own and the same 20 from all: 500 requests, each once."""
    gate, opener = os.pipe()

    def append(seed: int) -> None:
        os.close(opener)
        os.read(gate, 1)
        mine = PostgresLedger(postgres.url(empty), busy_timeout_seconds=20)
        made = random_entries(seed, 60)
        for start in range(0, 60, 7):
            mine.append(made[start : start + 7])
        mine.append(random_entries(99, 20))
        mine.close()

    children = [in_child(partial(append, seed)) for seed in range(8)]
    os.close(opener)
    os.close(gate)
    assert [os.waitpid(one, 0)[1] for one in children] == [0] * 8
    ledger = PostgresLedger(postgres.url(empty), create=False)
    every = [entry for seed in range(8) for entry in random_entries(seed, 60)] + random_entries(99, 20)
    total = ledger.spend([ALL])[ALL]
    assert (total.requests, total.cost) == (500, sum(entry.priced.cost or 0 for entry in every))
    ledger.close()


def test_the_migrations_make_the_tables_that_the_program_knows(postgres, empty):
    PostgresLedger(postgres.url(empty)).close()
    with postgres.connect(empty) as raw:
        engine = create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=StaticPool)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            found = compare_metadata(context, metadata)
    # Comments are for those who read the code.
    assert [one for one in found if not (isinstance(one, list) and one[0][0] == "modify_comment")] == []


def test_looking_makes_no_ledger(postgres, empty):
    with pytest.raises(LedgerError, match="there is no ledger in this database"):
        PostgresLedger(postgres.url(empty), create=False)
    with postgres.connect(empty) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (0,)


def test_a_newer_schema_is_refused_and_not_touched(ledger, postgres_url):
    with ledger.session.lend() as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0099'".encode())
    with pytest.raises(LedgerSchemaError, match=rf"schema 99.*up to {SCHEMA_VERSION}.*upgrade SpanBudget"):
        PostgresLedger(postgres_url)
    with ledger.session.lend() as connection:
        assert connection.execute(f"SELECT * FROM {VERSION_TABLE}".encode()).fetchall() == [("0099",)]


def test_a_table_of_another_program_is_refused_and_not_touched(postgres, empty):
    with postgres.connect(empty) as connection:
        connection.execute("CREATE TABLE entries (name text)")
        with pytest.raises(LedgerError, match=r"another program has a table.*another schema"):
            PostgresLedger(postgres.url(empty))
        connection.execute("CREATE SCHEMA spend")
        PostgresLedger(postgres.url(empty) + "?options=-csearch_path%3Dspend").close()
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (0,)


def test_an_encoding_that_cannot_hold_every_text_is_refused(postgres):
    with postgres.connect() as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        with pytest.raises(LedgerError, match="its encoding is LATIN1; create the database with ENCODING"):
            PostgresLedger(postgres.url("latin"))
        connection.execute("DROP DATABASE latin WITH (FORCE)")


def test_a_user_without_rights_is_explained(postgres, empty):
    with postgres.connect(empty) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute("CREATE USER guest PASSWORD 'guest'")
        with pytest.raises(LedgerError, match=r"guest:\*\*\*@.*GRANT it CREATE"):
            PostgresLedger(f"postgresql://guest:guest@127.0.0.1:{postgres.port}/{empty}")
        connection.execute("DROP USER guest")


def test_a_budget_that_is_new_begins_with_what_the_ledger_holds(postgres_url, caplog):
    """600 calls of 2 pico-USD by two users before the budgets; the second process counts nothing again."""
    made = [booked(n, 2, (), labels=(("user", f"u{n % 2}"),)) for n in range(1, 601)]
    first, second = PostgresLedger(postgres_url), PostgresLedger(postgres_url)
    first.append(made)
    first.append([reversed_entry(made[0])])
    now_ns = made[-1].priced.call.end_ns
    budgets = [
        Budget(name="everything", max_cost=PICO_PER_USD, period=Period("total")),
        Budget(name="per-user", max_cost=PICO_PER_USD, period=Period("daily"), per=("user",)),
    ]
    for ledger in (first, second):
        counted_anew = count_existing(ledger, budgets, now_ns)
        assert counted_anew == (["everything", "per-user"] if ledger is first else [])
    everything = first.spend_by_child("everything", budgets[0].period.text, 0, now_ns)
    assert everything == {"": Spend(1_198, 599 * 150, 599)}
    each = first.spend_by_child("per-user", budgets[1].period.text, 0, now_ns)
    assert {child: spend.requests for child, spend in each.items()} == {"user=u0": 300, "user=u1": 299}
    first.close()
    second.close()

"""`spanbudget demo` as a user runs it, and the comparison that its verdict rests on."""

import asyncio
import gzip
import json
import math
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

from spanbudget.exporter.demo.provider import Answered, FakeProvider
from spanbudget.exporter.demo.receiver import Receiver
from spanbudget.exporter.demo.runner import SUPPORT, app_command, app_environ
from spanbudget.exporter.demo.truth import Comparison, compare, standing
from spanbudget.exporter.ledger import open_ledger
from spanbudget.processors.call import NO_USAGE, LLMCall, PricedCall, Usage
from spanbudget.processors.money import pico_to_float

DEMO = [str(Path(sys.executable).with_name("spanbudget")), "demo"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *arguments], capture_output=True, text=True, check=False, timeout=90)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "demo.db"


def test_the_demo_counts_every_request_once_and_says_so(database: Path) -> None:
    done = run("--seconds", "2.5", "--db", database)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "OK"
    rows = {title: (verdict, rest) for verdict, title, rest in map(_row, lines[1:7])}
    answered, counted = map(int, re.findall(r"(\d+) (?:requests answered|calls counted)", rows["Calls"][1]))
    assert answered == counted > 40
    assert [rows[title][0] for title in ("Calls", "Tokens", "Cost")] == ["OK"] * 3
    assert "calls exact and equal to the provider's bill" in rows["Tokens"][1]
    amounts = re.findall(r"\$[\d.]+", rows["Cost"][1])
    assert len(amounts) == 3
    assert len(set(amounts)) == 1
    for reason in ("ancestor", "sibling", "aggregate"):
        assert reason in rows["Merged"][1]
    assert "house-llm-7b (no_price)" in rows["Unpriced"][1]
    assert "llm.cost.usd" in rows["Received"][1]
    budgets = {line.split()[0]: line.split() for line in lines[8:-2]}
    assert list(budgets)[:6] == ["Budget", "everything", "support", "research", "openai-tokens", "per-user"]
    assert "exceeded" in budgets["research"]
    assert budgets["per-user"][1] == "alice"
    assert "requests; " in done.stderr
    ledger = open_ledger(f"sqlite:///{database}")
    assert len(standing(ledger.entries())) == counted
    ledger.close()


def _row(line: str) -> tuple[str, str, str]:
    """Verdict, title and text of a line of the summary; the verdict is "" where there is none."""
    cells = re.split(r"\s{2,}", line.strip(), maxsplit=2)
    if len(cells) == 3:
        return cells[0], cells[1], cells[2]
    return "", cells[0], cells[1]


@pytest.fixture
def hears_interrupts() -> Iterator[None]:
    """A shell starts what runs in its background with SIGINT ignored, and programs inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.server
@pytest.mark.usefixtures("hears_interrupts")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_leaves_no_process_behind(database: Path, number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [*DEMO, "--seconds", "60", "--db", str(database)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        next(line for line in process.stderr if "requests;" in line and " 0 requests;" not in line)
        process.send_signal(number)
        told = process.stderr.read()
        assert process.stdout.read() == ""
        assert process.wait(30) == code
    assert ("spanbudget: interrupted" in told) == (number == signal.SIGINT)
    assert "Traceback" not in told
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_ledger_that_exists_is_refused(database: Path) -> None:
    database.touch()
    done = run("--db", database)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{database} exists" in done.stderr


def test_what_must_be_installed_is_told() -> None:
    code = (
        "import sys; sys.modules['anthropic'] = None\n"
        "from spanbudget.exporter.cli.main import main\n"
        "main(['demo'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "needs anthropic; install" in done.stderr
    assert "spanbudget[demo]" in done.stderr


@pytest.mark.server
def test_another_receiver_gets_the_same_cost_as_the_ledger(tmp_path: Path, database: Path) -> None:
    """The support desk exports to OtelTap, which has nothing of ours."""
    asyncio.run(_run_tapped(tmp_path, database))


async def _run_tapped(folder: Path, database: Path) -> None:
    """Runs the support desk, and waits until metrics and spans say what its ledger says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tap = OtelTapHttpProtobufReceiver(OtelTapHttpProtobufReceiverSettings(port))
    async with tap:
        arrived = asyncio.Condition()
        told = {"metrics": 0.0, "spans": 0.0}
        readers = [
            asyncio.create_task(_read_metrics(tap, told, arrived)),
            asyncio.create_task(_read_spans(tap, told, arrived)),
        ]
        with FakeProvider() as provider:
            urls = {"provider_url": provider.url, "otlp_url": f"http://127.0.0.1:{port}"}
            environ = app_environ(SUPPORT, ledger_url=f"sqlite:///{database}", **urls)
            command = app_command(SUPPORT, seconds=2, seed=3)
            process = await asyncio.create_subprocess_exec(*command, env=environ, cwd=folder)
            assert await process.wait() == 0
        total = _total_usd(database)
        assert total > 0
        async with asyncio.timeout(20), arrived:
            await arrived.wait_for(
                lambda: all(math.isclose(usd, total, rel_tol=1e-9) for usd in told.values())
            )
    await asyncio.gather(*readers)


async def _read_metrics(
    tap: OtelTapHttpProtobufReceiver, told: dict[str, float], arrived: asyncio.Condition
) -> None:
    async for metric in tap.stream_metrics():
        if metric.name == "llm.cost.usd":
            async with arrived:
                told["metrics"] = math.fsum(point.as_double for point in metric.sum.data_points)
                arrived.notify_all()


async def _read_spans(
    tap: OtelTapHttpProtobufReceiver, told: dict[str, float], arrived: asyncio.Condition
) -> None:
    async for span in tap.stream_traces():
        async with arrived:
            costs = [
                one.value.double_value for one in span.attributes if one.key == "gen_ai.usage.cost.amount"
            ]
            told["spans"] += math.fsum(costs)
            arrived.notify_all()


def test_the_receiver_takes_plain_and_compressed_requests_and_refuses_others() -> None:
    """The last point of a series counts: 2 USD, then 3 USD of the same one, and 4 of another are 7."""
    receiver = Receiver()
    for service, usd, encoding in (("a", 2.0, None), ("a", 3.0, "gzip"), ("b", 4.0, None)):
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        resource.resource.attributes.add(key="service.name").value.string_value = service
        metric = resource.scope_metrics.add().metrics.add(name="llm.cost.usd")
        metric.sum.data_points.add(as_double=usd).attributes.add(key="team").value.string_value = service
        body = request.SerializeToString()
        assert receiver.take("/v1/metrics", gzip.compress(body) if encoding else body, encoding) == 200
    assert receiver.total("llm.cost.usd") == 7
    assert receiver.by_attribute("llm.cost.usd", "team") == {"a": 3, "b": 4}
    assert receiver.take("/v1/logs", b"") == 404
    assert receiver.take("/v1/metrics", b"\xff") == 400
    assert receiver.take("/v1/metrics", b"plain", "gzip") == 400
    receiver.close()


@pytest.mark.parametrize("kind", [FakeProvider, Receiver])
@pytest.mark.parametrize(
    "rest",
    [b"", b"POST /v1/traces HTT", b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"],
    ids=["between requests", "in a header", "in a body"],
)
def test_a_client_that_is_killed_is_not_told_as_an_error(
    kind: type[FakeProvider | Receiver], rest: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a killed application has sent of a request is cut off, and its connection is reset."""
    before = set(threading.enumerate())
    for reset in (True, False):
        with kind() as server:
            port = int(server.url.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"POST /elsewhere HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
                assert client.recv(1 << 16).startswith(b"HTTP/1.1 404 ")
                (serving,) = [one for one in threading.enumerate() if "process_request" in one.name]
                client.sendall(rest)
                if reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            serving.join(60)
            assert not serving.is_alive()
    assert set(threading.enumerate()) == before
    assert capfd.readouterr().err == ""


def _total_usd(database: Path) -> float:
    ledger = open_ledger(f"sqlite:///{database}")
    total = sum(priced.cost or 0 for priced in standing(ledger.entries()))
    ledger.close()
    return pico_to_float(total)


PLAIN = {"model": "gpt-4o", "messages": [{"role": "user", "content": "scenario:plain"}]}
"""A request that is billed 137 input and 53 output tokens."""


def answered(*scenarios: str) -> tuple[Answered, ...]:
    provider = FakeProvider()
    for scenario in scenarios:
        body = PLAIN | {"messages": [{"role": "user", "content": f"scenario:{scenario}"}]}
        provider.answer("/v1/chat/completions", json.dumps(body).encode())
    provider.stop()
    return provider.answered


def counted(number: int, cost: int | None = 5, **changes: Any) -> PricedCall:
    call = LLMCall(
        trace_id=number,
        span_id=number,
        parent_id=0,
        scope="test",
        provider="openai",
        model="gpt-4o-2024-08-06",
        request_model="gpt-4o",
        response_model="gpt-4o-2024-08-06",
        operation="chat",
        aggregate=False,
        tier=None,
        usage=Usage(input=137, cache_read=0, cache_write=0, output=53),
        usage_confidence="exact",
        reasons=(),
        start_ns=0,
        end_ns=0,
        failed=False,
        response_id=f"chatcmpl-{number:08d}",
        labels=(),
    )._replace(**changes)
    return PricedCall(call, cost, 0, 0, 0, 0, None, "exact", () if cost is not None else ("no_price",))


def found(comparison: Comparison) -> dict[str, int]:
    return {
        "equal": comparison.equal,
        "flagged": comparison.flagged,
        "wrong": len(comparison.wrong),
        "missing": len(comparison.missing),
        "surplus": len(comparison.surplus),
    }


NONE = {"equal": 0, "flagged": 0, "wrong": 0, "missing": 0, "surplus": 0}


def test_exact_calls_must_have_the_tokens_that_are_billed() -> None:
    """One more output token than the 53 billed ones is wrong, unless the call itself says it is a guess."""
    more = Usage(input=137, cache_read=0, cache_write=0, output=54)
    requests = answered("plain")
    assert found(compare([counted(1)], requests)) == NONE | {"equal": 1}
    assert found(compare([counted(1, usage=more)], requests)) == NONE | {"wrong": 1}
    guess = counted(1, usage=more, usage_confidence="estimated", reasons=("guessed",))
    comparison = compare([guess], requests)
    assert found(comparison) == NONE | {"flagged": 1}
    assert comparison.reasons == {"guessed": 1}


def test_a_call_too_few_and_a_call_too_many_are_found() -> None:
    requests = answered("plain", "plain")
    assert found(compare([counted(1)], requests)) == NONE | {"equal": 1, "missing": 1}
    twice = [counted(1), counted(2), counted(2, trace_id=9)]
    assert found(compare(twice, requests)) == NONE | {"equal": 2, "surplus": 1}
    assert found(compare([*twice[:2], counted(3, response_id=None)], requests))["surplus"] == 1


def test_calls_without_an_id_are_matched_by_model_and_tokens() -> None:
    failure = counted(1, response_id=None, failed=True, usage=Usage(0, 0, 0, output=0))
    cached = Usage(input=611, cache_read=1408, cache_write=0, output=287)
    calls = [
        counted(4, response_id=None, usage=NO_USAGE, usage_confidence="unknown"),
        counted(2, response_id=None),
        counted(3, response_id=None, usage=cached),
        failure,
    ]
    comparison = compare(calls, answered("err429", "cached", "plain", "stream_plain"))
    assert found(comparison) == NONE | {"equal": 3, "flagged": 1}
    assert comparison.failed == 1


def test_costs_are_summed_and_unpriced_calls_named() -> None:
    comparison = compare([counted(1, cost=5), counted(2, cost=None)], answered("plain", "plain"))
    assert comparison.cost == 5
    assert comparison.unpriced == {("gpt-4o-2024-08-06", "no_price"): 1}

"""A web server that forks its workers, started with no code of ours: every request's call is counted once.

Each call is 1000 input and 100 output tokens of gpt-4o at 2.50 and 10 USD per 1M: 0.0035 USD.
"""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spanbudget.exporter.ledger import open_ledger

COST = 3_500_000_000
"""Pico-USD of one call."""
REQUESTS = 60

APP = """
    import os
    from opentelemetry import trace

    def app(environ, start_response):
        start = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
                 "gen_ai.request.model": "gpt-4o"}
        tracer = trace.get_tracer("opentelemetry.instrumentation.genai.openai")
        with tracer.start_as_current_span("chat gpt-4o", attributes=start) as span:
            span.set_attributes({"gen_ai.response.model": "gpt-4o",
                                 "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100})
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(os.getpid()).encode()]
"""


def answer(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own server
        return response.read().decode()


def wait_until_up(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "gunicorn did not start"
        try:
            answer(url + "?up")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    pytest.fail("gunicorn did not answer")


@pytest.mark.server
@pytest.mark.parametrize(
    "flags", [[], ["--preload"]], ids=["loaded in each worker", "loaded before the fork"]
)
def test_every_call_of_every_worker_is_counted_once(tmp_path: Path, flags: list[str]) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    config = tmp_path / "budgets.yaml"
    budget = "{name: all, max_cost: 5, period: total}"
    config.write_text(f"ledger: {{url: 'sqlite:///{tmp_path}/ledger.db'}}\nbudgets: [{budget}]\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    scripts = Path(sys.executable).parent
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environ |= {f"OTEL_{signal_}_EXPORTER": "none" for signal_ in ("TRACES", "METRICS", "LOGS")}
    server = subprocess.Popen(
        [
            scripts / "opentelemetry-instrument",
            scripts / "gunicorn",
            *flags,
            "-w",
            "2",
            "-b",
            address,
            "app:app",
        ],
        cwd=tmp_path,
        env=environ | {"SPANBUDGET_CONFIG": str(config)},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_up(f"http://{address}/", server)
        with ThreadPoolExecutor(4) as clients:
            workers = Counter(clients.map(answer, [f"http://{address}/"] * REQUESTS))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    assert workers.total() == REQUESTS
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    calls = [entry.priced for entry in ledger.entries()]
    ledger.close()
    assert [call.cost for call in calls] == [COST] * (REQUESTS + 1)  # and the one that showed it was up

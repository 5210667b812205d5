"""A real Prometheus for tests: a port of the loopback interface and a folder of its own."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from remote_write import Sample, write_request

from spanbudget.rules.labels import Labels, labels_of

BUILD_SCRIPT: Final = Path(__file__).parents[2] / "tools" / "prometheus" / "build.sh"
_START_SECONDS: Final = 60.0
# Samples of any order, as series are written one after the other.
_CONFIGURATION: Final = "storage: {tsdb: {out_of_order_time_window: 30d}}\n"

Point: TypeAlias = tuple[int, float]


class Failure(NamedTuple):
    """An expression that the server refused.

    Attributes:
        kind: `bad_data` where it cannot be read, `execution` where it cannot be evaluated.
        message: The server's words.
    """

    kind: str
    message: str


class Answer(NamedTuple):
    """The result of an expression.

    Attributes:
        kind: `scalar`, `string`, `vector` or `matrix`.
        series: (label set, points) pairs in the server's order; a scalar has one without labels.
        text: The value of a string.
    """

    kind: str
    series: list[tuple[Labels, list[Point]]]
    text: str = ""


def build_prometheus_3() -> tuple[Path | None, str]:
    """The folder of Prometheus 3 and its promtool, which are built where they are not yet.

    Returns:
        The folder, or None; and what is missing.
    """
    if not BUILD_SCRIPT.exists():
        return None, f"{BUILD_SCRIPT} is missing: a source archive does not have it, the repository does"
    done = subprocess.run([BUILD_SCRIPT], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None, f"Prometheus 3 cannot be built by {BUILD_SCRIPT.name}: {done.stderr.strip()[-2000:]}"
    return Path(done.stdout.strip().splitlines()[-1]), ""


def debian_prometheus() -> tuple[Path | None, str]:
    """The folder of Debian's Prometheus 2 and its promtool, or None and what is missing."""
    found = shutil.which("prometheus", path="/usr/bin")
    if found is None:
        return None, "there is no Prometheus 2 here; install Debian's package `prometheus`"
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if "version 2." not in version:
        return None, f"{found} is no Prometheus 2: {version.splitlines()[0]}"
    return Path(found).parent, ""


class PrometheusServer:
    """One server, empty, that scrapes nothing and takes remote writes.

    Args:
        program: The binary.
    """

    def __init__(self, program: Path) -> None:
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="spanbudget-prometheus-"))
        (self._folder / "prometheus.yml").write_text(_CONFIGURATION)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        options = [
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            "--storage.tsdb.retention.time=100y",  # the samples' times are years ago
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-remote-write-receiver",
            "--log.level=warn",
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, *options], stdout=log, stderr=log, cwd=self._folder, env=_environment()
            )
        give_up_at = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError((self._folder / "log").read_text())
            time.sleep(0.02)

    def remove(self) -> None:
        """Stops it and deletes all it has."""
        self._connection.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_START_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, series: Iterable[tuple[Labels, Sequence[Sample]]]) -> None:
        """Stores samples."""
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        status, content = self._request("/api/v1/write", write_request(series), headers)
        if status // 100 != 2:
            raise RuntimeError(f"the remote write was refused with {status}: {content.decode()}")

    def query(self, expression: str, at_ms: int) -> Answer | Failure:
        """The value of an expression at a time, milliseconds since the epoch."""
        form = urllib.parse.urlencode({"query": expression, "time": f"{at_ms / 1000:.3f}"}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        _, content = self._request("/api/v1/query", form, headers)
        answer = json.loads(content)
        if answer["status"] != "success":
            return Failure(answer["errorType"], answer["error"])
        return _answer(answer["data"]["resultType"], answer["data"]["result"])

    def _is_ready(self) -> bool:
        try:
            return self._request("/-/ready", None, {})[0] == 200
        except OSError:
            self._connection.close()
            return False

    def _request(self, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        self._connection.request("GET" if body is None else "POST", path, body, headers)
        response = self._connection.getresponse()
        return response.status, response.read()


def _answer(kind: str, result: Any) -> Answer:
    if kind == "string":
        return Answer(kind, [], result[1])
    if kind == "scalar":
        return Answer(kind, [((), [_point(result)])])
    found = []
    for series in result:
        points = series["values"] if kind == "matrix" else [series["value"]]
        found.append((labels_of(series["metric"]), [_point(point) for point in points]))
    return Answer(kind, found)


def _point(pair: Sequence[Any]) -> Point:
    """JSON has seconds as a number and the value as text, which is exact."""
    return round(pair[0] * 1000), float(pair[1])


def _environment() -> dict[str, str]:
    """No proxy and no time zone of the machine comes through."""
    return {"PATH": os.environ.get("PATH", ""), "TZ": "UTC"}

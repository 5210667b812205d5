"""The fake provider: an HTTP server on the loopback address that keeps a log of what it billed."""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from spanbudget.exporter.demo import anthropic_wire, bedrock_wire, google_wire, openai_wire
from spanbudget.exporter.demo.failures import failure
from spanbudget.exporter.demo.quiet_handler import POLL_SECONDS, QuietHandler
from spanbudget.exporter.demo.scenarios import FAILURES, Counts
from spanbudget.exporter.demo.wire import Json, Question, Reply, read_scenario

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class _Route:
    """A path, the interface that it belongs to and what answers it; `model` is a group of `path`."""

    path: re.Pattern[str]
    family: str
    answer: Callable[[Question], Reply]
    stream: bool = False


_ROUTES = (
    _Route(re.compile(r"/openai/deployments/(?P<model>[^/]+)/chat/completions$"), "openai", openai_wire.chat),
    _Route(re.compile(r"/openai/deployments/(?P<model>[^/]+)/embeddings$"), "openai", openai_wire.embeddings),
    _Route(re.compile(r"/chat/completions$"), "openai", openai_wire.chat),
    _Route(re.compile(r"/responses$"), "openai", openai_wire.responses),
    _Route(re.compile(r"/embeddings$"), "openai", openai_wire.embeddings),
    _Route(re.compile(r"/messages$"), "anthropic", anthropic_wire.messages),
    _Route(re.compile(r"/models/(?P<model>[^/:]+):generateContent$"), "gcp.gemini", google_wire.generate),
    _Route(
        re.compile(r"/models/(?P<model>[^/:]+):streamGenerateContent$"),
        "gcp.gemini",
        google_wire.generate,
        stream=True,
    ),
    _Route(
        re.compile(r"/models/(?P<model>[^/:]+):(embedContent|batchEmbedContents)$"),
        "gcp.gemini",
        google_wire.embed,
    ),
    _Route(re.compile(r"/model/(?P<model>[^/]+)/converse$"), "aws.bedrock", bedrock_wire.converse),
    _Route(
        re.compile(r"/model/(?P<model>[^/]+)/converse-stream$"),
        "aws.bedrock",
        bedrock_wire.converse_stream,
        stream=True,
    ),
    _Route(re.compile(r"/model/(?P<model>[^/]+)/invoke$"), "aws.bedrock", bedrock_wire.invoke),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """The truth about one request: what a provider would have billed for it.

    A streamed answer that the client left is billed as if it had run to its end.
    """

    received_ns: int
    status: int
    response_id: str | None
    question: Question

    @property
    def billed(self) -> bool:
        """Whether the provider charges for the request."""
        return self.status == 200

    def record(self) -> Json:
        """Returns the request as a line of a capture's `expected.jsonl`."""
        question, counts = self.question, self.question.counts
        row = {
            "id": self.response_id,
            "http_status": self.status,
            "provider": question.family,
            "api": question.api,
            "scenario": question.scenario,
            "stream": question.stream,
            "request_model": question.model,
            "billed": self.billed,
            "uncached_input": counts.uncached_input,
            "cache_read": counts.cache_read,
            "cache_write": counts.cache_write,
            "output": counts.output,
            "reasoning": counts.reasoning,
        }
        if not self.billed:
            return row
        row["response_model"] = question.answered_model
        row["service_tier"] = counts.tier
        return row | _family_counts(question.family, counts)


def _family_counts(family: str, counts: Counts) -> Json:
    """Returns the counts that only some interfaces report."""
    if family == "anthropic":
        return {
            "cache_write_5m": counts.cache_write_5m,
            "cache_write_1h": counts.cache_write_1h,
            "web_search_requests": counts.web_searches,
        }
    if family in ("openai", "gcp.gemini"):
        return {"audio_in": counts.audio_in, "audio_out": counts.audio_out}
    return {}


class FakeProvider:
    """Answers as OpenAI, Azure, Anthropic, Gemini and Bedrock do, from invented counts.

    The word `scenario:NAME` in a prompt chooses what is answered and billed (`scenarios.py`);
    without it the counts follow from `seed` and the length of the prompt.
    """

    def __init__(self, *, port: int = 0, seed: int = 0) -> None:
        """Binds the loopback address.

        Args:
            port: The port to listen on, 0 for any free one.
            seed: Chooses the counts of prompts without a scenario.
        """
        self._seed = seed
        self._lock = threading.Lock()
        self._answered: list[Answered] = []
        self._requests = 0
        self._server = ThreadingHTTPServer((_LOOPBACK, port), partial(_Handler, self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": POLL_SECONDS},
            name="fake-provider",
            daemon=True,
        )

    @property
    def url(self) -> str:
        """The address without a path; OpenAI's clients want `/v1` behind it."""
        return f"http://{_LOOPBACK}:{self._server.server_address[1]}"

    @property
    def answered(self) -> tuple[Answered, ...]:
        """Every request answered so far, in the order of arrival."""
        with self._lock:
            return tuple(self._answered)

    def start(self) -> Self:
        """Serves on a thread of its own."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stops serving and closes the socket; harmless when it never started."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        """Starts serving."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops serving."""
        self.stop()

    def answer(self, path: str, payload: bytes) -> Reply | None:
        """Returns the reply to a request and logs it; None for a path that nothing answers."""
        received_ns = time.time_ns()
        for route in _ROUTES:
            match = route.path.search(path)
            if match:
                break
        else:
            return None
        body: Json = json.loads(payload)
        model = match.groupdict().get("model") or str(body.get("model", ""))
        question = self._question(route, path, unquote(model), body)
        status = FAILURES.get(question.scenario)
        reply = failure(route.family, status) if status else route.answer(question)
        with self._lock:
            self._answered.append(Answered(received_ns, reply.status, reply.response_id, question))
        return reply

    def _question(self, route: _Route, path: str, model: str, body: Json) -> Question:
        scenario, counts = read_scenario(route.family, body, self._seed)
        with self._lock:
            self._requests += 1
            number = self._requests
        stream = route.stream or bool(body.get("stream"))
        return Question(route.family, path, model, stream, body, scenario, counts, number)


class _Handler(QuietHandler):
    disable_nagle_algorithm = True  # many small chunks, each waited for

    def __init__(self, provider: FakeProvider, *args: object) -> None:
        self._provider = provider
        super().__init__(*args)  # type: ignore[arg-type]  # (socket, address, server), which partial cannot type

    def do_POST(self) -> None:  # noqa: N802 - the name that `http.server` calls
        reply = self._provider.answer(urlsplit(self.path).path, self.body())
        self._send(reply or Reply(None, (b'{"error": "no such path"}',), status=404))

    def _send(self, reply: Reply) -> None:
        streamed = reply.content_type != "application/json"
        self.send_response(reply.status)
        self.send_header("content-type", reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if streamed:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(sum(map(len, reply.chunks))))
        self.end_headers()
        for chunk in reply.chunks:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if streamed else chunk)
            time.sleep(reply.pause_seconds)
        if streamed:
            self.wfile.write(b"0\r\n\r\n")

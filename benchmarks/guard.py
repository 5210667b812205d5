"""What the guard adds to a call of the real OpenAI SDK over a mock transport, medians of alternating rounds.

First with a stand-in for the admission that holds nothing: the guard alone, which recognises, bounds,
rewrites and reads the answer. Then with the real one, and a hard budget that is leased from a SQLite ledger:
reserving and settling too, each in the journal. Time of this thread only, so that a busy machine tells the
same; what the worker does meanwhile is not in it.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import httpx2
from measure import Figure, chosen, tell
from openai import OpenAI

from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.config import parse_config
from spanbudget.exporter.guard.gate import Reserving
from spanbudget.exporter.guard.transports import GuardTransport
from spanbudget.exporter.wiring import open_pipeline
from spanbudget.processors.names_out import RERAISE_VARIABLE

ROUNDS = chosen(3, 30)
CALLS = chosen(5, 50)
CHUNKS = 60
PIECE = 4_096
URL = "https://api.openai.com/v1"
PROMPT = [{"role": "user", "content": "Where is my parcel? " * 40}]
USAGE = {"prompt_tokens": 200, "completion_tokens": 60, "total_tokens": 260}


class Held:
    """Money that nobody counts."""

    max_tokens: int | None = None
    model: str | None = None

    def mark_sent(self) -> None:
        """Takes no note."""

    def settle(self, **_: object) -> None:
        """Books nothing."""

    def release(self) -> None:
        """Gives nothing back."""


class Admitting:
    """Admits every call."""

    def reserve(self, _: CallRequest) -> Held:
        """Holds nothing."""
        return Held()

    async def reserve_async(self, _: CallRequest) -> Held:
        """Holds nothing."""
        return Held()


def whole() -> bytes:
    message = {"role": "assistant", "content": "It is on its way. " * 20}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    head = {"id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
    return json.dumps({**head, "choices": [choice], "usage": USAGE}).encode()


def events(*, usage: bool) -> bytes:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    bodies = [
        {**head, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
        for _ in range(CHUNKS)
    ]
    if usage:
        bodies = [{**body, "usage": None} for body in bodies]
        bodies.append({**head, "choices": [], "usage": USAGE})
    lines = [f"data: {json.dumps(body)}\n\n" for body in bodies]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


WHOLE, WITHOUT, WITH = whole(), events(usage=False), events(usage=True)


class Body(httpx2.SyncByteStream):
    """A body that is not read yet, in pieces as a socket gives them."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        """Gives 4 KiB at a time."""
        return (self._body[at : at + PIECE] for at in range(0, len(self._body), PIECE))


def answer(request: httpx2.Request) -> httpx2.Response:
    if b'"stream":true' not in request.content:
        return httpx2.Response(200, headers={"content-type": "application/json"}, stream=Body(WHOLE))
    body = WITH if b"include_usage" in request.content else WITHOUT
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Body(body))


def client(transport: object) -> OpenAI:
    http = httpx2.Client(transport=transport)  # type: ignore[arg-type]  # both take any transport
    return OpenAI(api_key="k", base_url=URL, http_client=http, max_retries=0)


def plain_call(sdk: OpenAI) -> None:
    sdk.chat.completions.create(model="gpt-4o", messages=PROMPT, max_completion_tokens=500)  # type: ignore[call-overload]


def stream_call(sdk: OpenAI) -> None:
    for _ in sdk.chat.completions.create(model="gpt-4o", messages=PROMPT, stream=True):  # type: ignore[call-overload]
        pass


def round_us(sdk: OpenAI, call: Callable[[OpenAI], None]) -> float:
    """Microseconds of thread time of one call, the mean of a round."""
    before = time.thread_time_ns()
    for _ in range(CALLS):
        call(sdk)
    return (time.thread_time_ns() - before) / CALLS / 1_000


def figures(what: str, call: Callable[[OpenAI], None], admission: Reserving) -> list[Figure]:
    """The SDK alone, and what is added to it by the guard alone and with the admission."""
    transport = httpx2.MockTransport(answer)
    sdks = [
        client(transport),
        client(GuardTransport(transport, Admitting())),
        client(GuardTransport(transport, admission)),
    ]
    for sdk in sdks:
        round_us(sdk, call)  # the first one compiles
    rounds = []
    for number in range(ROUNDS):
        turn = sdks[number % 3 :] + sdks[: number % 3]  # what comes after what makes a difference
        times = {id(sdk): round_us(sdk, call) for sdk in turn}
        rounds.append([times[id(sdk)] for sdk in sdks])
    bare, guard, whole = ([times[which] for times in rounds] for which in range(3))
    return [
        Figure(f"{what}, SDK alone", "", statistics.median(bare), "µs"),
        *added(f"{what}, added by the guard", bare, guard),
        *added(f"{what}, added with a leased hard budget", bare, whole),
    ]


def added(what: str, bare: list[float], with_it: list[float]) -> list[Figure]:
    more = statistics.median(one - other for other, one in zip(bare, with_it, strict=True))
    share = statistics.median(100 * (one / other - 1) for other, one in zip(bare, with_it, strict=True))
    return [
        Figure(what, "", more, "µs"),
        Figure(what, "≤ 10" if "guard" in what else "", share, "% of the SDK's own time", 1),
    ]


def main() -> None:
    os.environ[RERAISE_VARIABLE] = "1"  # a call that is not guarded must not be measured
    with tempfile.TemporaryDirectory() as folder:
        budget = "{name: all, max_cost: 1000000, period: total, hard_limit: true}"
        config = parse_config(f"ledger: {{url: 'sqlite:///{folder}/b.db'}}\nbudgets: [{budget}]", "benchmark")
        pipeline = open_pipeline(config)
        admission: Reserving = pipeline.admission.engine  # type: ignore[union-attr]
        tell(figures("`chat.completions.create` over a mock transport", plain_call, admission))
        tell(figures(f"the same streamed, {CHUNKS} chunks, usage asked for", stream_call, admission))
        pipeline.shutdown()


if __name__ == "__main__":
    main()

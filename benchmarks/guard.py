"""What the guard adds to a call of the real OpenAI SDK over a mock transport, medians of alternating rounds.

The admission is a stand-in that holds nothing, so this is the guard alone: recognising, bounding, rewriting,
reading the answer. Time of this thread only, so that a busy machine tells the same.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator

import httpx2
from measure import Figure, chosen, tell
from openai import OpenAI

from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.guard.transports import GuardTransport

ROUNDS = chosen(3, 20)
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


def figures(what: str, call: Callable[[OpenAI], None]) -> list[Figure]:
    transport = httpx2.MockTransport(answer)
    bare, guarded = client(transport), client(GuardTransport(transport, Admitting()))
    for sdk in (bare, guarded):
        call(sdk)  # the first one compiles
    pairs = [(round_us(bare, call), round_us(guarded, call)) for _ in range(ROUNDS)]
    added = statistics.median(one - other for other, one in pairs)
    share = statistics.median(100 * (one / other - 1) for other, one in pairs)
    plain = statistics.median(other for other, _ in pairs)
    return [
        Figure(f"{what}, SDK alone", "", plain, "µs"),
        Figure(f"{what}, added by the guard", "", added, "µs"),
        Figure(f"{what}, added by the guard", "≤ 10", share, "% of the SDK's own time", 1),
    ]


def main() -> None:
    tell(figures("`chat.completions.create` over a mock transport", plain_call))
    tell(figures(f"the same streamed, {CHUNKS} chunks, usage asked for", stream_call))


if __name__ == "__main__":
    main()

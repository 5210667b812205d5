"""Plain clients of httpx and httpx2, guarded as a whole process and one transport at a time."""

import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
from recording import REFUSAL, Recording, config_for

from spanbudget.exporter.demo.provider import FakeProvider
from spanbudget.exporter.guard.config import GuardConfig
from spanbudget.exporter.guard.install import install, uninstall
from spanbudget.exporter.guard.transports import AsyncGuardTransport, GuardTransport

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "scenario:plain"}]}
URL = "https://api.openai.com/v1/chat/completions"
EVENTS = (
    b'data: {"id":"c1","choices":[{"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}\r\n\r\n'
    b": ping\r\n\r\n"
    b'data: {"id":"c1","choices":[{"delta":{},"finish_reason":"stop"}],"usage": null}\r\n\r\n'
    b'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\r\n\r\n'
    b"data: [DONE]\r\n\r\n"
)
RESTORED = (
    b'data: {"id":"c1","choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}\r\n\r\n'
    b": ping\r\n\r\n"
    b'data: {"id":"c1","choices":[{"delta":{},"finish_reason":"stop"}]}\r\n\r\n'
    b"data: [DONE]\r\n\r\n"
)
SSE = {"content-type": "text/event-stream"}


def guarded(library: Any, answer: Callable[[Any], Any], recording: Recording, **options: Any) -> Any:
    return library.Client(transport=GuardTransport(library.MockTransport(answer), recording), **options)


class Pieces:
    """A body in pieces; of both libraries, as both only ask for the base class."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        self.closed = True


def streaming(library: Any, *pieces: bytes | Exception, **options: Any) -> Callable[[Any], Any]:
    kind = type("Body", (Pieces, library.SyncByteStream), {})
    return lambda _: library.Response(200, headers=SSE, stream=kind(*pieces), **options)


@LIBRARIES
def test_a_plain_client_is_guarded(library: Any, provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))
    with library.Client() as client:
        reply = client.post(f"{provider.url}/v1/chat/completions", json=CHAT)

    assert reply.json()["usage"]["prompt_tokens"] == 137
    assert recording.only.events == ["sent", "settled"]
    assert recording.only.outcome["usage"].input == 137


@LIBRARIES
def test_an_asynchronous_plain_client_is_guarded(library: Any, provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))

    async def work() -> list[str]:
        async with (
            library.AsyncClient() as client,
            client.stream(
                "POST", f"{provider.url}/v1/chat/completions", json={**CHAT, "stream": True}
            ) as reply,
        ):
            return [line async for line in reply.aiter_lines() if line]

    lines = asyncio.run(work())

    assert lines[-1] == "data: [DONE]"
    assert not any('"usage"' in line for line in lines)
    assert recording.only.outcome["usage"].input == 137


@LIBRARIES
def test_a_refused_call_is_answered_with_402(library: Any) -> None:
    recording = Recording(refusal=REFUSAL)
    with guarded(library, lambda _: library.Response(200), recording) as client:
        reply = client.post(URL, json=CHAT)

    assert reply.status_code == 402
    assert reply.headers["x-should-retry"] == "false"
    assert reply.json()["error"]["budget"] == "team"
    assert reply.extensions["spanbudget.refusal"] is REFUSAL
    assert reply.request.url == URL


@LIBRARIES
def test_gemini_streams_by_events_and_as_a_list(library: Any, provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url, "gemini"))
    body = {
        "contents": [{"parts": [{"text": "scenario:cached"}]}],
        "generationConfig": {"maxOutputTokens": 300, "candidateCount": 2},
    }
    path = f"{provider.url}/v1beta/models/gemini-2.5-flash"
    with library.Client() as client:
        client.post(f"{path}:generateContent", json=body)
        client.post(f"{path}:streamGenerateContent?alt=sse", json=body)

    for held in recording.held:
        assert held.request.model == "gemini-2.5-flash"
        assert (held.request.max_tokens, held.request.choices) == (300, 2)
        assert held.request.operation == "generate_content"
        usage = held.outcome["usage"]
        assert (usage.input, usage.cache_read, usage.output, usage.reasoning) == (389, 824, 158, 64)
        assert held.outcome["response_model"] == "gemini-2.5-flash-001"
        assert held.outcome["response_id"].startswith("gem_")


@LIBRARIES
def test_a_gemini_list_is_read_at_its_end(library: Any) -> None:
    recording = Recording()
    pieces = [
        {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}], "usageMetadata": {"promptTokenCount": 9}},
        {
            "candidates": [{"finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": 9,
                "toolUsePromptTokenCount": 5,
                "candidatesTokenCount": 3,
                "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
            },
            "responseId": "g1",
        },
    ]
    with guarded(library, lambda _: library.Response(200, json=pieces), recording) as client:
        client.post(
            "https://generativelanguage.googleapis.com/v1beta/models/g:streamGenerateContent", json={}
        )

    usage = recording.only.outcome["usage"]
    assert (usage.input, usage.output, usage.audio_input) == (14, 3, 4)
    assert recording.only.outcome["response_id"] == "g1"


@LIBRARIES
def test_the_stream_is_what_it_was_without_the_guard(library: Any) -> None:
    recording = Recording()
    pieces = [EVENTS[at : at + 7] for at in range(0, len(EVENTS), 7)]
    with (
        guarded(library, streaming(library, *pieces), recording) as client,
        client.stream("POST", URL, json={**CHAT, "stream": True}) as reply,
    ):
        body = b"".join(reply.iter_raw())

    assert body == RESTORED
    assert recording.only.outcome["usage"][:6] == (7, 0, 0, 0, 0, 2)


@LIBRARIES
def test_a_compressed_answer_is_read_and_restored_all_the_same(library: Any) -> None:
    recording = Recording()

    def answer(request: Any) -> Any:
        assert request.headers["accept-encoding"] == "identity"
        headers = {**SSE, "content-encoding": "gzip"}
        return library.Response(200, headers=headers, content=gzip.compress(EVENTS))

    with guarded(library, answer, recording) as client:
        reply = client.post(URL, json={**CHAT, "stream": True})

    assert reply.content == RESTORED
    assert recording.only.outcome["usage"].input == 7


@LIBRARIES
def test_an_unknown_coding_passes_and_is_charged_as_held(library: Any) -> None:
    recording = Recording()
    headers = {"content-type": "application/json", "content-encoding": "own"}
    with guarded(
        library, lambda _: library.Response(200, headers=headers, content=b"\x00\x01"), recording
    ) as client:
        reply = client.post(URL, json=CHAT)

    assert reply.content == b"\x00\x01"
    assert recording.only.outcome["confidence"] == "unknown"
    assert recording.only.outcome["usage"] is None


@LIBRARIES
def test_a_connection_lost_in_the_middle_is_an_estimate(library: Any) -> None:
    recording = Recording()
    lost = library.ReadError("lost")
    with (
        guarded(library, streaming(library, EVENTS[:120], lost), recording) as client,
        pytest.raises(library.ReadError),
    ):
        client.post(URL, json={**CHAT, "stream": True})

    assert recording.only.events == ["sent", "settled"]
    assert recording.only.outcome["reasons"] == ("connection_error",)
    assert recording.only.outcome["failed"] is True


@LIBRARIES
def test_an_answer_closed_unread_is_an_estimate(library: Any) -> None:
    recording = Recording()
    with (
        guarded(library, streaming(library, EVENTS), recording) as client,
        client.stream("POST", URL, json={**CHAT, "stream": True}),
    ):
        pass

    assert recording.only.outcome["reasons"] == ("aborted_stream",)


@LIBRARIES
def test_an_answer_without_usage_is_unknown(library: Any) -> None:
    recording = Recording()
    with guarded(library, lambda _: library.Response(200, text="so"), recording) as client:
        client.post(URL, json=CHAT)

    assert recording.only.outcome["confidence"] == "unknown"
    assert recording.only.outcome["reasons"] == ("no_usage",)


@LIBRARIES
@pytest.mark.parametrize("status", [307, 400, 402, 404, 429, 500, 529])
def test_what_was_not_answered_is_not_billed(library: Any, status: int) -> None:
    recording = Recording()
    with guarded(library, lambda _: library.Response(status, json={}), recording) as client:
        client.post(URL, json=CHAT)

    assert recording.only.events == ["sent", "released"]


@LIBRARIES
def test_other_traffic_passes_untouched(library: Any) -> None:
    recording = Recording(fault=AssertionError("asked"))
    seen: list[Any] = []

    def answer(request: Any) -> Any:
        seen.append(request)
        return library.Response(200)

    with guarded(library, answer, recording) as client:
        client.get(URL)
        client.post("https://example.com/v1/chat/completions", json=CHAT)
        client.post("https://api.openai.com/v1/files", json=CHAT)
        client.post("https://api.openai.com/v1/chat/completions", content=b"no JSON")
        client.post("https://api.openai.com/v1/chat/completions", content=b"[]")
        zipped = gzip.compress(json.dumps(CHAT).encode())
        client.post(URL, content=zipped, headers={"content-encoding": "gzip"})

    assert all(request.headers["accept-encoding"] != "identity" for request in seen)
    assert len(seen) == 6


@LIBRARIES
def test_a_body_that_is_an_iterator_passes_with_a_warning(
    library: Any, caplog: pytest.LogCaptureFixture
) -> None:
    recording = Recording()
    with guarded(library, lambda _: library.Response(200), recording) as client:
        for _ in range(2):
            client.post(URL, content=iter([json.dumps(CHAT).encode()]))

    assert recording.held == []
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "A request to api.openai.com is not guarded: its body is an iterator"
    ]


@LIBRARIES
def test_a_fault_of_ours_lets_the_call_pass(
    library: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPANBUDGET_RERAISE")
    transport = GuardTransport(
        library.MockTransport(lambda _: library.Response(200, text="fine")),
        Recording(fault=RuntimeError("broken")),
    )
    with library.Client(transport=transport) as client:
        assert [client.post(URL, json=CHAT).text for _ in range(2)] == ["fine", "fine"]

    assert transport.gate.faults.count == 2
    assert [record.levelname for record in caplog.records if record.levelname == "ERROR"] == ["ERROR"]


@LIBRARIES
def test_the_reservation_of_a_parent_is_not_settled_by_its_child(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording()
    with (
        guarded(library, streaming(library, EVENTS), recording) as client,
        client.stream("POST", URL, json={**CHAT, "stream": True}) as reply,
    ):
        monkeypatch.setattr(os, "getpid", lambda: -1)
        reply.read()

    assert recording.only.events == ["sent"]


@LIBRARIES
def test_nothing_is_guarded_after_uninstall(library: ModuleType, provider: FakeProvider) -> None:
    recording, config = Recording(), config_for(provider.url)
    guard = install(recording, config)
    assert install(recording, config) is guard
    uninstall()
    uninstall()
    with library.Client() as client:
        client.post(f"{provider.url}/v1/chat/completions", json=CHAT)
    assert not guard.active
    assert recording.held == []

    again = install(recording, config)
    with library.Client() as client:
        client.post(f"{provider.url}/v1/chat/completions", json=CHAT)

    assert again.active
    assert len(recording.held) == 1


def test_a_model_in_the_path_is_replaced_there() -> None:
    recording = Recording(model="gemini-2.5-flash-lite", max_tokens=20)
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={})

    async def work() -> None:
        transport = AsyncGuardTransport(httpx2.MockTransport(answer), recording, GuardConfig())
        async with httpx2.AsyncClient(transport=transport) as client:
            await client.post(
                "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent?key=k",
                json={"contents": []},
            )

    asyncio.run(work())

    assert seen[0].url.raw_path == b"/v1beta/models/gemini-2.5-flash-lite:generateContent?key=k"
    assert json.loads(seen[0].content) == {"contents": [], "generationConfig": {"maxOutputTokens": 20}}
    assert seen[0].headers["content-length"] == str(len(seen[0].content))


LATE = """
import sys
from spanbudget.exporter.guard.install import install
install(object())
assert not {"httpx", "httpx2", "openai"} & set(sys.modules)
import httpx, httpx2, openai
for library in (httpx, httpx2):
    assert hasattr(library.HTTPTransport.handle_request, "__wrapped__")
    assert hasattr(library.AsyncHTTPTransport.handle_async_request, "__wrapped__")
assert hasattr(openai._base_client.SyncAPIClient.request, "__wrapped__")
assert hasattr(openai._base_client.AsyncAPIClient.request, "__wrapped__")
"""


def test_libraries_are_patched_when_they_are_imported() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", LATE], check=True)

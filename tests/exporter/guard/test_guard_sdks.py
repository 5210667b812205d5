"""The guard under the real SDKs, over real HTTP."""

import asyncio
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from recording import REFUSAL, Recording, config_for

from spanbudget.exporter.demo.provider import FakeProvider
from spanbudget.exporter.demo.scenarios import SCENARIOS, Counts
from spanbudget.exporter.guard.install import install
from spanbudget.exporter.guard.transports import AsyncGuardTransport, GuardTransport
from spanbudget.processors.call import Usage
from spanbudget.processors.errors import BudgetExceeded


def ask(scenario: str) -> list[Any]:
    return [{"role": "user", "content": f"Hello scenario:{scenario}"}]


def openai_client(url: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="k", **options)


def anthropic_client(url: str, **options: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="k", **options)


def buckets(usage: Usage) -> tuple[int | None, ...]:
    return usage.input, usage.cache_read, usage.cache_write, usage.output


def billed(counts: Counts) -> tuple[int, ...]:
    return counts.uncached_input, counts.cache_read, counts.cache_write, counts.output


def last_body(provider: FakeProvider) -> dict[str, Any]:
    return provider.answered[-1].question.body


@pytest.mark.parametrize("scenario", ["plain", "cached", "cachewrite", "reasoning", "audio", "flex"])
def test_openai_chat_settles_what_the_provider_bills(provider: FakeProvider, scenario: str) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))
    with openai_client(provider.url) as client:
        reply = client.chat.completions.create(model="gpt-4o", messages=ask(scenario), max_tokens=500, n=2)

    held = recording.only
    assert held.events == ["sent", "settled"]
    assert held.request.provider == "openai"
    assert held.request.model == "gpt-4o"
    assert held.request.operation == "chat"
    assert (held.request.max_tokens, held.request.choices) == (500, 2)
    assert held.request.input_tokens is not None
    assert held.request.sent is False
    assert held.outcome["response_id"] == reply.id
    assert held.outcome["response_model"] == "gpt-4o-2024-08-06"
    assert held.outcome["tier"] == SCENARIOS["openai"][scenario].tier
    assert held.outcome["confidence"] == "exact"
    assert buckets(held.outcome["usage"]) == billed(SCENARIOS["openai"][scenario])


def test_a_stream_without_usage_gets_one_and_the_application_does_not_see_it(provider: FakeProvider) -> None:
    recording = Recording()
    with openai_client(provider.url) as client:
        before = list(client.chat.completions.create(model="gpt-4o", messages=ask("cached"), stream=True))
    install(recording, config_for(provider.url))
    with openai_client(provider.url) as client:
        after = list(client.chat.completions.create(model="gpt-4o", messages=ask("cached"), stream=True))

    volatile = {"id", "created"}
    assert [one.model_dump(exclude=volatile, exclude_unset=True) for one in after] == [
        one.model_dump(exclude=volatile, exclude_unset=True) for one in before
    ]
    assert last_body(provider)["stream_options"] == {"include_usage": True}
    assert recording.only.events == ["sent", "settled"]
    assert recording.only.outcome["confidence"] == "exact"
    assert buckets(recording.only.outcome["usage"]) == billed(SCENARIOS["openai"]["cached"])
    assert recording.only.outcome["response_id"] == after[0].id


def test_a_stream_that_asks_for_its_usage_gets_it(provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))
    with openai_client(provider.url) as client:
        chunks = list(
            client.chat.completions.create(
                model="gpt-4o", messages=ask("plain"), stream=True, stream_options={"include_usage": True}
            )
        )

    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 137
    assert recording.only.outcome["usage"].input == 137


def test_a_host_that_refuses_the_option_is_not_sent_it(provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url, "mistral", include_usage=False))
    with openai_client(provider.url) as client:
        list(client.chat.completions.create(model="m", messages=ask("plain"), stream=True))

    assert "stream_options" not in last_body(provider)
    assert recording.only.request.provider == "mistral_ai"
    assert recording.only.outcome["usage"] is None
    assert recording.only.outcome["confidence"] == "unknown"
    assert recording.only.outcome["reasons"] == ("stream_without_usage",)


@pytest.mark.parametrize("stream", [False, True])
def test_openai_responses(provider: FakeProvider, *, stream: bool) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))
    with openai_client(provider.url) as client:
        answer: Any = client.responses.create(
            model="gpt-5", input="scenario:reasoning", max_output_tokens=2000, stream=stream
        )
        events = list(answer) if stream else []

    held = recording.only
    assert held.request.max_tokens == 2000
    assert held.outcome["response_id"] == (events[0].response.id if stream else answer.id)
    assert buckets(held.outcome["usage"]) == billed(SCENARIOS["openai"]["reasoning"])
    assert held.outcome["usage"].reasoning == 1088


def test_openai_embeddings(provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))
    with openai_client(provider.url) as client:
        client.embeddings.create(model="text-embedding-3-small", input="scenario:embeddings")

    assert recording.only.request.operation == "embeddings"
    assert recording.only.outcome["usage"].input == 43
    assert recording.only.outcome["usage"].output == 0
    assert recording.only.outcome["confidence"] == "exact"


def test_azure_names_its_deployment(provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url, "azure"))
    with openai.AzureOpenAI(azure_endpoint=provider.url, api_key="k", api_version="2024-06-01") as client:
        client.chat.completions.create(model="house-4o", messages=ask("plain"))
        list(client.chat.completions.create(model="house-4o", messages=ask("plain"), stream=True))

    assert [held.request.model for held in recording.held] == ["house-4o", "house-4o"]
    assert recording.held[0].request.provider == "azure.ai.openai"
    assert recording.held[0].outcome["response_model"] == "gpt-4o-2024-08-06"
    assert "stream_options" not in last_body(provider)  # that version answers 400 to it


@pytest.mark.parametrize("scenario", ["plain", "cached", "thinking", "priority"])
@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_messages(provider: FakeProvider, scenario: str, *, stream: bool) -> None:
    recording = Recording()
    install(recording, config_for(provider.url, "anthropic"))
    with anthropic_client(provider.url) as client:
        if stream:
            with client.messages.stream(
                model="claude-haiku-4-5", max_tokens=900, messages=ask(scenario)
            ) as events:
                message: Any = events.get_final_message()
        else:
            message = client.messages.create(model="claude-haiku-4-5", max_tokens=900, messages=ask(scenario))

    held, counts = recording.only, SCENARIOS["anthropic"][scenario]
    assert held.events == ["sent", "settled"]
    assert (held.request.provider, held.request.max_tokens) == ("anthropic", 900)
    assert held.outcome["response_id"] == message.id
    assert held.outcome["confidence"] == "exact"
    assert buckets(held.outcome["usage"]) == billed(counts)
    assert held.outcome["usage"].cache_write_1h == counts.cache_write_1h


def test_anthropic_beta_goes_the_same_way(provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url, "anthropic"))
    with anthropic_client(provider.url) as client:
        client.beta.messages.create(model="claude-haiku-4-5", max_tokens=90, messages=ask("plain"))

    assert recording.only.outcome["usage"].input == 219


def test_asynchronous_clients(provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))

    async def work() -> None:
        async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
            await client.chat.completions.create(model="gpt-4o", messages=ask("plain"))
            stream = await client.chat.completions.create(model="gpt-4o", messages=ask("warm"), stream=True)
            assert all(chunk.usage is None and chunk.choices for chunk in [chunk async for chunk in stream])
            await client.responses.create(model="gpt-4o", input="scenario:tool")
        async with (
            anthropic.AsyncAnthropic(base_url=provider.url, api_key="k") as claude,
            claude.messages.stream(model="claude-haiku-4-5", max_tokens=90, messages=ask("plain")) as events,
        ):
            async for _ in events:
                pass

    asyncio.run(work())

    assert [held.events for held in recording.held] == [["sent", "settled"]] * 4
    assert [held.outcome["usage"].input for held in recording.held] == [137, 2711, 322, 219]


@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_call_is_the_sdks_own_error_at_once(provider: FakeProvider, *, stream: bool) -> None:
    guard = install(Recording(refusal=REFUSAL), config_for(provider.url))
    with (
        openai_client(provider.url, max_retries=5) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        client.chat.completions.create(model="gpt-4o", messages=ask("plain"), stream=stream)

    error = caught.value
    assert error.status_code == 402
    assert isinstance(error.body, dict)
    assert error.body == {
        "type": "budget_exceeded",
        "code": "budget_exceeded",
        "message": "budget team cannot pay for the call",
        "param": None,
        "budget": "team",
        "child": "a",
        "reason": "limit",
        "measure": "cost",
        "requested": "2",
        "spent": "9",
        "reserved": "0.001",
        "limit": "10.5",
        "window_end": "2026-01-01T00:00:00Z",
        "retry_after": 1.5,
    }
    assert error.response.headers["retry-after"] == "2"
    assert error.__cause__ is REFUSAL
    assert provider.answered == ()
    assert guard.refused == 1


def test_a_refused_call_of_anthropic_is_payment_required(provider: FakeProvider) -> None:
    guard = install(Recording(refusal=REFUSAL), config_for(provider.url, "anthropic"))
    with (
        anthropic_client(provider.url, max_retries=5) as client,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        client.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=ask("plain"))

    assert type(caught.value).__name__ == "PaymentRequiredError"
    assert isinstance(caught.value.__cause__, BudgetExceeded)
    assert guard.refused == 1


def test_a_refused_call_of_an_asynchronous_client(provider: FakeProvider) -> None:
    install(Recording(refusal=REFUSAL), config_for(provider.url))

    async def work() -> None:
        async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
            await client.responses.create(model="gpt-4o", input="x")

    with pytest.raises(openai.APIStatusError) as caught:
        asyncio.run(work())

    assert caught.value.status_code == 402
    assert caught.value.__cause__ is REFUSAL


def test_each_attempt_of_a_retried_call_is_reserved_and_released(provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))
    with (
        openai_client(provider.url, max_retries=1) as client,
        pytest.raises(openai.RateLimitError),
    ):
        client.chat.completions.create(model="gpt-4o", messages=ask("err429"))

    assert [held.events for held in recording.held] == [["sent", "released"]] * 2


def test_an_aborted_stream_of_openai_settles_as_an_estimate(provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))
    with openai_client(provider.url) as client:
        stream = client.chat.completions.create(model="gpt-4o", messages=ask("stream_abort"), stream=True)
        for number, _ in enumerate(stream):
            if number == 3:
                break
        stream.close()

    held = recording.only
    assert held.events == ["sent", "settled"]
    assert held.outcome["usage"] is None
    assert held.outcome["confidence"] == "estimated"
    assert held.outcome["reasons"] == ("aborted_stream",)
    assert held.outcome["response_id"] == "chatcmpl-00000001"


def test_an_aborted_stream_of_anthropic_settles_what_was_received(provider: FakeProvider) -> None:
    """Four pieces `word0 ` to `word3 ` of 6 bytes are 24 bytes: 8 tokens at 3 bytes each."""
    recording = Recording()
    install(recording, config_for(provider.url, "anthropic"))
    with (
        anthropic_client(provider.url) as client,
        client.messages.create(
            model="claude-haiku-4-5", max_tokens=900, messages=ask("stream_abort"), stream=True
        ) as stream,
    ):
        seen = 0
        for event in stream:
            seen += event.type == "content_block_delta"
            if seen == 4:
                break

    outcome = recording.only.outcome
    assert buckets(outcome["usage"]) == (347, 2176, 0, 8)
    assert outcome["confidence"] == "estimated"
    assert outcome["reasons"] == ("aborted_stream",)


def test_a_task_that_is_cancelled_settles_its_stream(provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))

    async def work() -> None:
        async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:

            async def read() -> None:
                async for _ in await client.chat.completions.create(
                    model="gpt-4o", messages=ask("stream_abort"), stream=True
                ):
                    pass

            task = asyncio.create_task(read())
            await asyncio.sleep(0.4)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())

    assert recording.only.events == ["sent", "settled"]
    assert recording.only.outcome["confidence"] == "estimated"
    assert recording.only.outcome["reasons"] == ("aborted_stream",)


def test_a_clamped_call_is_sent_with_its_new_limit_and_model(provider: FakeProvider) -> None:
    recording = Recording(max_tokens=77, model="gpt-4o-mini")
    install(recording, config_for(provider.url))
    with openai_client(provider.url) as client:
        client.chat.completions.create(model="gpt-4o", messages=ask("plain"), max_completion_tokens=500)
        sent = last_body(provider)
        client.responses.create(model="gpt-4o", input="x")

    assert (sent["model"], sent["max_completion_tokens"], "max_tokens" in sent) == ("gpt-4o-mini", 77, False)
    assert last_body(provider)["max_output_tokens"] == 77


def mock_answer(_: Any) -> httpx2.Response:
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [choice]}
    return httpx2.Response(200, json={**body, "usage": usage})


def test_a_client_of_another_transport_is_guarded_where_it_is() -> None:
    recording = Recording()
    install(recording)
    http = httpx2.Client(transport=httpx2.MockTransport(mock_answer))
    with openai.OpenAI(api_key="k", http_client=http) as client:
        for _ in range(2):
            client.chat.completions.create(model="gpt-4o", messages=ask("plain"))

    assert isinstance(http._transport, GuardTransport)
    assert [held.outcome["usage"].input for held in recording.held] == [12, 12]


def test_an_asynchronous_client_of_another_transport_is_guarded_where_it_is() -> None:
    recording = Recording()
    install(recording)
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(mock_answer))

    async def work() -> None:
        async with openai.AsyncOpenAI(api_key="k", http_client=http) as client:
            await client.chat.completions.parse(model="gpt-4o", messages=ask("plain"))

    asyncio.run(work())

    assert isinstance(http._transport, AsyncGuardTransport)
    assert recording.only.outcome["usage"].input == 12


class Retrying(httpx2.BaseTransport):
    """A transport of the application that sends every request twice, and closes the first answer."""

    def __init__(self) -> None:
        self.wrapped = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.wrapped.handle_request(request).read()
        return self.wrapped.handle_request(request)

    def close(self) -> None:
        self.wrapped.close()


def test_a_transport_that_leads_to_a_guarded_one_is_left_alone(provider: FakeProvider) -> None:
    recording = Recording()
    install(recording, config_for(provider.url))
    http = httpx2.Client(transport=Retrying())
    with openai_client(provider.url, http_client=http) as client:
        client.chat.completions.create(model="gpt-4o", messages=ask("plain"))

    assert isinstance(http._transport, Retrying)
    assert [held.events for held in recording.held] == [["sent", "settled"]] * 2


def test_a_wrapped_transport_over_a_patched_one_reserves_once(provider: FakeProvider) -> None:
    recording, outer = Recording(), Recording()
    config = config_for(provider.url)
    install(recording, config)
    http = httpx2.Client(transport=GuardTransport(httpx2.HTTPTransport(), outer, config))
    with openai_client(provider.url, http_client=http) as client:
        client.chat.completions.create(model="gpt-4o", messages=ask("plain"))

    assert recording.held == []
    assert outer.only.events == ["sent", "settled"]


def test_a_timeout_after_sending_is_charged_as_an_estimate() -> None:
    recording = Recording()
    install(recording)

    def slow(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("slow", request=request)

    http = httpx2.Client(transport=httpx2.MockTransport(slow))
    with (
        openai.OpenAI(api_key="k", http_client=http, max_retries=0) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.chat.completions.create(model="gpt-4o", messages=ask("plain"))

    assert recording.only.events == ["sent", "settled"]
    assert recording.only.outcome["usage"] is None
    assert recording.only.outcome["reasons"] == ("timeout",)
    assert recording.only.outcome["failed"] is True


def test_a_connection_that_was_never_made_gives_everything_back() -> None:
    recording = Recording()
    install(recording, config_for("http://127.0.0.1:9"))
    with (
        openai_client("http://127.0.0.1:9", max_retries=0) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.chat.completions.create(model="gpt-4o", messages=ask("plain"))

    assert recording.only.events == ["sent", "released"]


def test_what_else_the_sdk_does_is_not_looked_at(provider: FakeProvider) -> None:
    recording = Recording(refusal=REFUSAL)
    install(recording, config_for(provider.url))
    with openai_client(provider.url, max_retries=0) as client, pytest.raises(openai.NotFoundError):
        client.post("/files", body={}, cast_to=object)

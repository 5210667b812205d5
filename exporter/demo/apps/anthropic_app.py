"""A research assistant on Anthropic's client, instrumented by OpenInference: another dialect of spans.

It sets OpenTelemetry up in code, and one call turns SpanBudget on: `spanbudget.instrument()`. Anthropic's
client makes a span of its own for each call, and the agent spans repeat the tokens of the calls below them,
as those of most agent frameworks do: none of these may count twice.
Address and key come from `ANTHROPIC_BASE_URL` and `ANTHROPIC_API_KEY`.
"""

import argparse
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from anthropic import Anthropic, APIStatusError
from anthropic.types import Message
from openinference.instrumentation import using_attributes
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

import spanbudget
from spanbudget.exporter.cost_exporter import CostOTLPSpanExporter

CALLS_PER_SECOND: Final = 20
PEOPLE: Final = ("frank", "grace", "heidi")
OUTPUT_TOKENS_MAX: Final = 2048


def start_telemetry() -> None:
    """Sets OpenTelemetry up as the SDK's documentation does, then SpanBudget, then the instrumentation."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(CostOTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    spanbudget.instrument()
    AnthropicInstrumentor().instrument()


def ask(client: Anthropic, scenario: str, model: str = "claude-sonnet-5") -> Message:
    """One question."""
    return client.messages.create(
        model=model,
        max_tokens=OUTPUT_TOKENS_MAX,
        messages=[{"role": "user", "content": f"What is known? scenario:{scenario}"}],
    )


def stream(client: Anthropic) -> None:
    """A streamed answer, read to its end."""
    with client.messages.stream(
        model="claude-sonnet-5",
        max_tokens=OUTPUT_TOKENS_MAX,
        messages=[{"role": "user", "content": "What is known? scenario:stream_usage"}],
    ) as answer:
        answer.get_final_message()


def agent(client: Anthropic) -> None:
    """Two questions below an agent span that repeats their tokens."""
    tracer = trace.get_tracer("research.agent")
    with tracer.start_as_current_span("research", attributes={"openinference.span.kind": "AGENT"}) as span:
        usages = [ask(client, scenario).usage for scenario in ("cachewrite", "cacheread")]
        read = sum(usage.cache_read_input_tokens or 0 for usage in usages)
        write = sum(usage.cache_creation_input_tokens or 0 for usage in usages)
        prompt = sum(usage.input_tokens for usage in usages) + read + write
        span.set_attributes(
            {
                "llm.token_count.prompt": prompt,
                "llm.token_count.prompt_details.cache_read": read,
                "llm.token_count.prompt_details.cache_write": write,
                "llm.token_count.completion": sum(usage.output_tokens for usage in usages),
            }
        )


ASKS: Final[tuple[tuple[Callable[[Anthropic], object], int], ...]] = (
    (lambda client: ask(client, "plain", "claude-haiku-4-5"), 20),
    (lambda client: ask(client, "cached"), 10),
    (lambda client: ask(client, "warm"), 6),
    (lambda client: ask(client, "reasoning"), 6),
    (stream, 8),
    (agent, 5),
    (lambda client: ask(client, "err529"), 2),
)


def main() -> None:
    """Answers made-up researchers for a while."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start_telemetry()
    tracer = trace.get_tracer("research.web")
    chance = random.Random(options.seed + 1)  # noqa: S311 - demo traffic, not secrets
    client = Anthropic(max_retries=0)
    asks, weights = zip(*ASKS, strict=True)
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        request = tracer.start_as_current_span("POST /ask", kind=SpanKind.SERVER)
        who = using_attributes(user_id=chance.choice(PEOPLE), metadata={"team": "research"})
        with request, who, suppress(APIStatusError):
            chance.choices(asks, weights)[0](client)
        time.sleep(chance.uniform(0.5, 1.5) / CALLS_PER_SECOND)


if __name__ == "__main__":
    main()

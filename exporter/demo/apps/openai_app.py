"""A support desk on OpenAI's client. It knows nothing of SpanBudget.

What makes it count is the command line alone: `SPANBUDGET_CONFIG=budgets.yaml opentelemetry-instrument python
openai_app.py`. Like any web application it puts the user of a request into OpenTelemetry's baggage. Address
and key come from `OPENAI_BASE_URL` and `OPENAI_API_KEY`.

The prompts name what the fake provider bills: `scenario:cached` is an answer with cached tokens.
"""

import argparse
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from openai import APIStatusError, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from opentelemetry import baggage, context

CALLS_PER_SECOND: Final = 20
PEOPLE: Final = (
    ("alice", "support"), ("bob", "support"), ("carol", "search"), ("dave", "search"), ("erin", "sales"),
)  # fmt: skip
PEOPLE_WEIGHTS: Final = (8, 4, 3, 2, 1)


def messages(scenario: str) -> list[ChatCompletionMessageParam]:
    """A conversation that asks for a scenario."""
    return [
        {"role": "system", "content": "You answer customers. Be brief."},
        {"role": "user", "content": f"Where is my parcel? scenario:{scenario}"},
    ]


def stream(client: OpenAI, *, leave_after: int | None = None) -> None:
    """A streamed answer; the reader leaves after some chunks, as one does who closes the page."""
    scenario = "stream_usage" if leave_after is None else "stream_abort"
    with client.chat.completions.create(
        model="gpt-4o", messages=messages(scenario), stream=True, stream_options={"include_usage": True}
    ) as chunks:
        for number, _ in enumerate(chunks):
            if number == leave_after:
                return


def chat(scenario: str, model: str) -> Callable[[OpenAI], object]:
    """A plain chat."""
    return lambda client: client.chat.completions.create(model=model, messages=messages(scenario))


def flex(client: OpenAI) -> object:
    """A chat that may take its time, at half the price."""
    return client.chat.completions.create(model="gpt-5-mini", messages=messages("flex"), service_tier="flex")


def embed(client: OpenAI) -> object:
    """An embedding."""
    return client.embeddings.create(model="text-embedding-3-small", input="parcel scenario:embeddings")


ASKS: Final[tuple[tuple[Callable[[OpenAI], object], int], ...]] = (
    (chat("plain", "gpt-4o-mini"), 20),
    (chat("cached", "gpt-5"), 14),
    (chat("cacheread", "gpt-5"), 8),
    (chat("reasoning", "gpt-5"), 10),
    (chat("warm", "gpt-4o"), 6),
    (flex, 8),
    (stream, 12),
    (embed, 8),
    (chat("plain", "house-llm-7b"), 3),  # a model that no table prices
    (chat("err429", "gpt-4o-mini"), 3),
    (chat("err500", "gpt-4o-mini"), 1),
    (lambda client: stream(client, leave_after=3), 1),
)  # fmt: skip


def main() -> None:
    """Serves made-up customers for a while."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311 - demo traffic, not secrets
    client = OpenAI(max_retries=0)
    asks, weights = zip(*ASKS, strict=True)
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        user, team = chance.choices(PEOPLE, PEOPLE_WEIGHTS)[0]
        token = context.attach(baggage.set_baggage("user.id", user, baggage.set_baggage("team", team)))
        with suppress(APIStatusError):
            chance.choices(asks, weights)[0](client)
        context.detach(token)
        time.sleep(chance.uniform(0.5, 1.5) / CALLS_PER_SECOND)


if __name__ == "__main__":
    main()

"""Calls of the Google Gen AI SDK, as the Gemini API and as Vertex AI."""

from typing import Any

from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials
from harness import URL, run_async_cases, run_cases, start_tracing

MODEL = "gemini-2.5-flash"


def get_weather(city: str) -> str:
    """weather"""
    return f"sunny in {city}"


def ask(client: genai.Client, scenario: str, **config: Any) -> None:
    settings = types.GenerateContentConfig(**config)
    client.models.generate_content(model=MODEL, contents=f"hi scenario:{scenario}", config=settings)


def stream(client: genai.Client, scenario: str) -> Any:
    return client.models.generate_content_stream(model=MODEL, contents=f"hi scenario:{scenario}")


def abort(client: genai.Client) -> None:
    pieces = stream(client, "stream_abort")
    for number, _ in enumerate(pieces):
        if number == 3:
            break
    pieces.close()


def chat_twice(client: genai.Client) -> None:
    chat = client.chats.create(model=MODEL)
    chat.send_message("hi scenario:plain")
    chat.send_message("hi scenario:cached")


def embed(client: genai.Client) -> None:
    client.models.embed_content(model="gemini-embedding-001", contents="hi scenario:embeddings")


def all_cases(client: genai.Client, vertex: genai.Client) -> None:
    run_cases(
        {
            "gg.plain": lambda: ask(client, "plain"),
            "gg.cached": lambda: ask(client, "cached"),
            "gg.cacheread": lambda: ask(client, "cacheread"),
            "gg.thinking": lambda: ask(client, "thinking"),
            "gg.reasoning": lambda: ask(client, "reasoning"),
            "gg.audio": lambda: ask(client, "audio"),
            "gg.stream": lambda: list(stream(client, "stream_usage")),
            "gg.stream_abort": lambda: abort(client),
            "gg.tool": lambda: ask(client, "tool", tools=[get_weather]),
            "gg.chat": lambda: chat_twice(client),
            "gg.err429": lambda: ask(client, "err429"),
            "gg.stream_err500": lambda: list(stream(client, "err500")),
            "gg.embed": lambda: embed(client),
            "gg.vertex.cached": lambda: ask(vertex, "cached"),
        }
    )


def async_cases(client: genai.Client) -> None:
    async def ask_async() -> None:
        await client.aio.models.generate_content(model=MODEL, contents="hi scenario:cached")

    async def stream_async() -> None:
        pieces = await client.aio.models.generate_content_stream(
            model=MODEL, contents="hi scenario:stream_usage"
        )
        _ = [piece async for piece in pieces]

    run_async_cases({"gg.async": ask_async, "gg.async_stream": stream_async})


def main() -> None:
    start_tracing()
    once = types.HttpOptions(base_url=URL, retry_options=types.HttpRetryOptions(attempts=1))
    client = genai.Client(api_key="none", http_options=once)
    vertex = genai.Client(
        vertexai=True,
        project="capture",
        location="us-central1",
        credentials=Credentials("none"),
        http_options=once,
    )
    all_cases(client, vertex)
    async_cases(client)


if __name__ == "__main__":
    main()

"""Calls of Amazon Bedrock's runtime through boto3."""

import json
from typing import Any

import boto3
from botocore.config import Config
from harness import MAX_TOKENS, URL, run_cases, start_tracing

MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"


def make_client() -> Any:
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=URL,
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106 - nothing checks it
        config=Config(retries={"total_max_attempts": 1}),
    )


def prompt(scenario: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": f"hi scenario:{scenario}"}]}]


def converse(client: Any, scenario: str, model: str = MODEL, **options: Any) -> Any:
    return client.converse(
        modelId=model, messages=prompt(scenario), inferenceConfig={"maxTokens": MAX_TOKENS}, **options
    )


def stream(client: Any, scenario: str) -> Any:
    return client.converse_stream(modelId=MODEL, messages=prompt(scenario))["stream"]


def abort(client: Any) -> None:
    pieces = stream(client, "stream_abort")
    for number, _ in enumerate(pieces):
        if number == 3:
            break
    pieces.close()


def invoke(client: Any, scenario: str) -> None:
    messages = [{"role": "user", "content": f"hi scenario:{scenario}"}]
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": MAX_TOKENS, "messages": messages}
    json.loads(client.invoke_model(modelId=MODEL, body=json.dumps(body))["body"].read())


def use_tool(client: Any) -> None:
    schema = {"json": {"type": "object", "properties": {"city": {"type": "string"}}}}
    spec = {"name": "get_weather", "description": "weather", "inputSchema": schema}
    converse(client, "tool", toolConfig={"tools": [{"toolSpec": spec}]})


def main() -> None:
    start_tracing()
    client = make_client()
    run_cases(
        {
            "br.plain": lambda: converse(client, "plain"),
            "br.cached": lambda: converse(client, "cached"),
            "br.cacheread": lambda: converse(client, "cacheread"),
            "br.cachewrite": lambda: converse(client, "cachewrite"),
            "br.nova": lambda: converse(client, "plain", "amazon.nova-lite-v1:0"),
            "br.tool": lambda: use_tool(client),
            "br.stream": lambda: list(stream(client, "stream_usage")),
            "br.stream_abort": lambda: abort(client),
            "br.invoke": lambda: invoke(client, "cached"),
            "br.err429": lambda: converse(client, "err429"),
            "br.err500": lambda: converse(client, "err500"),
        }
    )


if __name__ == "__main__":
    main()

"""Calls of Strands agents, which trace themselves through the global tracer provider."""

from typing import Any

import boto3
from harness import MAX_TOKENS, OPENAI_URL, URL, run_cases, start_tracing
from strands import Agent, tool
from strands.models.anthropic import AnthropicModel
from strands.models.bedrock import BedrockModel
from strands.models.openai import OpenAIModel


@tool
def get_weather(city: str) -> str:
    """weather"""
    return f"sunny in {city}"


def openai(model: str = "gpt-5") -> OpenAIModel:
    options = {"base_url": OPENAI_URL, "api_key": "sk-none", "max_retries": 0}
    return OpenAIModel(client_args=options, model_id=model)


def anthropic() -> AnthropicModel:
    options = {"base_url": URL, "api_key": "none", "max_retries": 0}
    return AnthropicModel(client_args=options, model_id="claude-sonnet-4-5", max_tokens=MAX_TOKENS)


def bedrock() -> BedrockModel:
    session = boto3.Session("none", "none", region_name="us-east-1")
    model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    return BedrockModel(boto_session=session, endpoint_url=URL, model_id=model)


def ask(model: Any, scenario: str, *, tools: tuple[Any, ...] = ()) -> None:
    Agent(model=model, tools=list(tools), callback_handler=None, retry_strategy=None)(
        f"hi scenario:{scenario}"
    )


def main() -> None:
    start_tracing()
    tools = (get_weather,)
    run_cases(
        {
            "st.oa.plain": lambda: ask(openai("gpt-4o-mini"), "plain"),
            "st.oa.cached": lambda: ask(openai(), "cached"),
            "st.oa.cachewrite": lambda: ask(openai(), "cachewrite"),
            "st.oa.tool": lambda: ask(openai("gpt-4o-mini"), "tool", tools=tools),
            "st.oa.err500": lambda: ask(openai(), "err500"),
            "st.an.plain": lambda: ask(anthropic(), "plain"),
            "st.an.cached": lambda: ask(anthropic(), "cached"),
            "st.an.tool": lambda: ask(anthropic(), "tool", tools=tools),
            "st.br.plain": lambda: ask(bedrock(), "plain"),
            "st.br.cached": lambda: ask(bedrock(), "cached"),
            "st.br.tool": lambda: ask(bedrock(), "tool", tools=tools),
        }
    )


if __name__ == "__main__":
    main()

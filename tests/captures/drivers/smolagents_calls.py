"""Calls of smolagents: models alone, and an agent that stops after its second step."""

from harness import OPENAI_URL, run_cases, start_tracing
from smolagents import OpenAIServerModel, ToolCallingAgent, tool


@tool
def get_weather(city: str) -> str:
    """weather

    Args:
        city: a city
    """
    return f"sunny in {city}"


def openai(model: str = "gpt-5") -> OpenAIServerModel:
    options = {"max_retries": 0}
    return OpenAIServerModel(model_id=model, api_base=OPENAI_URL, api_key="sk-none", client_kwargs=options)


def ask(scenario: str, model: str = "gpt-5") -> None:
    openai(model)([{"role": "user", "content": [{"type": "text", "text": f"hi scenario:{scenario}"}]}])


def agent() -> None:
    model = openai("gpt-4o-mini")
    ToolCallingAgent(tools=[get_weather], model=model, max_steps=2, verbosity_level=0).run("scenario:tool")


def main() -> None:
    start_tracing()
    run_cases(
        {
            "sm.plain": lambda: ask("plain", "gpt-4o-mini"),
            "sm.cached": lambda: ask("cached"),
            "sm.cachewrite": lambda: ask("cachewrite"),
            "sm.err500": lambda: ask("err500"),
            "sm.agent": agent,
        }
    )


if __name__ == "__main__":
    main()

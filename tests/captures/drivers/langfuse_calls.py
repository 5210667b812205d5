"""Langfuse's OpenAI client, and LangChain's models on top of it."""

import openai_calls
from harness import OPENAI_URL, URL
from langfuse.openai import AsyncOpenAI, AzureOpenAI, OpenAI
from langfuse_langchain_calls import langchain_cases, start_langfuse


def main() -> None:
    start_langfuse()
    options = {"base_url": OPENAI_URL, "api_key": "sk-none", "max_retries": 0}
    azure = AzureOpenAI(azure_endpoint=URL, api_key="none", api_version="2024-10-21", max_retries=0)
    openai_calls.all_cases(OpenAI(**options), AsyncOpenAI(**options), azure)
    langchain_cases()


if __name__ == "__main__":
    main()

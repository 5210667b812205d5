"""A fake LLM provider on the loopback address: for `spanbudget demo`, for tests and for captures."""

from spanbudget.exporter.demo.provider import Answered, FakeProvider

__all__ = ["Answered", "FakeProvider"]

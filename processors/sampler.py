"""The sampler that lets budgets see what head sampling drops, and changes nothing of what is exported."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

from spanbudget.processors.dialects import may_be_llm

Predicate: TypeAlias = Callable[[str, SpanKind | None, Mapping[str, object]], bool]
"""Span name, kind and start attributes → whether the span is worth recording."""


class RecordingSampler(Sampler):
    """Records, without sampling, the spans that another sampler drops and that may be LLM calls.

    A recorded span reaches the span processors but has no sampled flag, so exporters and remote children
    treat it as the delegate decided. What cannot be ruled out from the start of a span is recorded, because
    a missed span is missed money.

    Args:
        delegate: The sampler that decides what is exported.
        predicate: Narrows further what is recorded; None records whatever may be an LLM call. A predicate
            that raises narrows nothing.

    Attributes:
        delegate: The sampler that decides what is exported.
        failures: How often the predicate raised.
    """

    def __init__(self, delegate: Sampler, *, predicate: Predicate | None = None) -> None:
        self.delegate = delegate
        self.failures = 0
        self._predicate = predicate

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decides as the delegate does, but turns DROP into RECORD_ONLY for spans that may be LLM calls."""
        if trace_state is None:  # the SDK gives none, and older samplers take none
            result = self.delegate.should_sample(parent_context, trace_id, name, kind, attributes, links)
        else:
            result = self.delegate.should_sample(
                parent_context, trace_id, name, kind, attributes, links, trace_state
            )
        if result.decision is not Decision.DROP or not self._records(name, kind, attributes or {}):
            return result
        # A sampler that drops also drops the start attributes, which hold the model and the provider.
        kept = {**(attributes or {}), **result.attributes} if result.attributes else attributes
        return SamplingResult(Decision.RECORD_ONLY, kept, result.trace_state)

    def get_description(self) -> str:
        """Names this sampler and its delegate."""
        return f"RecordingSampler{{{self.delegate.get_description()}}}"

    def _records(self, name: str, kind: SpanKind | None, attributes: Mapping[str, object]) -> bool:
        if not may_be_llm(name, kind, attributes):
            return False
        if self._predicate is None:
            return True
        try:
            return self._predicate(name, kind, attributes)
        except Exception:  # noqa: BLE001 - the application's own code, on its own thread
            self.failures += 1
            return True

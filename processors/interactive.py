"""Whether somebody waits for a span: what the spans around it tell, remembered from their start.

An ancestor ends after the call that it encloses, so a call is known to be interactive only if its ancestors
are looked at when they start. Memory is bounded: a span that never ends is forgotten.
"""

from typing import Final

from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span
from opentelemetry.trace import SpanKind

from spanbudget.processors.circumstances import flag_of, truth
from spanbudget.processors.dialects import INTERACTIVE_KEY
from spanbudget.processors.spans import attributes_of

GENERATION_MAX: Final = 32_768
"""Live spans of one generation that are remembered; of two, so at most twice as many (about 10 MB)."""
BY_KIND: Final = {SpanKind.SERVER: True, SpanKind.CONSUMER: False}
"""What the kind of a span tells: a client waits for a server's answer, nobody for a queue's consumer."""


class InteractiveSpans:
    """The live spans for which it is known whether somebody waits; safe for all threads without a lock.

    Each operation on a dict is one step of the interpreter. Two threads that begin a generation at the same
    time may forget spans: their calls are then unknown, which is a state of its own.
    """

    def __init__(self) -> None:
        self._young: dict[int, bool] = {}
        self._old: dict[int, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._young or self._old)

    def started(self, span: Span, parent_context: Context | None) -> None:
        """Takes note of a span that starts.

        What the span itself says goes before baggage, that before its kind, and that before its parent.
        """
        flag = flag_of(attributes_of(span), INTERACTIVE_KEY)
        if flag is None:
            entries = baggage.get_all(parent_context)
            if entries:
                flag = truth(entries.get(INTERACTIVE_KEY))
            if flag is None:
                flag = BY_KIND.get(span.kind)
                if flag is None:
                    parent = span.parent
                    if parent is None:
                        return
                    flag = self.known(parent.span_id)
                    if flag is None:
                        return
        if len(self._young) >= GENERATION_MAX:
            self._old, self._young = self._young, {}
        context = span.context
        if context is not None:
            self._young[context.span_id] = flag

    def known(self, span_id: int) -> bool | None:
        """Whether somebody waits for a live span; None where nothing tells."""
        flag = self._young.get(span_id)
        return flag if flag is not None else self._old.get(span_id)

    def ended(self, span_id: int) -> bool | None:
        """The same for a span that has ended, which is forgotten."""
        flag = self._young.pop(span_id, None)
        return flag if flag is not None or not self._old else self._old.pop(span_id, None)

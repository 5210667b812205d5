"""Whether somebody waits for the calls in a file: what the spans above them tell, which come later."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Final

from spanbudget.processors.spans import SpanRecord

AHEAD: Final = 10_000
"""Spans that are read ahead (about 20 MB): an ancestor that ends later than that is not found."""
_REMEMBERED: Final = 4 * AHEAD
_DEPTH_MAX: Final = 100
"""Longest chain of parents that is followed."""


def with_ancestors(spans: Iterable[SpanRecord], ahead: int = AHEAD) -> Iterator[SpanRecord]:
    """Spans in their order, each with `interactive` as its nearest ancestor that tells it.

    Args:
        spans: The spans; what they tell themselves stays.
        ahead: How many spans are read before one is handed out, 1 or more.
    """
    known: OrderedDict[tuple[int, int], tuple[int, bool | None]] = OrderedDict()
    waiting: deque[SpanRecord] = deque()
    for span in spans:
        known[span.trace_id, span.span_id] = (span.parent_id, span.interactive)
        if len(known) > _REMEMBERED + ahead:
            known.popitem(last=False)
        waiting.append(span)
        if len(waiting) >= ahead:
            yield _told(waiting.popleft(), known)
    while waiting:
        yield _told(waiting.popleft(), known)


def _told(span: SpanRecord, known: OrderedDict[tuple[int, int], tuple[int, bool | None]]) -> SpanRecord:
    if span.interactive is not None:
        return span
    parent_id = span.parent_id
    for _ in range(_DEPTH_MAX):
        found = known.get((span.trace_id, parent_id))
        if found is None:
            return span
        parent_id, flag = found
        if flag is not None:
            return span._replace(interactive=flag)
    return span

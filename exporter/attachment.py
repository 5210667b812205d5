"""Puts a span processor and the recording sampler on a tracer provider, and takes them off again.

The SDK has no public way to replace a sampler, or to put a processor first. What it keeps in private places
is looked for and, where it is not as expected, left alone and told in a warning that names what is not
covered.
"""

import logging
import threading
from collections.abc import Iterator
from typing import Final, Protocol, runtime_checkable

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import Sampler

from spanbudget.processors.sampler import Predicate, RecordingSampler

_PROCESSORS: Final = "_span_processors"

_logger = logging.getLogger(__name__)


@runtime_checkable
class SpanSource(Protocol):
    """A tracer provider that takes span processors, as the SDK's does."""

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Adds a processor after those that are there."""
        ...


@runtime_checkable
class _Sampling(Protocol):
    """A provider or tracer of the SDK: it asks its `sampler` at the start of each span."""

    sampler: Sampler


class Attachment:
    """A span processor, and the recording sampler, on one tracer provider.

    The processor goes first, so that another one that raises cannot starve it, and so that an exporter on the
    application's thread finds a price. The sampler is also put into the tracers that exist already, because
    instrumentations keep theirs.

    Args:
        provider: The tracer provider.
        processor: The processor.
        record_unsampled: False leaves the samplers alone.
        predicate: See `RecordingSampler`.
    """

    def __init__(
        self,
        provider: SpanSource,
        processor: SpanProcessor,
        *,
        record_unsampled: bool = True,
        predicate: Predicate | None = None,
    ) -> None:
        self.provider = provider
        self._processor = processor
        self._samplers: dict[int, RecordingSampler] = {}
        provider.add_span_processor(processor)
        self._reorder(first=True)
        if record_unsampled:
            self._wrap_samplers(predicate)

    def detach(self) -> None:
        """Takes the processor and the sampler off; spans that are under way end unseen."""
        self._reorder(first=False)
        for place in self._sampling_places():
            for sampler in self._samplers.values():
                if place.sampler is sampler:
                    place.sampler = sampler.delegate

    def _wrap_samplers(self, predicate: Predicate | None) -> None:
        kind = type(self.provider)
        if not isinstance(self.provider, _Sampling):
            _logger.warning("%s has no sampler to wrap: what head sampling drops is not counted", kind)
        elif not isinstance(getattr(self.provider, "_tracers", None), dict):
            _logger.warning(
                "%s does not tell its tracers: what head sampling drops of tracers made before now is not "
                "counted; call spanbudget.instrument() before other instrumentations",
                kind,
            )
        for place in self._sampling_places():
            own = place.sampler
            if not isinstance(own, RecordingSampler):
                recording = RecordingSampler(own, predicate=predicate)
                place.sampler = self._samplers.setdefault(id(own), recording)

    def _sampling_places(self) -> Iterator[_Sampling]:
        """The provider first: tracers that are made meanwhile take its sampler."""
        tracers = getattr(self.provider, "_tracers", None)
        if isinstance(self.provider, _Sampling):
            yield self.provider
        for tracer in list(tracers.values()) if isinstance(tracers, dict) else ():
            if isinstance(tracer, _Sampling):
                yield tracer

    def _reorder(self, *, first: bool) -> None:
        """Puts the processor first, or leaves it out; replaces the tuple as the SDK itself does."""
        active = getattr(self.provider, "_active_span_processor", None)
        lock = getattr(active, "_lock", None)
        if lock is None or not isinstance(getattr(active, _PROCESSORS, None), tuple):
            return
        with lock:
            others = (known for known in getattr(active, _PROCESSORS) if known is not self._processor)
            setattr(active, _PROCESSORS, (self._processor, *others) if first else tuple(others))


def renew_metric_locks(meter_provider: object) -> None:
    """Replaces, in a forked child, the locks that a meter provider holds while it collects and exports.

    The parent may have been doing so, and the SDK renews its other locks in a child but not these: the
    child's first collection, or its exit, would wait for ever.
    """
    consumer = getattr(meter_provider, "_measurement_consumer", None)
    readers = getattr(meter_provider, "_metric_readers", ())
    for holder, name in ((consumer, "_lock"), *((reader, "_export_lock") for reader in readers)):
        if hasattr(holder, name):
            setattr(holder, name, threading.Lock())

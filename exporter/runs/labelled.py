"""What is different in a process of a run: its calls carry the run's label, and its refusals are noted."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from spanbudget.exporter.admission.engine import Admission
from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.admission.reservation import Reservation
from spanbudget.exporter.runs.notes import LABEL, LABEL_VARIABLE, Notes, own_notes
from spanbudget.processors.attribution import Attribution
from spanbudget.processors.call import Labels
from spanbudget.processors.errors import BudgetExceeded, SpanBudgetError

_REMEMBERED_MAX: Final = 4_096

_logger = logging.getLogger(__name__)


class RunAttribution(Attribution):
    """Gives every call the label of a run, whatever its span or its request tells.

    Args:
        label: The value of the label.
        configured: See `Attribution`.
        extra: See `Attribution`.
    """

    def __init__(
        self, label: str, configured: Mapping[str, Sequence[str]] | None = None, extra: Sequence[str] = ()
    ) -> None:
        super().__init__(configured, extra)
        self._label = label
        self._labelled: dict[Labels, Labels] = {}

    def labels(self, found: Sequence[object], resource: Mapping[str, object], metadata: object) -> Labels:
        """See `Attribution.labels`."""
        return self._with_run(super().labels(found, resource, metadata))

    def labels_of(self, attributes: Mapping[str, object], resource: Mapping[str, object]) -> Labels:
        """See `Attribution.labels_of`."""
        return self._with_run(super().labels_of(attributes, resource))

    def _with_run(self, labels: Labels) -> Labels:
        known = self._labelled.get(labels)
        if known is None:
            if len(self._labelled) >= _REMEMBERED_MAX:
                self._labelled = {}
            known = self._labelled[labels] = tuple(sorted({**dict(labels), LABEL: self._label}.items()))
        return known


class NotedAdmission(Admission):
    """An admission that notes each call which it refuses, and refuses where it fails itself.

    Elsewhere a fault of ours lets a call pass; but a program that runs under a cap must not lose it.

    Args:
        notes: The notes of the run.
        parts: See `Admission`.
    """

    def __init__(self, notes: Notes, **parts: Any) -> None:
        super().__init__(**parts)
        self._notes = notes

    def reserve(self, request: CallRequest) -> Reservation:
        """See `Admission.reserve`."""
        with self._noting():
            return super().reserve(request)

    async def reserve_async(self, request: CallRequest) -> Reservation:
        """See `Admission.reserve_async`."""
        with self._noting():
            return await super().reserve_async(request)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except BudgetExceeded as refusal:
            self._note(refusal)
            raise
        except SpanBudgetError:
            raise
        except Exception as fault:
            _logger.exception("A call cannot be capped, and is refused")
            failed = BudgetExceeded(
                f"SpanBudget has failed ({type(fault).__name__}), and a call without a cap is not made",
                budget="", reason="fault",
            )  # fmt: skip
            self._note(failed)
            raise failed from fault

    def _note(self, refusal: BudgetExceeded) -> None:
        self._notes.refusal(refusal.budget, refusal.reason, str(refusal))


def attribution_of(configured: Mapping[str, Sequence[str]], extra: Sequence[str]) -> Attribution:
    """Reads labels as configured, with that of the run which this process belongs to."""
    label = os.environ.get(LABEL_VARIABLE)
    return RunAttribution(label, configured, extra) if label else Attribution(configured, extra)


def admission_of(**parts: Any) -> Admission:
    """An admission; in a run one that notes what it refuses."""
    notes = own_notes()
    return NotedAdmission(notes, **parts) if notes is not None else Admission(**parts)

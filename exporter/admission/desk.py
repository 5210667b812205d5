"""Where guards ask for money: at the pipeline that runs, which is another one after a fork."""

from typing import TYPE_CHECKING, cast

from spanbudget.exporter.admission.engine import Admission
from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.admission.reservation import Reservation
from spanbudget.exporter.pipeline import Pipeline
from spanbudget.processors.errors import SpanBudgetError

if TYPE_CHECKING:
    from spanbudget.exporter.admission.keeper import Keeper


class PipelineDesk:
    """Reserves at a pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @property
    def engine(self) -> Admission:
        """What admits calls in this process."""
        return cast("Keeper", self._pipeline.admission).engine

    def reserve(self, request: CallRequest) -> Reservation:
        """See `Admission.reserve`; a fault of ours is what `on_store_error` says of a store that fails."""
        try:
            return self.engine.reserve(request)
        except SpanBudgetError:
            raise
        except Exception as fault:
            self.engine.refuse_fault(fault)
            raise

    async def reserve_async(self, request: CallRequest) -> Reservation:
        """See `Admission.reserve_async`, and `reserve`."""
        try:
            return await self.engine.reserve_async(request)
        except SpanBudgetError:
            raise
        except Exception as fault:
            self.engine.refuse_fault(fault)
            raise

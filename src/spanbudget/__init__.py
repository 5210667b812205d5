"""SpanBudget: LLM spans come in, money comes out, rules turn money into decisions.

    import spanbudget
    spanbudget.instrument("budgets.yaml")

The public names are loaded at their first use, so that `import spanbudget` itself costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from spanbudget.exporter.admission.context import budget_context
    from spanbudget.exporter.config import Config, load_config
    from spanbudget.exporter.config_sections import BudgetConfig
    from spanbudget.exporter.cost_exporter import CostSpanExporter
    from spanbudget.exporter.guard.transports import AsyncGuardTransport, GuardTransport
    from spanbudget.exporter.instrument import instrument, uninstrument
    from spanbudget.exporter.instrumentor import SpanBudgetInstrumentor
    from spanbudget.exporter.manager import BudgetManager
    from spanbudget.exporter.pipeline import Pipeline
    from spanbudget.exporter.reservations import BudgetReservation
    from spanbudget.exporter.wiring import open_pipeline
    from spanbudget.processors.call import Usage
    from spanbudget.processors.errors import (
        AmountError,
        BudgetExceeded,
        BudgetExistsError,
        BudgetNotFoundError,
        ConfigurationError,
        InputError,
        LedgerError,
        LedgerSchemaError,
        ReservationError,
        SpanBudgetError,
    )
    from spanbudget.processors.sampler import RecordingSampler
    from spanbudget.processors.span_processor import BudgetSpanProcessor

    __version__: str

__all__ = [
    "AmountError",
    "AsyncGuardTransport",
    "BudgetConfig",
    "BudgetExceeded",
    "BudgetExistsError",
    "BudgetManager",
    "BudgetNotFoundError",
    "BudgetReservation",
    "BudgetSpanProcessor",
    "Config",
    "ConfigurationError",
    "CostSpanExporter",
    "GuardTransport",
    "InputError",
    "LedgerError",
    "LedgerSchemaError",
    "Pipeline",
    "RecordingSampler",
    "ReservationError",
    "SpanBudgetError",
    "SpanBudgetInstrumentor",
    "Usage",
    "__version__",
    "budget_context",
    "instrument",
    "load_config",
    "open_pipeline",
    "uninstrument",
]

_HOMES: Final = {
    "AmountError": "processors.errors",
    "AsyncGuardTransport": "exporter.guard.transports",
    "BudgetConfig": "exporter.config_sections",
    "BudgetExceeded": "processors.errors",
    "BudgetExistsError": "processors.errors",
    "BudgetManager": "exporter.manager",
    "BudgetNotFoundError": "processors.errors",
    "BudgetReservation": "exporter.reservations",
    "BudgetSpanProcessor": "processors.span_processor",
    "Config": "exporter.config",
    "ConfigurationError": "processors.errors",
    "CostSpanExporter": "exporter.cost_exporter",
    "GuardTransport": "exporter.guard.transports",
    "InputError": "processors.errors",
    "LedgerError": "processors.errors",
    "LedgerSchemaError": "processors.errors",
    "Pipeline": "exporter.pipeline",
    "ReservationError": "processors.errors",
    "Usage": "processors.call",
    "budget_context": "exporter.admission.context",
    "RecordingSampler": "processors.sampler",
    "SpanBudgetError": "processors.errors",
    "SpanBudgetInstrumentor": "exporter.instrumentor",
    "instrument": "exporter.instrument",
    "load_config": "exporter.config",
    "open_pipeline": "exporter.wiring",
    "uninstrument": "exporter.instrument",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Imported late: it takes longer than everything else here, and few ask.
        from importlib.metadata import version  # noqa: PLC0415

        found: Any = version("spanbudget")
    elif name in _HOMES:
        found = getattr(import_module(f"spanbudget.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found  # the next use does not come here
    return found


def __dir__() -> list[str]:
    return sorted(__all__)

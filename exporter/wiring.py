"""Puts a pipeline together from a configuration."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

from spanbudget.exporter.admission.keeper import Keeper
from spanbudget.exporter.admission.orphans import lease_reversals
from spanbudget.exporter.admission.reservation import Reservation
from spanbudget.exporter.admission.routes import Routes
from spanbudget.exporter.admission.stored_holdings import StoredHoldings
from spanbudget.exporter.admission.terms import TermsBook
from spanbudget.exporter.admission.worst_case import WorstCases
from spanbudget.exporter.config import Config
from spanbudget.exporter.config_sections import BudgetConfig, ScopeConfig
from spanbudget.exporter.entry_store import EntryStore, SharedLedger
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.backfill import count_existing
from spanbudget.exporter.ledger.beside import path_beside
from spanbudget.exporter.ledger.spool import Spool
from spanbudget.exporter.pipeline import Parts, Pipeline
from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.exporter.runs.labelled import admission_of, attribution_of
from spanbudget.exporter.series import SERIES_LABELS, SeriesBook
from spanbudget.processors import names_out as names
from spanbudget.processors.booking import Booker
from spanbudget.processors.budgets import Budget, BudgetBook
from spanbudget.processors.counting import CallCounter
from spanbudget.processors.dialects import RULES, UNKNOWN_SCOPE, ScopeRule
from spanbudget.processors.ledger import Entry
from spanbudget.processors.model_names import Namer
from spanbudget.processors.overrides import PriceBook
from spanbudget.processors.reading import SpanReader

NS_PER_DAY: Final = 86_400_000_000_000
ASK_SECONDS: Final = 2.0
"""How long a call waits for a ledger that another process has locked, before `on_store_error` decides."""


def scope_rules(scopes: Mapping[str, ScopeConfig]) -> dict[str, ScopeRule]:
    """The rules of the configuration: what a scope's section sets replaces what is built in."""
    return {name: _rule(RULES.get(name, UNKNOWN_SCOPE), section) for name, section in scopes.items()}


def _rule(rule: ScopeRule, section: ScopeConfig) -> ScopeRule:
    changes: dict[str, object] = {"ignore": section.ignore, "known": True}
    if section.input_includes_cache is not None:
        changes["input_includes_cache"] = section.input_includes_cache
    if section.reports_cache_read is not None:
        changes["cache_read"] = "yes" if section.reports_cache_read else "no"
    if section.reports_cache_write is not None:
        changes["cache_write"] = "yes" if section.reports_cache_write else "no"
        changes["cache_write_openai"] = None
        changes["doubts_zero_write"] = False
    return replace(rule, **changes)  # type: ignore[arg-type]


def make_reader(config: Config) -> SpanReader:
    """A reader with the configured attribution, names and scope rules, and the key of hashes."""
    return SpanReader(
        attribution=attribution_of(config.attribution.configured(), config.extra_labels),
        namer=Namer(config.model_aliases),
        scopes=scope_rules(config.scopes),
        hash_key=config.advice.key,
    )


def make_parts(config: Config, prices: PriceBook, *, live: bool = True, retention: bool = True) -> Parts:
    """All parts of a pipeline, new; `live` for spans of this very process."""
    reader = make_reader(config)
    counter = CallCounter(
        max_entries=config.counting.max_entries, max_age_ns=config.counting.max_age_seconds * 1_000_000_000
    )
    budgets = BudgetBook(config.budgets)
    booker = Booker(
        reader=reader,
        counter=counter,
        prices=prices,
        budgets=budgets,
        retention_ns=config.ledger.retention_days * NS_PER_DAY if retention else None,
        own_from_ns=time.time_ns() if live else None,
        look_back_ns=config.counting.max_age_seconds * 1_000_000_000,
    )
    labels = tuple(dict.fromkeys([*SERIES_LABELS, *config.metrics.labels]))
    series = SeriesBook(labels, config.metrics.max_label_values)

    for budget in config.budgets:
        if told := {label: allowed[0] for label, allowed in budget.selector.terms if _is_one(allowed)}:
            series.seed(told)

    def further() -> dict[tuple[str, str], int]:
        told = {(names.SPANS_REJECTED.name, reason): count for reason, count in reader.rejected.items()}
        for name, count in prices.counters.items():
            kind, _, label = name.partition(":")
            if kind != "unpriced":  # booking counts those by model
                told[names.COST_CLAIMS.name, f"{kind}: {label}"] = count
        return told

    return Parts(reader, counter, booker, budgets, series, further)


def _is_one(allowed: tuple[str, ...]) -> bool:
    return len(allowed) == 1 and "*" not in allowed[0]


def open_counted(config: Config) -> SharedLedger:
    """The configured ledger, with what it already holds counted for budgets that are new to it.

    Raises:
        LedgerError: The ledger cannot be used.
    """
    ledger = open_ledger(config.ledger.url)
    count_existing(ledger, config.budgets, time.time_ns())
    return ledger


def open_pipeline(
    config: Config,
    *,
    retention: bool = True,
    resource: Mapping[str, object] = MappingProxyType({}),
    clock_ns: Callable[[], int] = time.time_ns,
) -> Pipeline:
    """A running pipeline with the ledger, budgets and prices of a configuration.

    Args:
        config: The configuration.
        retention: False books calls of any age.
        resource: What the resource says about this process: labels of the calls that it asks for.
        clock_ns: Nanoseconds since the epoch.

    Raises:
        LedgerError: The ledger cannot be opened.
    """
    ledger = config.ledger
    table = GenaiPriceTable()
    table.load()
    spool = Spool(path_beside(ledger.url), ledger.spool_max_mb << 20)
    limits = LimitLedger(ledger.url)
    return Pipeline(
        make_parts=lambda: make_parts(config, PriceBook(table, config.prices), retention=retention),
        store=EntryStore(partial(open_counted, config), spool, ledger.on_store_error),
        spool=spool,
        queue_max_spans=ledger.queue_max_spans,
        max_unflushed_ms=ledger.max_unflushed_ms,
        make_admission=partial(make_admission, config, table, limits, resource, clock_ns),
        clock_ns=clock_ns,
    )


class LimitLedger:
    """The connection that calls ask for money, apart from the one that entries go through.

    A ledger in memory has one connection only: the pipeline's.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: SharedLedger | None = None
        self._lock = threading.Lock()

    def open(self, pipeline: Pipeline) -> SharedLedger:
        """The ledger, opened at the first use.

        Raises:
            LedgerError: It cannot be opened.
        """
        if self._opened is None:
            if self._url in ("sqlite://", "sqlite:///:memory:"):
                return pipeline.ledger
            with self._lock:
                if self._opened is None:
                    self._opened = open_ledger(self._url, busy_timeout_seconds=ASK_SECONDS)
        return self._opened

    def close(self) -> None:
        """Closes it; it is opened again at the next use."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def after_fork(self) -> None:
        """In a forked child: the lock may have been held by a thread that is not there."""
        self._lock = threading.Lock()


def make_admission(
    config: Config,
    table: GenaiPriceTable,
    limits: LimitLedger,
    resource: Mapping[str, object],
    clock_ns: Callable[[], int],
    pipeline: Pipeline,
) -> Keeper:
    """What admits the calls of a process, new."""
    budgets, prices = pipeline.budgets, PriceBook(table, config.prices)
    beside = path_beside(config.ledger.url)
    terms = TermsBook()
    limits.after_fork()

    def reversals(charges: Sequence[Entry]) -> list[Entry]:
        return lease_reversals(charges, budgets)

    def journal_optional(reservation: Reservation) -> bool:
        return engine.journal_optional(reservation)

    holdings = StoredHoldings(
        ledger=lambda: limits.open(pipeline),
        beside=beside,
        orphan_reversals=reversals,
        journal_optional=journal_optional,
        lease_seconds=config.ledger.lease_seconds,
        clock_ns=clock_ns,
    )
    namer = Namer(config.model_aliases)
    routes = Routes(
        budgets,
        namer,
        attribution_of(config.attribution.configured(), config.extra_labels),
        WorstCases(prices, table, config.models.output_limits),
        holdings.lease_of,
    )
    routes.know({**resource, **pipeline.resource})
    told = config.ledger.model_fields_set
    engine = admission_of(
        holdings=holdings,
        routes=routes,
        terms=terms,
        namer=namer,
        prices=prices,
        ledger=lambda: limits.open(pipeline),
        sink=pipeline,
        on_store_error=config.ledger.on_store_error if "on_store_error" in told else None,
        baggage_keys=config.baggage_keys,
        clock_ns=clock_ns,
    )
    return Keeper(
        pipeline,
        engine=engine,
        holdings=holdings,
        terms=terms,
        budgets=budgets,
        configured=config.budgets,
        stored=stored_budget,
        added=count_added,
        beside=beside,
        reversals=reversals,
        limits=limits,
    )


def stored_budget(body: str) -> Budget:
    """A budget that the ledger keeps, from its text."""
    return BudgetConfig.model_validate_json(body).to_budget()


def count_added(ledger: SharedLedger, budgets: Sequence[Budget]) -> None:
    """Counts what a ledger already holds for budgets that are new to it.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    count_existing(ledger, budgets, time.time_ns())

"""Prices as a person reads them: per million tokens, with tiers, dates and context lengths."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal

from spanbudget.exporter.price_compiling import PER_TOKEN_EXPONENT, day_of
from spanbudget.processors.money import pico_to_usd
from spanbudget.processors.rates import RateHistory


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One line of a model's prices.

    Attributes:
        tier: Service tier, None for the standard one.
        starts: First day, UTC; None where there is no earlier price.
        time_of_week_ns: Start within the UTC week, nanoseconds since Monday 00:00.
        prompt_above: Holds for prompts of more than this many tokens; -1 for all.
        usd_per_mtok: USD per 1M tokens by bucket, the priced ones only.
        request_usd: USD for each call.
        web_search_usd: USD for each web search; None where not priced.
        price_id: What charges at this price carry.
        reasons: Why costs at this price are not exact.
    """

    tier: str | None
    starts: date | None
    time_of_week_ns: int
    prompt_above: int
    usd_per_mtok: Mapping[str, Decimal]
    request_usd: Decimal
    web_search_usd: Decimal | None
    price_id: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PriceListing:
    """All prices of one model at one provider.

    Attributes:
        provider: The id in genai-prices.
        model: The id in genai-prices, which may be another name than the one asked for.
        doubts: Why the name may not be this model; empty where it is.
        deprecated: True where the vendor has announced the model's end: its price may be stale. The data do
            not say when a price was last checked.
        comments: What the data's authors say about these prices, model first; None where nothing.
        urls: Where the vendor publishes them.
        rows: By tier, date, time of the week and length of prompt.
    """

    provider: str
    model: str
    doubts: tuple[str, ...]
    deprecated: bool
    comments: str | None
    urls: tuple[str, ...]
    rows: tuple[PriceRow, ...]


def rows_of(history: RateHistory | None, tier: str | None) -> Iterator[PriceRow]:
    """The lines of one tier's prices, by date, time of the week and context length."""
    for segment in history.segments if history else ():
        for start_ns, card in segment.cards:
            for rates in card.rates:
                buckets = ((field.name, getattr(rates, field.name)) for field in fields(rates)[1:])
                yield PriceRow(
                    tier=tier,
                    starts=day_of(segment.start_ns) if segment.start_ns else None,
                    time_of_week_ns=start_ns,
                    prompt_above=rates.prompt_above,
                    usd_per_mtok={
                        bucket: pico_to_usd(rate * 10**PER_TOKEN_EXPONENT)
                        for bucket, rate in buckets
                        if rate is not None
                    },
                    request_usd=pico_to_usd(card.request),
                    web_search_usd=None if card.web_search is None else pico_to_usd(card.web_search),
                    price_id=card.price_id,
                    reasons=card.reasons,
                )

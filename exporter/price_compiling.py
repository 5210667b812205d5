"""From the price structures of genai-prices to compiled integer rates: each price of each moment, once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from spanbudget.processors.rates import DAY_NS, BucketRates, RateCard

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, PriceVariant, Provider

_BUCKETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "input_mtok": "input",
        "cache_read_mtok": "cache_read",
        "cache_write_mtok": "cache_write_5m",
        "cache_write_5m_mtok": "cache_write_5m",
        "cache_write_1h_mtok": "cache_write_1h",
        "output_mtok": "output",
        "output_reasoning_mtok": "reasoning",
        "input_audio_mtok": "audio_input",
        "cache_audio_read_mtok": "audio_cache_read",
        "output_audio_mtok": "audio_output",
        "input_image_mtok": "image_input",
    }
)
"""Price key → bucket, in an order in which the more special one comes last."""

_PARTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "input_video_mtok": ("input", "input_mtok"),
        "cache_image_read_mtok": ("cache_read", "cache_read_mtok"),
        "output_image_mtok": ("output", "output_mtok"),
        "output_video_mtok": ("output", "output_mtok"),
        "output_citation_mtok": ("output", "output_mtok"),
    }
)
"""Price key of a part that no span tells apart → the bucket it hides in, and that bucket's price key."""

_UNSEEN_KEYS: Final = (
    "audio_hours", "input_audio_hours", "output_audio_hours", "input_mchars", "input_text_messages_kcount",
    "input_document_kpages", "input_annotated_document_kpages", "input_gpixels",
)  # fmt: skip
"""Price keys of what is billed by a unit that no span carries."""

PER_TOKEN_EXPONENT: Final = 6  # USD per 1M tokens → pico-USD per token
_PER_KCOUNT_EXPONENT: Final = 9  # USD per 1,000 → pico-USD for one
_CONTEXT_KEYS: Final = frozenset({"processing", "service_tier", "speed"})
MINUTE_NS: Final = 60_000_000_000
_ANY_DAY: Final = date(1970, 1, 1)
_FREE: Final = BucketRates(input=0, cache_read=0, cache_write_5m=0, cache_write_1h=0, output=0)


@dataclass(frozen=True, slots=True)
class FoundModel:
    """What a name resolves to, with the reasons why the price may be another."""

    provider: "Provider"
    model: "ModelInfo"
    doubts: tuple[str, ...] = ()

    @property
    def borrowed(self) -> bool:
        """True where the price is another provider's, because this one lists none."""
        return not any(self.model is own for own in self.provider.models)


def selected(when: Mapping[str, str]) -> tuple[str, ...]:
    """The service tiers that select a variant; none where something selects it that no span carries."""
    return tuple(when.values()) if len(when) == 1 and set(when) <= _CONTEXT_KEYS else ()


def _variants(found: FoundModel, tier: str | None) -> "list[PriceVariant]":
    """The variants of a tier; a model that is borrowed from another provider has none, as in genai-prices."""
    if tier is None or found.borrowed:
        return []
    return [variant for variant in found.model.price_variants or () if tier in selected(variant.when)]


def _constraints(found: FoundModel) -> list[Any]:
    """What decides when a price holds: start dates and daily windows."""
    prices = found.model.prices if isinstance(found.model.prices, list) else []
    every = [*prices, *(found.model.price_variants or ())]
    return [one.constraint for one in every if one.constraint is not None]


def _windows(found: FoundModel) -> list[Any]:
    return [one for one in _constraints(found) if hasattr(one, "start_time")]


def days(found: FoundModel) -> list[date | None]:
    """The days on which a price changes, None for the time before all of them."""
    days = {one.start_date for one in _constraints(found) if hasattr(one, "start_date")}
    return [None, *sorted(days)]


def _times(found: FoundModel) -> list[int]:
    """The times of day (UTC, nanoseconds) at which a price changes; 0 is always one."""
    windows = _windows(found)
    return sorted({0, *(_time_ns(edge) for one in windows for edge in (one.start_time, one.end_time))})


def _time_ns(edge: time_of_day) -> int:
    utc = edge if edge.tzinfo is None else datetime.combine(_ANY_DAY, edge).astimezone(UTC).time()
    return (((utc.hour * 60 + utc.minute) * 60 + utc.second) * 1_000_000 + utc.microsecond) * 1000


def starts_at(day: date | None) -> int:
    """The first nanosecond of a day, UTC; 0 where there is no first day."""
    return 0 if day is None else (day - _ANY_DAY).days * DAY_NS


def day_of(start_ns: int) -> date:
    """The day of a moment, UTC."""
    return _ANY_DAY + timedelta(days=start_ns // DAY_NS)


def week(found: FoundModel, tier: str | None, day: date | None) -> tuple[tuple[int, RateCard], ...]:
    """The cards of a week of the stretch that starts on a day; one where the time does not matter."""
    first = min((one for one in days(found) if one), default=_ANY_DAY) - timedelta(days=1)
    midnight = datetime.combine(day or first, time_of_day(), tzinfo=UTC)
    last = days(found)[-1]
    cards: list[tuple[int, RateCard]] = []
    for start_ns in _times(found):
        moment = midnight + timedelta(microseconds=start_ns // 1000)
        card = _card(found, tier, moment)
        if day != last and _in_window(found, moment):
            card = replace(card, reasons=(*card.reasons, "time_window_undated"))
        if not cards or card != cards[-1][1]:
            cards.append((start_ns, card))
    if len(cards) == 1:
        return tuple(cards)
    return tuple(
        (weekday * DAY_NS + start_ns, _on_weekday(found, card, midnight, start_ns, weekday))
        for weekday in range(7)
        for start_ns, card in cards
    )


def _on_weekday(
    found: FoundModel, card: RateCard, midnight: datetime, start_ns: int, weekday: int
) -> RateCard:
    """A card of a daily window; in doubt at weekends where the comments say that the vendor has none then."""
    comments = (found.model.price_comments or "").lower()
    moment = midnight + timedelta(microseconds=start_ns // 1000)
    if weekday < 5 or "weekend" not in comments or not _in_window(found, moment):
        return card
    return replace(card, reasons=(*card.reasons, "weekend_upper_bound"))


def _in_window(found: FoundModel, moment: datetime) -> bool:
    return any(window.active(moment) for window in _windows(found))


def _card(found: FoundModel, tier: str | None, moment: datetime) -> RateCard:
    """The price of one moment, without its id."""
    variants = _variants(found, tier)
    context = {key: value for variant in variants for key, value in variant.when.items()}
    price = found.model.get_prices(moment, context or None)
    given = {
        key: value for key, value in vars(price).items() if value is not None and not key.startswith("_")
    }
    reasons = list(found.doubts)
    if tier and not any(one.constraint is None or one.constraint.active(moment) for one in variants):
        reasons.append("tier_unpriced")
    if any(key in given for key in _UNSEEN_KEYS):
        reasons.append("other_units")
    if "requests_kcount" in given and found.provider.id == "perplexity":
        reasons.append(
            "request_fee_upper_bound"
        )  # it depends on the search context; the table has the highest
    free = not given and found.model.id.endswith(":free")
    doubts = {
        (bucket, "part_unknown") for key, (bucket, whole) in _PARTS.items() if _differs(given, key, whole)
    }
    starts = sorted({step.start for value in given.values() for step in getattr(value, "tiers", ())})
    rates = tuple(_bucket_rates(found, given, above, doubts) for above in (-1, *starts))
    fees = {key: _fee(given.get(key)) for key in ("requests_kcount", "web_searches_kcount")}
    return RateCard(
        "",
        (_FREE,) if free else rates,
        fees["requests_kcount"] or 0,
        fees["web_searches_kcount"],
        tuple(reasons),
        tuple(sorted(doubts)),
    )


def _differs(given: Mapping[str, Any], key: str, whole: str) -> bool:
    return key in given and given[key] != given.get(whole)


def _bucket_rates(
    found: FoundModel, given: Mapping[str, Any], above: int, doubts: set[tuple[str, str]]
) -> BucketRates:
    """The rates of prompts above a length; adds a doubt for each that had to be rounded."""
    rates: dict[str, int] = {}
    for key, bucket in _BUCKETS.items():
        if key in given:
            rates[bucket], exact = _pico(_at(given[key], above), PER_TOKEN_EXPONENT)
            if not exact:
                doubts.add((bucket, "price_rounded"))
    if found.provider.id == "google" and not found.borrowed:
        # Google lists audio apart wherever it does not cost what text costs.
        for audio, text in (
            ("audio_input", "input"),
            ("audio_cache_read", "cache_read"),
            ("audio_output", "output"),
        ):
            if text in rates:
                rates.setdefault(audio, rates[text])
    return BucketRates(above, **rates)


def _at(value: Any, above: int) -> Decimal:
    """The price of prompts above a length, USD per the key's unit."""
    if isinstance(value, Decimal):
        return value
    amount: Decimal = value.base
    for step in value.tiers:
        if above >= step.start:
            amount = step.price
    return amount


def _fee(value: Any) -> int | None:
    return None if value is None else _pico(_at(value, -1), _PER_KCOUNT_EXPONENT)[0]


def _pico(usd: Decimal, exponent: int) -> tuple[int, bool]:
    """Whole pico-USD, half-even, and whether nothing was rounded."""
    with localcontext() as context:
        context.prec = 60
        exact = usd.scaleb(exponent)
        rounded = int(exact.to_integral_value(ROUND_HALF_EVEN))
        return rounded, exact == rounded

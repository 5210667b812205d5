"""The prices that genai-prices ships, compiled to integer rates.

genai-prices is data and name resolver here; its own arithmetic (65 µs a call) never runs. It is imported at
the first price that is asked for, because the import takes 150 ms, and it is never updated from the network.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import cached_property
from importlib.metadata import version as installed_version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from spanbudget.processors.money import pico_to_usd
from spanbudget.processors.rates import (
    DAY_NS,
    BucketRates,
    RateCard,
    RateHistory,
    RateSegment,
    standard_tier,
)

if TYPE_CHECKING:
    from genai_prices.types import (
        MatchLogic,
        ModelInfo,
        PriceVariant,
        Provider,
    )

_PROVIDER_IDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aws.bedrock": "aws",
        "azure.ai.inference": "azure",
        "azure.ai.openai": "azure",
        "gcp.gemini": "google",
        "gcp.gen_ai": "google",
        "gcp.vertex_ai": "google",
        "github_copilot": "github-copilot",
        "mistral_ai": "mistral",
        "moonshot_ai": "moonshotai",
        "voyage_ai": "voyageai",
        "x_ai": "x-ai",
        "z_ai": "zai",
    }
)
"""Our provider → genai-prices' id, where they differ. Its own matching takes azure.ai.openai for openai."""

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

_PER_TOKEN_EXPONENT: Final = 6  # USD per 1M tokens → pico-USD per token
_PER_KCOUNT_EXPONENT: Final = 9  # USD per 1,000 → pico-USD for one
_CONTEXT_KEYS: Final = frozenset({"processing", "service_tier", "speed"})
_MINUTE_NS: Final = 60_000_000_000
_ANY_DAY: Final = date(1970, 1, 1)
_FREE: Final = BucketRates(input=0, cache_read=0, cache_write_5m=0, cache_write_1h=0, output=0)
_VENDOR_PREFIX: Final = re.compile(r"(?:[a-z-]+\.)+[a-z]")  # us.anthropic.claude-…: Bedrock's spelling
_VERSION_TAIL: Final = re.compile(
    r"(?:[-@]20\d\d-?[01]\d-?[0-3]\d|-[01]\d-(?:[0-3]\d|20\d\d)|-\d{3,4}|-v\d+|:\d+k?|[-@](?:latest|default)"
    r"|-preview|-exp)*"
)
"""What may follow a name and leave it the same model: a date, a revision, `latest`, `preview`."""


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


class GenaiPriceTable:
    """The price source over the snapshot that the installed genai-prices bundles."""

    @cached_property
    def version(self) -> str:
        """Version of genai-prices and of its prices, `genai-prices:0.2.3`."""
        return f"genai-prices:{installed_version('genai-prices')}"

    @cached_property
    def providers(self) -> "list[Provider]":
        """All providers of the bundled data; the first use imports genai-prices."""
        from genai_prices.data import providers  # noqa: PLC0415 - 150 ms and 26 MB

        return providers

    def compile(self, provider: str | None, model: str, tier: str | None) -> RateHistory | None:
        """See `PriceSource.compile`."""
        found = self.find(provider, model)
        return None if found is None else self.compile_model(found, tier)

    def find(self, provider: str | None, model: str) -> FoundModel | None:
        """Resolves a name; None where it is unknown or, without a provider, not surely one vendor's.

        Without a provider a name belongs to its maker, where exactly one vendor claims such names and nothing
        in the name tells of a reseller. A fine-tuned model without a price of its own is its base model.
        """
        name = model.lower()
        seller = self._seller(provider, name)
        if seller is None:
            return None
        for spelling, doubts in _spellings(seller.id, name):
            info = seller.find_model(spelling, all_providers=self.providers)
            if info is not None:
                found = FoundModel(seller, info)
                borrowed = ("provider_fallback",) if found.borrowed else ()
                alike = () if _same_name(info.match, info.id, spelling) else ("name_prefix_match",)
                return replace(found, doubts=(*doubts, *borrowed, *alike))
        return None

    def compile_model(self, found: FoundModel, tier: str | None = None) -> RateHistory | None:
        """All prices of a model; None where the data list it without any price.

        genai-prices itself is asked for the price of one moment in each stretch of time between two changes.
        """
        service_tier = standard_tier(tier)
        segments: list[RateSegment] = []
        for day in _days(found):
            cards = _week(found, service_tier, day)
            if not segments or cards != segments[-1].cards:
                segments.append(RateSegment(_start_ns(day), cards))
        if all(
            card.rates == (BucketRates(),) and not card.request for part in segments for _, card in part.cards
        ):
            return None
        named = (self._named(found, service_tier, segment) for segment in segments)
        return RateHistory(tuple(named))

    def describe(self, provider: str | None, model: str) -> tuple[PriceListing, ...]:
        """Every price of a name, for a person: at one provider, or at all that list it where that is None."""
        name = model.lower()
        if provider is not None:
            one = self.find(provider, name)
            return () if one is None else (self._listing(one),)
        models = ((seller, seller.find_model(name)) for seller in self.providers)
        found = (
            FoundModel(seller, info, () if _same_name(info.match, info.id, name) else ("name_prefix_match",))
            for seller, info in models
            if info is not None
        )
        return tuple(self._listing(one) for one in found)

    def _seller(self, provider: str | None, name: str) -> "Provider | None":
        if provider is not None:
            wanted = _PROVIDER_IDS.get(provider.lower(), provider.lower())
            return next((one for one in self.providers if one.id == wanted), None)
        if "/" in name or _VENDOR_PREFIX.match(name):
            return None
        claims = [one for one in self.providers if one.model_match and one.model_match.is_match(name)]
        return claims[0] if len(claims) == 1 else None

    def _named(self, found: FoundModel, tier: str | None, segment: RateSegment) -> RateSegment:
        """The segment with the id of each price: source, version, provider, model, tier, date, time."""
        sellers = (one.id for one in self.providers if any(found.model is own for own in one.models))
        entry = f"{self.version}:{next(sellers, found.provider.id)}/{found.model.id}"
        day = f"@{_day_of(segment.start_ns)}" if segment.start_ns else ""
        cards = []
        for start_ns, card in segment.cards:
            minutes = start_ns % DAY_NS // _MINUTE_NS
            clock = f"~{minutes // 60:02}:{minutes % 60:02}" if len(segment.cards) > 1 else ""
            variant = f"#{tier}" if tier and "tier_unpriced" not in card.reasons else ""
            price_id = f"{entry}{variant}{day}{clock}"
            cards.append((start_ns, replace(card, price_id=price_id)))
        return RateSegment(segment.start_ns, tuple(cards))

    def _listing(self, found: FoundModel) -> PriceListing:
        model, seller = found.model, found.provider
        tiers = {value for variant in model.price_variants or () for value in _selected(variant.when)}
        asked = [None, *sorted(tier for tier in tiers if standard_tier(tier))]
        rows = (row for tier in asked for row in _rows(self.compile_model(found, tier), tier))
        comments = "\n".join(text for text in (model.price_comments, seller.price_comments) if text)
        return PriceListing(
            provider=seller.id,
            model=model.id,
            doubts=found.doubts,
            deprecated=bool(model.deprecated),
            comments=comments or None,
            urls=tuple(seller.pricing_urls or ()),
            rows=tuple(rows),
        )


def _spellings(seller: str, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The ways to look a name up, the surest first, each with its doubts."""
    yield name, ()
    if seller == "fireworks":
        yield f"accounts/fireworks/models/{name}", ()
    if name.startswith("ft:"):
        yield name.split(":")[1], ("fine_tune_base_price",)


def _same_name(match: "MatchLogic", model: str, name: str) -> bool:
    """Whether a name is surely the model that it matched: equal, or followed by a date or a revision only."""
    tails = [name.removeprefix(model.lower()) if name.startswith(model.lower()) else None]
    tails += (_tail(clause, name) for clause in _clauses(match))
    if name.startswith("ft:"):  # what follows the base model names the customer
        tails = [None if tail is None else tail.partition(":")[0] for tail in tails]
    return any(tail is not None and _VERSION_TAIL.fullmatch(tail) for tail in tails)


def _clauses(match: "MatchLogic") -> Iterator[Any]:
    """The single clauses of which any may match; of an `and`, all."""
    parts = getattr(match, "or_", None) or getattr(match, "and_", None)
    if parts is None:
        yield match
    for part in parts or ():
        yield from _clauses(part)


def _tail(clause: Any, name: str) -> str | None:
    """What a name has after the part that a clause matches; None where it does not match."""
    if not clause.is_match(name):
        return None
    pattern = getattr(clause, "regex", None)
    if pattern:
        found = re.search(pattern, name)
        return name[found.end() :] if found else None
    text = getattr(clause, "starts_with", None) or getattr(clause, "contains", None)
    return name.split(text.lower(), 1)[1] if text else ""


def _selected(when: Mapping[str, str]) -> tuple[str, ...]:
    """The service tiers that select a variant; none where something selects it that no span carries."""
    return tuple(when.values()) if len(when) == 1 and set(when) <= _CONTEXT_KEYS else ()


def _variants(found: FoundModel, tier: str | None) -> "list[PriceVariant]":
    """The variants of a tier; a model that is borrowed from another provider has none, as in genai-prices."""
    if tier is None or found.borrowed:
        return []
    return [variant for variant in found.model.price_variants or () if tier in _selected(variant.when)]


def _constraints(found: FoundModel) -> list[Any]:
    """What decides when a price holds: start dates and daily windows."""
    prices = found.model.prices if isinstance(found.model.prices, list) else []
    every = [*prices, *(found.model.price_variants or ())]
    return [one.constraint for one in every if one.constraint is not None]


def _windows(found: FoundModel) -> list[Any]:
    return [one for one in _constraints(found) if hasattr(one, "start_time")]


def _days(found: FoundModel) -> list[date | None]:
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


def _start_ns(day: date | None) -> int:
    return 0 if day is None else (day - _ANY_DAY).days * DAY_NS


def _day_of(start_ns: int) -> date:
    return _ANY_DAY + timedelta(days=start_ns // DAY_NS)


def _week(found: FoundModel, tier: str | None, day: date | None) -> tuple[tuple[int, RateCard], ...]:
    """The cards of a week of the stretch that starts on a day; one where the time does not matter."""
    first = min((one for one in _days(found) if one), default=_ANY_DAY) - timedelta(days=1)
    midnight = datetime.combine(day or first, time_of_day(), tzinfo=UTC)
    last = _days(found)[-1]
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
            rates[bucket], exact = _pico(_at(given[key], above), _PER_TOKEN_EXPONENT)
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


def _rows(history: RateHistory | None, tier: str | None) -> Iterator[PriceRow]:
    for segment in history.segments if history else ():
        for start_ns, card in segment.cards:
            for rates in card.rates:
                buckets = ((field.name, getattr(rates, field.name)) for field in fields(rates)[1:])
                yield PriceRow(
                    tier=tier,
                    starts=_day_of(segment.start_ns) if segment.start_ns else None,
                    time_of_week_ns=start_ns,
                    prompt_above=rates.prompt_above,
                    usd_per_mtok={
                        bucket: pico_to_usd(rate * 10**_PER_TOKEN_EXPONENT)
                        for bucket, rate in buckets
                        if rate is not None
                    },
                    request_usd=pico_to_usd(card.request),
                    web_search_usd=None if card.web_search is None else pico_to_usd(card.web_search),
                    price_id=card.price_id,
                    reasons=card.reasons,
                )

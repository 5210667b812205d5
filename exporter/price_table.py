"""The prices that genai-prices ships, compiled to integer rates.

genai-prices is data and name resolver here; its own arithmetic (65 µs a call) never runs. It is imported by
`load` or at the first price that is asked for, because the import takes 150 ms, and it is never updated from
the network.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version as installed_version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from spanbudget.exporter.price_compiling import MINUTE_NS, FoundModel, day_of, days, selected, starts_at, week
from spanbudget.exporter.price_listing import PriceListing, rows_of
from spanbudget.processors.rates import DAY_NS, BucketRates, RateHistory, RateSegment, standard_tier

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, Provider

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

_VENDOR_PREFIX: Final = re.compile(r"(?:[a-z-]+\.)+[a-z]")  # us.anthropic.claude-…: Bedrock's spelling
_VERSION_TAIL: Final = re.compile(
    r"(?:[-@]20\d\d-?[01]\d-?[0-3]\d|-[01]\d-(?:[0-3]\d|20\d\d)|-\d{3,4}|-v\d+|:\d+k?|[-@](?:latest|default)"
    r"|-preview|-exp)*"
)
"""What may follow a name and leave it the same model: a date, a revision, `latest`, `preview`."""


class GenaiPriceTable:
    """The price source over the snapshot that the installed genai-prices bundles."""

    def __init__(self) -> None:
        self._version = f"genai-prices:{installed_version('genai-prices')}"
        self._providers: list[Provider] | None = None
        self._dearest: tuple[int, int] | None = None

    @property
    def version(self) -> str:
        """Version of genai-prices and of its prices, `genai-prices:0.2.3`."""
        return self._version

    def load(self) -> "list[Provider]":
        """Imports the bundled data, before there are threads: an import lock held at a fork stays locked."""
        from genai_prices.data import providers  # noqa: PLC0415 - 150 ms and 26 MB

        self._providers = providers
        return providers

    @property
    def providers(self) -> "list[Provider]":
        """All providers of the bundled data; the first use loads it.

        No `cached_property`, which holds a lock in Python 3.11 that a forked child would wait for.
        """
        return self.load() if self._providers is None else self._providers

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
        for day in days(found):
            cards = week(found, service_tier, day)
            if not segments or cards != segments[-1].cards:
                segments.append(RateSegment(starts_at(day), cards))
        if all(
            card.rates == (BucketRates(),) and not card.request for part in segments for _, card in part.cards
        ):
            return None
        named = (self._named(found, service_tier, segment) for segment in segments)
        return RateHistory(tuple(named))

    def context_window(self, provider: str | None, model: str) -> int | None:
        """Most tokens of prompt and answer together; None where the data do not tell."""
        found = self.find(provider, model)
        return None if found is None else found.model.context_window

    def dearest(self) -> tuple[int, int]:
        """The dearest rates of any model for a token of a prompt and of an answer, pico-USD."""
        if self._dearest is None:
            inputs, outputs = [0], [0]
            for model in (one for provider in self.providers for one in provider.models):
                prices = model.prices if isinstance(model.prices, list) else [model]
                for price in (getattr(one, "prices", None) for one in prices):
                    inputs += _rates(getattr(price, "input_mtok", None))
                    outputs += _rates(getattr(price, "output_mtok", None))
            self._dearest = max(inputs), max(outputs)
        return self._dearest

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
        day = f"@{day_of(segment.start_ns)}" if segment.start_ns else ""
        cards = []
        for start_ns, card in segment.cards:
            minutes = start_ns % DAY_NS // MINUTE_NS
            clock = f"~{minutes // 60:02}:{minutes % 60:02}" if len(segment.cards) > 1 else ""
            variant = f"#{tier}" if tier and "tier_unpriced" not in card.reasons else ""
            price_id = f"{entry}{variant}{day}{clock}"
            cards.append((start_ns, replace(card, price_id=price_id)))
        return RateSegment(segment.start_ns, tuple(cards))

    def _listing(self, found: FoundModel) -> PriceListing:
        model, seller = found.model, found.provider
        tiers = {value for variant in model.price_variants or () for value in selected(variant.when)}
        asked = [None, *sorted(tier for tier in tiers if standard_tier(tier))]
        rows = (row for tier in asked for row in rows_of(self.compile_model(found, tier), tier))
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


def _rates(price: Any) -> list[int]:
    """The rates of one bucket, pico-USD a token: its base and its tiers."""
    if price is None:
        return []
    amounts = [price] if not hasattr(price, "base") else [price.base, *(tier.price for tier in price.tiers)]
    return [int(amount * 1_000_000) for amount in amounts]


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

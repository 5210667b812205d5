"""What calls would cost otherwise: the prices of the configuration, and the smaller models of a family."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from spanbudget.exporter.config import Config
from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.processors.overrides import PriceBook
from spanbudget.processors.rates import RateCard

_SIZE: Final = re.compile(
    r"(?:^|-)(opus|sonnet|haiku|ultra|pro|flash-lite|flash|large|medium|small|mini|nano|lite|micro|premier)"
    r"(?=-|$)"
)
"""How vendors name the sizes of one model."""
_TAIL: Final = re.compile(r"-(?:latest|preview|\d{4,8})$")
_NUMBER: Final = re.compile(r"\d+")


class AdvicePrices:
    """The `Repricer` of advice.

    Args:
        config: Its prices go before the table's.
    """

    def __init__(self, config: Config) -> None:
        self._table = GenaiPriceTable()
        self._book = PriceBook(self._table, config.prices)

    def card(self, provider: str | None, model: str | None, tier: str | None, at_ns: int) -> RateCard | None:
        """See `PriceBook.card`."""
        return self._book.card(provider, model, tier, at_ns)

    def alternatives(self, provider: str, model: str) -> Sequence[str]:
        """Other sizes of the same model; where the table has none, those of the same generation.

        `gpt-5` has `gpt-5-mini` and `gpt-5-nano`; `claude-opus-4-8` has `claude-haiku-4-5`.
        """
        found = self._table.find(provider, model)
        if found is None:
            return ()
        own = family_of(found.model.id)
        others = [
            (one.id, family_of(one.id))
            for one in found.provider.models
            if one.id != found.model.id and not one.deprecated
        ]
        same = [name for name, family in others if family.stem == own.stem and family.size != own.size]
        if same or not own.size:
            return same
        return [
            name
            for name, family in others
            if family.size not in ("", own.size) and family.generation == own.generation
        ]


class Family(NamedTuple):
    """What a model's name tells of its relatives.

    Attributes:
        size: The word for its size, "" where there is none.
        stem: The name without it, and without a date.
    """

    size: str
    stem: str

    @property
    def generation(self) -> tuple[str, str]:
        """The stem without its numbers, and the first of these."""
        found = _NUMBER.search(self.stem)
        return _NUMBER.sub("", self.stem).strip("-."), "" if found is None else found[0]


def family_of(model: str) -> Family:
    """Reads a model's name: `claude-opus-4-8` is the size `opus` of `claude-4-8`."""
    name = _TAIL.sub("", _TAIL.sub("", model.lower()))
    found = _SIZE.search(name)
    if found is None:
        return Family("", name)
    return Family(found[1], (name[: found.start()] + name[found.end() :]).strip("-"))

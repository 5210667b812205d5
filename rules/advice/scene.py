"""What every kind of suggestion is looked for in."""

from dataclasses import dataclass
from typing import Final

from spanbudget.rules.advice.calls import Bools, Calls, Ints
from spanbudget.rules.advice.repricing import Prices, grouped
from spanbudget.rules.advice.settings import Settings

_EMBEDDINGS: Final = frozenset({"embeddings"})


@dataclass(frozen=True, slots=True)
class Scene:
    """The calls of a window with their prices.

    Attributes:
        calls: The calls.
        prices: Their rates, and others.
        settings: What is worth a suggestion.
        places: For each call the number of its place: provider, model and the labels of `Settings.by`.
        models: For each call the number of its provider and model.
        answered: Calls that ended well and cost something.
        embeddings: Calls that are embeddings.
    """

    calls: Calls
    prices: Prices
    settings: Settings
    places: Ints
    models: Ints
    answered: Bools
    embeddings: Bools


def scene_of(calls: Calls, prices: Prices, settings: Settings) -> Scene:
    """The scene of a window."""
    labels = (calls.label(name).codes for name in settings.by)
    _, models = grouped(calls.texts["provider"].codes, calls.texts["model"].codes)
    _, places = grouped(models, *labels)
    answered = ~calls.failed & (calls.cost > 0)
    return Scene(
        calls, prices, settings, places, models, answered, calls.texts["operation"].among(_EMBEDDINGS)
    )

"""Money for answers that were there already: the same deterministic request, the same text embedded again."""

from typing import Final

import numpy as np

from spanbudget.processors.money import display_usd
from spanbudget.rules.advice.calls import Bools
from spanbudget.rules.advice.finding import Finding, Group, Kind, finding, unexamined
from spanbudget.rules.advice.scene import Scene
from spanbudget.rules.advice.streams import SECOND_NS, streams_of, warm

_EVER_NS: Final = 2**62
"""Longer than any window: an embedding of a text does not age."""
_NO_HASH: Final = "equal requests are only known by hashes: set hash_key under advice:"


def _find_duplicates(scene: Scene) -> Finding:
    """Repetitions at temperature 0 within `Settings.duplicate_seconds` of the last equal request."""
    asked = scene.answered & ~scene.embeddings
    lifetime_ns = scene.settings.duplicate_seconds * SECOND_NS
    return _repeated(scene, asked & scene.calls.deterministic, asked, lifetime_ns, "duplicates")


def _find_embeddings(scene: Scene) -> Finding:
    """Embeddings of what was embedded in this window before; a model embeds the same text alike."""
    asked = scene.answered & scene.embeddings
    return _repeated(scene, asked, asked, _EVER_NS, "embedding_repeats")


def _repeated(scene: Scene, candidates: Bools, asked: Bools, lifetime_ns: int, kind: str) -> Finding:
    calls = scene.calls
    texts = calls.texts
    hashes = texts["prompt_hash"].codes
    rows = np.flatnonzero(candidates & (hashes >= 0))
    found = streams_of(calls, rows, texts["provider"].codes[rows], texts["model"].codes[rows], hashes[rows])
    repeats = found.rows[warm(calls, found, lifetime_ns)]
    return finding(
        calls, repeats, calls.cost[repeats], unexamined=unexamined(kind, asked & (hashes < 0), _NO_HASH)
    )


def _explain_duplicates(group: Group) -> str:
    return (
        f"{group.calls:,} calls at temperature 0 asked what had been answered shortly before, for"
        f" {display_usd(group.cost)}."
    )


def _how_duplicates(group: Group) -> str:
    del group
    return "Keep answers in a cache of your own, by the hash of the request, and look there first."


def _explain_embeddings(group: Group) -> str:
    return (
        f"{group.calls:,} calls embedded what {group.model} had embedded in this window before, for"
        f" {display_usd(group.cost)}."
    )


def _how_embeddings(group: Group) -> str:
    del group
    return "Store vectors by the hash of their text and the model, and embed only what is new."


DUPLICATES: Final = Kind(
    "duplicates",
    "Answer repeated requests from a cache",
    "exact",
    _find_duplicates,
    _explain_duplicates,
    _how_duplicates,
)
EMBEDDING_REPEATS: Final = Kind(
    "embedding_repeats",
    "Embed each text once",
    "exact",
    _find_embeddings,
    _explain_embeddings,
    _how_embeddings,
)

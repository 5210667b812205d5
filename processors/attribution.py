"""Who a call belongs to: labels from span attributes, resource attributes and metadata."""

from collections.abc import Mapping, Sequence
from typing import Final

from spanbudget.processors.call import Labels
from spanbudget.processors.dialects import (
    FIELD_COUNT,
    LABEL_PREFIXES,
    LABEL_SPELLINGS,
    LABEL_WORDS,
    RESOURCE_FIRST,
)
from spanbudget.processors.usage_text import parse_mapping

LABEL_MAX: Final = 256
"""Longest label value that is kept, characters; the rest is cut."""
_REMEMBERED_MAX: Final = 4096


class Attribution:
    """Where each label is read from, and the reading itself.

    Args:
        configured: Label → attribute or baggage keys from the configuration; they go before the built-in
            ones.
        extra: Further attribute or baggage keys that become labels under their own name.
    """

    def __init__(
        self, configured: Mapping[str, Sequence[str]] | None = None, extra: Sequence[str] = ()
    ) -> None:
        own = {name: tuple(keys) for name, keys in (configured or {}).items()}
        self.names: tuple[str, ...] = tuple(dict.fromkeys([*LABEL_SPELLINGS, *own, *extra]))
        self._resource_first = tuple(name in RESOURCE_FIRST and name not in own for name in self.names)
        self._words = self._metadata_words(extra)
        self.spellings: dict[str, tuple[int, int]] = {}
        for place, name in enumerate(self.names):
            keys = [*own.get(name, ()), *LABEL_SPELLINGS.get(name, ())]
            keys += [prefix + word for prefix in LABEL_PREFIXES for word in LABEL_WORDS.get(name, ())]
            keys += [name] if name in extra else []
            for rank, key in enumerate(keys):
                self.spellings.setdefault(key, (FIELD_COUNT + place, rank))
        self._resources: dict[int, tuple[Mapping[str, object], tuple[str | None, ...]]] = {}
        self._metadata: dict[str, dict[int, str]] = {}
        self._seen: dict[tuple[object, ...], tuple[Mapping[str, object], Labels]] = {}
        self._sets: dict[tuple[str | None, ...], Labels] = {}

    def _metadata_words(self, extra: Sequence[str]) -> dict[str, int]:
        words: dict[str, tuple[str, ...]] = {**{name: (name,) for name in extra}, **LABEL_WORDS}
        places = {name: place for place, name in enumerate(self.names)}
        return {word: places[name] for name, spellings in words.items() for word in spellings}

    def labels(self, found: Sequence[object], resource: Mapping[str, object], metadata: object) -> Labels:
        """The labels of one span, sorted by name; a label that nobody knows is left out.

        Args:
            found: The values that the span's attributes gave, one for each of `names`, None where none did.
            resource: Attributes of the resource.
            metadata: A JSON object of an attribute such as OpenInference's `metadata`, or None.
        """
        try:
            known = self._seen.get((id(resource), metadata, *found))
        except TypeError:
            return self._labels(found, resource, metadata)  # a list where a word belongs
        if known is not None and known[0] is resource:
            return known[1]
        labels = self._labels(found, resource, metadata)
        if len(self._seen) >= _REMEMBERED_MAX:
            self._seen.clear()
        self._seen[id(resource), metadata, *found] = (resource, labels)
        return labels

    def labels_of(self, attributes: Mapping[str, object], resource: Mapping[str, object]) -> Labels:
        """The labels of something that is no span: of baggage, or of what an application says.

        Args:
            attributes: Attribute or label names with their values.
            resource: Attributes of the resource.
        """
        found: list[object] = [None] * len(self.names)
        ranks = [len(self.spellings)] * len(self.names)
        for key, value in attributes.items():
            place, rank = self.spellings.get(key, (0, 0))
            at = place - FIELD_COUNT if place else -1
            if at < 0 and key in self.names:
                at, rank = self.names.index(key), -1
            if at >= 0 and value is not None and rank < ranks[at]:
                found[at], ranks[at] = value, rank
        return self._labels(found, resource, None)

    def _labels(self, found: Sequence[object], resource: Mapping[str, object], metadata: object) -> Labels:
        of_resource = self._of_resource(resource)
        values: list[str | None] = []
        for value, base, first in zip(found, of_resource, self._resource_first, strict=True):
            if base is not None and (first or value is None):
                values.append(base)
            else:
                values.append(None if value is None else label_text(value))
        if metadata is not None and isinstance(metadata, str):
            for place, text in self._of_metadata(metadata).items():
                values[place] = values[place] or text
        key = tuple(values)
        known = self._sets.get(key)
        if known is None:
            if len(self._sets) >= _REMEMBERED_MAX:
                self._sets.clear()
            pairs = ((name, value) for name, value in zip(self.names, key, strict=True) if value)
            known = self._sets[key] = tuple(sorted(pairs))
        return known

    def _of_resource(self, resource: Mapping[str, object]) -> tuple[str | None, ...]:
        known = self._resources.get(id(resource))
        if known is not None and known[0] is resource:
            return known[1]
        values: list[str | None] = [None] * len(self.names)
        ranks = [len(self.spellings)] * len(self.names)
        for key, value in resource.items():
            slot = self.spellings.get(key)
            if slot is not None and value is not None and slot[1] < ranks[slot[0] - FIELD_COUNT]:
                values[slot[0] - FIELD_COUNT] = label_text(value)
                ranks[slot[0] - FIELD_COUNT] = slot[1]
        if len(self._resources) >= _REMEMBERED_MAX:
            self._resources.clear()
        self._resources[id(resource)] = (resource, tuple(values))
        return tuple(values)

    def _of_metadata(self, text: str) -> dict[int, str]:
        known = self._metadata.get(text)
        if known is None:
            if len(self._metadata) >= _REMEMBERED_MAX:
                self._metadata.clear()
            parsed = parse_mapping(text) or {}
            known = self._metadata[text] = {
                self._words[word]: label_text(value)
                for word, value in reversed(list(parsed.items()))
                if word in self._words and isinstance(value, (str, int, float, bool)) and value != ""
            }
        return known


def label_text(value: object) -> str:
    """A label value as text of at most `LABEL_MAX` characters; booleans as `true` and `false`."""
    if isinstance(value, str):
        return value if len(value) <= LABEL_MAX else value[:LABEL_MAX]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:LABEL_MAX]

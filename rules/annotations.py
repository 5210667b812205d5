"""The annotations of an alert, expanded when somebody looks at them."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

from spanbudget.rules.labels import Labels
from spanbudget.rules.templates import Externals, Template, TemplateContext


class LateAnnotations(Sequence[tuple[str, str]]):
    """(name, text) pairs that are expanded at the first look, and then stay.

    The values of thousands of firing alerts change at every evaluation, and hardly any of their annotations
    is ever read. So nothing is expanded before it is told, kept or compared. This shows in no text: it is
    only for templates that look at nothing but the sample, which neither the time nor a series changes. One
    that calls `now` or `query` must be expanded when its rule is evaluated.

    Equal to the tuple of the same pairs, with the same hash and `repr`; pickled and copied as that tuple. Any
    thread may look.

    Args:
        templates: By annotation name.
        labels: Of the sample, the metric's name included.
        value: Of the sample.
        externals: What templates can say about who sends the alerts.
    """

    __slots__ = ("_externals", "_labels", "_made", "_templates", "_value")

    def __init__(
        self, templates: Sequence[tuple[str, Template]], labels: Labels, value: float, externals: Externals
    ) -> None:
        self._templates = templates
        self._labels = labels
        self._value = value
        self._externals = externals
        self._made: Labels | None = None

    def _pairs(self) -> Labels:
        made = self._made
        if made is None:  # two threads may both come here: they expand the same
            context = TemplateContext(self._labels, self._value, externals=self._externals)
            made = self._made = tuple((name, template.expand(context)) for name, template in self._templates)
        return made

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> Labels: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | Labels:
        return self._pairs()[index]

    def __len__(self) -> int:
        return len(self._templates)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs())

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, LateAnnotations):
            # Of the same sample they are certainly the same; 0 is not told from -0 here.
            same = self._templates is other._templates and self._value == other._value != 0
            if same and self._labels == other._labels and self._externals == other._externals:
                return True
            return self._pairs() == other._pairs()
        return self._pairs() == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._pairs())

    def __repr__(self) -> str:
        return repr(self._pairs())

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._pairs(),)

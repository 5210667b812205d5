"""Expressions for comparisons with Prometheus: random trees of everything that rules may use.

Every kind of expression is the root equally often. A tree keeps its parts, so that a difference can be traced
to the smallest part that has it.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from generated_series import BOUNDS, END_MS, MODELS, OUTCOMES, START_MS, TEAMS

from spanbudget.rules.labels import quoted


class Tree(NamedTuple):
    """An expression.

    Attributes:
        text: All of it.
        parts: The expressions that it is made of.
        is_scalar: Whether it is a number, and no vector.
    """

    text: str
    parts: tuple["Tree", ...] = ()
    is_scalar: bool = False


_WINDOWS: Final = ("1h", "6h")
_ODD_KINDS: Final = ("nan", "inf", "minus-inf", "zero", "minus-zero", "huge", "tiny", "big-integer")
_SPARSE_KINDS: Final = ("one", "two", "edge", "odd-edge", "random", "ended", "blinking")
FAMILIES: Final[dict[str, dict[str, Sequence[str]]]] = {
    "llm_cost_usd_total": {"team": TEAMS, "model": MODELS},
    "llm_requests_total": {"team": TEAMS, "model": MODELS, "outcome": OUTCOMES},
    "llm_budget_limit_usd": {"budget": TEAMS},
    "llm_budget_spent_usd": {"budget": TEAMS},
    "llm_budget_burn_rate": {"budget": TEAMS, "window": _WINDOWS},
    "drift": {"zone": ("a", "b", "c", "d"), "team": TEAMS},
    "sparse": {"kind": _SPARSE_KINDS},
    "odd": {"kind": _ODD_KINDS},
    "mixed": {"kind": ("nan", "inf", "minus-inf", "none")},
    "level": {},
    "latency_seconds_bucket": {"model": MODELS, "le": BOUNDS},
    "latency_seconds_count": {"model": MODELS},
    "latency_seconds_sum": {"model": MODELS},
    "team_info": {"team": TEAMS, "owner": ("ada", "bob", "eve")},
    "twice_info": {"team": ("search",), "owner": ("ada", "bob")},
    "text": {"value": ("eu-west-1", "EU", "two\nlines", "back\\slash", "münchen", " ")},
}
_NAMES: Final = tuple(FAMILIES)
_LABELS: Final = ("team", "model", "budget", "outcome", "kind", "zone", "window", "le", "value", "none")
_PATTERNS: Final = (
    ".*", ".+", "", "search|checkout", "s.*|data-.*", "(?i)EU.*", "eu.west.1", "eu\\.west\\.1", "[a-m].*",
    "two.lines", "two.*", "gpt-[0-9]+", "^search$", ".*a.*", "(gpt|claude)-.*",
)  # fmt: skip
_RANGES: Final = ("15s", "30s", "59s", "1m", "2m", "5m", "5m1ms", "10m", "17m30s", "1h", "2h")
_OFFSETS: Final = ("15s", "1m", "5m", "299s", "-1m", "-5m", "1h", "1h30m", "7m1ms")
_OVER_RANGE: Final = (
    "rate", "irate", "increase", "delta", "idelta", "deriv", "changes", "resets", "avg_over_time",
    "min_over_time", "max_over_time", "sum_over_time", "count_over_time", "last_over_time",
    "stddev_over_time", "stdvar_over_time", "present_over_time", "absent_over_time",
)  # fmt: skip
_OF_NUMBER: Final = ("abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "round")
_OF_TIME: Final = (
    "minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year",
)  # fmt: skip
_AGGREGATIONS: Final = ("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")
_NUMBERS: Final = (
    "0", "1", "2", "0.5", "-1", "3.7", "1e3", "1e-9", "100", "Inf", "-Inf", "NaN", "0x1F", "0.1", "7",
    ".25", "1e308",
)  # fmt: skip
_ARITHMETIC: Final = ("+", "-", "*", "/", "%", "^")
_COMPARISONS: Final = ("==", "!=", ">", "<", ">=", "<=")
# Label sets that fit together: left, right and how they are matched.
_JOINS: Final = (
    ("llm_budget_spent_usd", "", "llm_budget_limit_usd"),
    ("llm_budget_burn_rate", "on(budget) group_left()", "llm_budget_limit_usd"),
    ("llm_budget_burn_rate", "ignoring(window) group_left", "llm_budget_spent_usd"),
    ("llm_budget_limit_usd", "ignoring(window) group_right", "llm_budget_burn_rate"),
    ('llm_budget_burn_rate{window="1h"}', "ignoring(window)", 'llm_budget_burn_rate{window="6h"}'),
    ('llm_budget_burn_rate{window="1h"}', "on(budget)", 'llm_budget_burn_rate{window="6h"}'),
    ("llm_cost_usd_total", "on(team) group_left(owner, tier)", "team_info"),
    ("team_info", "on(team) group_right(owner)", "llm_cost_usd_total"),
    ("llm_requests_total", "ignoring(outcome) group_left()", "llm_cost_usd_total"),
    ('llm_requests_total{outcome="error"}', "ignoring(outcome)", "llm_cost_usd_total"),
    ("llm_cost_usd_total", "on(team)", "team_info"),
    ("llm_cost_usd_total", "on(team) group_left(owner)", "twice_info"),
    ("llm_cost_usd_total", "on() group_left", "level"),
    ("drift", "on(team) group_left(tier, none)", "team_info"),
    ("latency_seconds_sum", "", "latency_seconds_count"),
    ("latency_seconds_bucket", "ignoring(le) group_left", "latency_seconds_count"),
    ("odd", "", "mixed"),
    ("mixed", "on(kind)", "odd"),
    ("odd", "on(kind) group_right()", "mixed"),
)
_MATCHINGS: Final = (
    "",
    "on()",
    "on(team)",
    "on(team, model)",
    "ignoring(outcome)",
    "ignoring(le, kind)",
    "on(kind)",
)


class ExpressionMaker:
    """Makes expressions; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._rng = rng = random.Random(seed)
        self._pick = rng.choice
        self._kinds = (
            self.selector, self.of_range, self.of_range, self.quantile_over_time, self.predict_linear,
            self.of_number, self.rounded, self.clamped, self.aggregation, self.aggregation, self.ranked,
            self.quantile, self.count_values, self.joined, self.joined, self.filtered, self.filtered,
            self.set_operation, self.negated, self.calendar, self.histogram_quantile, self.replaced,
            self.joined_labels, self.absent, self.of_scalar, self.sorted, self.scalar, self.timestamp,
        )  # fmt: skip

    def make(self, count: int) -> Iterator[Tree]:
        """So many expressions, of every kind in turn."""
        for index in range(count):
            yield self._kinds[index % len(self._kinds)](1 + index // len(self._kinds) % 3)

    def vector(self, depth: int) -> Tree:
        """An instant vector."""
        if depth <= 0:
            return self.selector(0)
        made = self._pick(self._kinds)(depth)
        return self._call("vector", made) if made.is_scalar else made

    def selector(self, depth: int) -> Tree:
        """Series at a moment."""
        return Tree(self._named() + self._moved())

    def of_range(self, depth: int) -> Tree:
        """A function of a stretch of time."""
        return self._call(self._pick(_OVER_RANGE), self._range(depth))

    def of_range_of_samples(self, depth: int) -> Tree:
        """Without a subquery."""
        return self._call(self._pick(_OVER_RANGE), self._samples())

    def quantile_over_time(self, depth: int) -> Tree:
        """With quantiles out of [0, 1] too."""
        return self._call("quantile_over_time", self.scalar(0), self._range(depth))

    def predict_linear(self, depth: int) -> Tree:
        """Some seconds ahead."""
        ahead = self._pick(("0", "3600", "-60", "86400.5"))
        return self._call("predict_linear", self._range(depth), Tree(ahead))

    def of_number(self, depth: int) -> Tree:
        """A function of each value."""
        return self._call(self._pick(_OF_NUMBER), self.vector(depth - 1))

    def rounded(self, depth: int) -> Tree:
        """To a multiple."""
        return self._call(
            "round", self.vector(depth - 1), Tree(self._pick(("0.1", "5", "-2", "0", "0.3", "1e-3")))
        )

    def clamped(self, depth: int) -> Tree:
        """Within bounds, which may be the wrong way round."""
        name = self._pick(("clamp", "clamp_min", "clamp_max"))
        bounds = [self.scalar(0) for _ in range(2 if name == "clamp" else 1)]
        return self._call(name, self.vector(depth - 1), *bounds)

    def aggregation(self, depth: int) -> Tree:
        """One value of many, by labels or without."""
        return self._aggregate(self._pick(_AGGREGATIONS), self.vector(depth - 1))

    def aggregation_of_samples(self, depth: int) -> Tree:
        """One value of many series."""
        return self._aggregate(self._pick(_AGGREGATIONS), self.selector(0))

    def ranked(self, depth: int) -> Tree:
        """The highest or lowest ones; of vectors in no random order, as it decides between equal values."""
        count = Tree(self._pick(("1", "2", "3", "0", "-1", "100", "1.9")))
        vector = self._pick((self.selector, self.of_range_of_samples, self.aggregation_of_samples))(depth)
        return self._aggregate(self._pick(("topk", "bottomk")), count, vector)

    def quantile(self, depth: int) -> Tree:
        """A quantile of several series."""
        return self._aggregate("quantile", self.scalar(0), self.vector(depth - 1))

    def count_values(self, depth: int) -> Tree:
        """How often each value is there; of exact values, as the last digit would make another label."""
        label = Tree(self._pick(('"value"', '"team"', '"number"')))
        exact = Tree(f"clamp(round({self.vector(depth - 1).text}), -1e6, 1e6)")
        return self._aggregate("count_values", label, self._pick((self.selector(0), exact)))

    def joined(self, depth: int) -> Tree:
        """Two vectors, mostly with label sets that fit."""
        left, matching, right = self._pick(_JOINS)
        first, second = Tree(left), Tree(right)
        if self._rng.random() < 0.2:
            first, matching, second = self.vector(depth - 1), self._pick(_MATCHINGS), self.vector(depth - 1)
        return self._binary(first, f"{self._operator()} {matching}", second)

    def filtered(self, depth: int) -> Tree:
        """A vector and a number, on either side."""
        sides = [self.vector(depth - 1), self.scalar(depth - 1)]
        self._rng.shuffle(sides)
        return self._binary(sides[0], self._operator(), sides[1])

    def set_operation(self, depth: int) -> Tree:
        """And, or, unless."""
        operator = self._pick(("and", "or", "unless"))
        return self._binary(
            self.vector(depth - 1), f"{operator} {self._pick(_MATCHINGS)}", self.vector(depth - 1)
        )

    def negated(self, depth: int) -> Tree:
        """With a sign before it; a plus not before a selector, see `DIFFERENT_BY_CHOICE`."""
        inner = self.vector(depth - 1)
        if self._rng.random() < 0.3:
            inner = self.of_number(depth)
            return Tree(f"+({inner.text})", (inner,))
        return Tree(f"-({inner.text})", (inner,))

    def calendar(self, depth: int) -> Tree:
        """Parts of a date, of now or of values."""
        inner = self._pick((Tree(""), Tree("vector(time())"), self.vector(depth - 1)))
        moved = Tree("vector(time() - 86400 * 365.25)")
        return self._call(self._pick(_OF_TIME), self._pick((inner, inner, moved)))

    def histogram_quantile(self, depth: int) -> Tree:
        """Of good and of broken histograms."""
        buckets = self._pick((
            "latency_seconds_bucket", f"rate(latency_seconds_bucket[{self._pick(_RANGES)}])", "broken_bucket",
            f"sum by (le) (increase(latency_seconds_bucket[{self._pick(_RANGES)}]))", "llm_cost_usd_total",
            'latency_seconds_bucket{le!="+Inf"}', "sum without (kind) (broken_bucket)",
            f'broken_bucket{{kind=~"{self._pick(("f.*", "n.*", "same.*|empty"))}"}}',
        ))  # fmt: skip
        quantile = Tree(self._pick(("0.5", "0.9", "0.99", "0", "1", "-0.1", "1.5", "NaN", "0.25")))
        return self._call("histogram_quantile", quantile, Tree(buckets))

    def replaced(self, depth: int) -> Tree:
        """label_replace, with groups, with an empty result, without a match."""
        target, source = self._pick(("team", "new", "__name__", "kind")), self._pick(_LABELS)
        pattern = self._pick(
            ("(.*)", "(.+)-(.+)", "([a-z]+).*", "", "nothing", "(?P<first>.)(?P<rest>.*)", "(.)(.*)")
        )
        text = self._pick(
            ("$1", "$2-$1", "x-${1}-y", "", "constant", "$first$$$rest", "$0", "$9", "${rest}x")
        )
        inner = self.vector(depth - 1)
        words = ", ".join(quoted(word) for word in (target, text, source, pattern))
        return Tree(f"label_replace({inner.text}, {words})", (inner,))

    def joined_labels(self, depth: int) -> Tree:
        """label_join of none to three labels."""
        inner = self.vector(depth - 1)
        sources = self._rng.sample(_LABELS, self._rng.randrange(4))
        words = [self._pick(("team", "new", "kind")), self._pick(("-", "", ", ")), *sources]
        return Tree(f"label_join({inner.text}, {', '.join(quoted(word) for word in words)})", (inner,))

    def absent(self, depth: int) -> Tree:
        """Of what is there, and of what is not."""
        name = self._pick(("nothing", "sparse", "drift", "llm_requests_total"))
        label, operator = self._pick(("team", "kind")), self._pick(("=", "!=", "=~", "!~"))
        inner = Tree(f'{name}{{{label}{operator}"{self._pick(("one", "ended", "a", "search", "nobody"))}"}}')
        return self._call("absent", self._pick((inner, inner, self.vector(depth - 1))))

    def of_scalar(self, depth: int) -> Tree:
        """A vector of one."""
        return self._call("vector", self.scalar(depth))

    def sorted(self, depth: int) -> Tree:
        """In order of values."""
        return self._call(self._pick(("sort", "sort_desc")), self.vector(depth - 1))

    def timestamp(self, depth: int) -> Tree:
        """When samples were taken; see `DIFFERENT_BY_CHOICE` for what is left out."""
        inner = self.vector(depth - 1)
        while " @ " in inner.text and " offset " in inner.text and not inner.parts:
            inner = self.vector(depth - 1)
        return self._call("timestamp", inner)

    def scalar(self, depth: int) -> Tree:
        """A number."""
        if depth <= 0 or self._rng.random() < 0.3:
            return Tree(self._pick((*_NUMBERS, "time()", "pi()")), is_scalar=True)
        if self._rng.random() < 0.5:
            return self._call("scalar", self.vector(depth - 1))._replace(is_scalar=True)
        left, right = self.scalar(depth - 1), self.scalar(depth - 1)
        operator = self._pick((*_ARITHMETIC, f"{self._pick(_COMPARISONS)} bool"))
        return self._binary(left, operator, right)._replace(is_scalar=True)

    def _call(self, name: str, *arguments: Tree) -> Tree:
        return Tree(f"{name}({', '.join(argument.text for argument in arguments)})", arguments)

    def _binary(self, left: Tree, operator: str, right: Tree) -> Tree:
        return Tree(f"({left.text} {operator.strip()} {right.text})", (left, right))

    def _aggregate(self, name: str, *arguments: Tree) -> Tree:
        labels = ", ".join(self._rng.sample(_LABELS, self._rng.randrange(4)))
        grouping = self._pick(("", f" by ({labels})", f" without ({labels})"))
        inner = ", ".join(argument.text for argument in arguments)
        text = f"{name}{grouping} ({inner})" if self._rng.random() < 0.7 else f"{name}({inner}){grouping}"
        return Tree(text, arguments)

    def _operator(self) -> str:
        bool_ = self._pick(("", " bool"))
        return self._pick((self._pick(_ARITHMETIC), self._pick(_COMPARISONS) + bool_))

    def _range(self, depth: int) -> Tree:
        """A stretch of samples, or of an expression's values."""
        if self._rng.random() < 0.3:
            inner = self.vector(depth - 1)
            step = self._pick(("", "30s", "1m", "17s", "5m"))
            text = f"({inner.text})[{self._pick(_RANGES[:-2])}:{step}]" + self._moved()
            return Tree(text, (inner,))
        return self._samples()

    def _samples(self) -> Tree:
        return Tree(f"{self._named()}[{self._pick(_RANGES)}]{self._moved()}")

    def _named(self) -> str:
        name = self._pick(_NAMES)
        matchers = [self._matcher(*pair) for pair in FAMILIES[name].items() if self._rng.random() < 0.3]
        if self._rng.random() < 0.1:
            matchers.append(self._matcher("none", ("x",)))
        if self._rng.random() < 0.05:
            return f'{{__name__=~"{name}|drift"{"".join(", " + matcher for matcher in matchers)}}}'
        return name + (f"{{{', '.join(matchers)}}}" if matchers else "")

    def _matcher(self, label: str, values: Sequence[str]) -> str:
        operator = self._pick(("=", "!=", "=~", "!~"))
        value = self._pick(values if "~" not in operator else _PATTERNS)
        return f"{label}{operator}{quoted(value)}"

    def _moved(self) -> str:
        moment = self._rng.randrange(START_MS, END_MS) // 1000
        at = self._pick((f" @ {moment}", f" @ {moment}.123")) if self._rng.random() < 0.1 else ""
        offset = f" offset {self._pick(_OFFSETS)}" if self._rng.random() < 0.15 else ""
        return self._pick((at + offset, offset + at))

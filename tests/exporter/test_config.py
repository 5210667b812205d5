"""The configuration file: what it means, and what a wrong one is told."""

import string
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spanbudget.exporter.config import Config, load_config, parse_config
from spanbudget.processors.budget_state import Thresholds
from spanbudget.processors.budgets import Budget
from spanbudget.processors.errors import ConfigurationError
from spanbudget.processors.overrides import PriceOverride
from spanbudget.processors.periods import Period
from spanbudget.processors.selectors import Selector

USD = 10**12

FULL = """\
ledger:
  url: ${DATABASE_URL:-sqlite:///spanbudget.db}
  retention_days: 30
  max_unflushed_ms: 20
  spool_max_mb: 64
  queue_max_spans: 500
  on_store_error: lease_only
attribution:
  {user: [app.user], team: team, session: [s.id], service: [svc], environment: [env], feature: [f],
   labels: [feature, tenant.id], baggage: [team]}
prices:
  - {provider: openai, model: "gpt-5*", input: 1.25, cache_read: 0.125, cache_write: 1.5, cache_write_1h: 2.0,
     output: 10, audio_input: 40, audio_output: 80, request: 0.01, web_search: 10, from: 2026-01-01,
     discount_percent: 8}
scopes: {"my.instrumentation": {input_includes_cache: false, reports_cache_read: yes, ignore: true}}
models: {aliases: {my-gpt4o-deploy: {provider: azure.ai.openai, model: gpt-4o}, other: gpt-5}}
counting: {max_entries: 10, max_age_seconds: 20}
metrics: {exporter: prometheus, prometheus: {host: 10.0.0.1, port: 9000}, max_label_values: 5,
          labels: [user.id]}
sampling: {record_unsampled: false}
budgets:
  - name: production
    match: {deployment.environment.name: production, service.name: [checkout, search], region: eu}
    max_cost: 500
    max_tokens: 100_000_000
    max_requests: 100000
    period: monthly
    timezone: Europe/Berlin
    anchor_day: 15
    hard_limit: true
    thresholds: {warning: 70, critical: 95}
  - {name: per-user, per: [user.id, customer], max_cost: 0.1, period: {rolling: 24h}, auto_suspend: true}
  - {name: week, max_requests: 5, period: weekly, week_start: sunday}
  - {name: year, max_tokens: 5, period: yearly, anchor_month: 4, anchor_day: 6, timezone: Europe/London}
"""


def parse(text: str, **environ: str) -> Config:
    return parse_config(text, "b.yaml", environ)


def problems(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, **environ)
    assert caught.value.__cause__ is caught.value.__context__ is None
    return caught.value.problems


def problems_of(text: str) -> list[str]:
    """The problems of a text that may be right; then its domain records can be made."""
    try:
        config = parse(text, A="x")
    except ConfigurationError as error:
        return error.problems or ["an error without a problem"]
    list(config.budgets)
    list(config.prices)  # both can be made
    return []


def test_budgets_become_domain_records():
    assert parse(FULL).budgets == (
        Budget(
            name="production",
            selector=Selector(
                (("environment", ("production",)), ("region", ("eu",)), ("service", ("checkout", "search")))
            ),
            max_cost=500 * USD,
            max_tokens=100_000_000,
            max_requests=100_000,
            period=Period("monthly", "Europe/Berlin", anchor_day=15),
            hard_limit=True,
            thresholds=Thresholds(70, 95),
        ),
        Budget(
            name="per-user",
            per=("user", "customer"),
            max_cost=USD // 10,
            period=Period("rolling", rolling_seconds=86_400),
            auto_suspend=True,
        ),
        Budget(name="week", max_requests=5, period=Period("weekly", week_start="sunday")),
        Budget(name="year", max_tokens=5, period=Period("yearly", "Europe/London", "monday", 6, 4)),
    )


def test_prices_become_domain_records():
    assert parse(FULL).prices == (
        PriceOverride(
            provider="openai",
            model="gpt-5*",
            input=Decimal("1.25"),
            cache_read=Decimal("0.125"),
            cache_write=Decimal("1.5"),
            cache_write_1h=Decimal("2.0"),
            output=Decimal(10),
            audio_input=Decimal(40),
            audio_output=Decimal(80),
            request=Decimal("0.01"),
            web_search=Decimal(10),
            starts=date(2026, 1, 1),
            discount_percent=Decimal(8),
        ),
    )


def test_the_other_sections_are_read():
    config = parse(FULL)
    assert config.ledger.url == "sqlite:///spanbudget.db"
    assert (config.ledger.retention_days, config.ledger.on_store_error) == (30, "lease_only")
    assert config.attribution.configured()["user"] == ("app.user",)
    assert config.attribution.configured()["team"] == ("team",)
    assert config.baggage_keys == ("team",)
    scope = config.scopes["my.instrumentation"]
    assert (scope.input_includes_cache, scope.reports_cache_read, scope.reports_cache_write) == (
        False,
        True,
        None,
    )
    assert scope.ignore
    assert config.model_aliases == {
        "my-gpt4o-deploy": ("azure.ai.openai", "gpt-4o"),
        "other": (None, "gpt-5"),
    }
    assert (config.counting.max_entries, config.counting.max_age_seconds) == (10, 20)
    assert (config.metrics.exporter, config.metrics.host, config.metrics.port) == (
        "prometheus",
        "10.0.0.1",
        9000,
    )
    assert (config.metrics.max_label_values, config.metrics.labels) == (5, ("user",))
    assert not config.sampling.record_unsampled


def test_labels_that_budgets_use_are_collected():
    assert parse(FULL).extra_labels == ("tenant.id", "region", "customer")


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "~", "budgets:\n", "budgets: []\n", "ledger:\n", "{}"]
)
def test_an_empty_file_counts_everything_and_has_no_budget(text):
    config = parse(text)
    assert config == Config()
    assert config.budgets == config.prices == ()
    assert (config.ledger.retention_days, config.metrics.port, config.sampling.record_unsampled) == (
        400,
        9464,
        True,
    )


@pytest.mark.parametrize(
    ("written", "pico"),
    [
        ("0.1", 10**11),
        ("'0.1'", 10**11),
        ("0.000000000001", 1),
        ("123456789.123456789012", 123456789123456789012),
        ("1e3", 1000 * USD),
        ("010", 10 * USD),
        ("1_000", 1000 * USD),
        ("+5", 5 * USD),
    ],
)
def test_money_is_exactly_what_is_written(written, pico):
    assert parse(f"budgets: [{{name: a, max_cost: {written}}}]").budgets[0].max_cost == pico


@pytest.mark.parametrize("written", ["no", "on", "123", "1e3", "2026-01-01", "'null'", "1:30", "0x10"])
def test_a_text_is_what_is_written(written):
    match = parse(f"budgets: [{{name: {written}, max_cost: 1, match: {{feature: {written}}}}}]").budgets[0]
    text = written.strip("'")
    assert (match.name, match.selector.terms) == (text, (("feature", (text,)),))


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("2w", 1_209_600)]
)
def test_durations_have_a_unit(written, seconds):
    budget = parse(f"budgets: [{{name: a, max_cost: 1, period: {{rolling: {written}}}}}]").budgets[0]
    assert budget.period.rolling_seconds == seconds


@pytest.mark.parametrize(
    "written", ["2026-01-31", "2026-01-31T00:00:00Z", "2026-01-31 00:00:00", "2026-01-31T02:00:00+02:00"]
)
def test_a_price_starts_on_a_day_of_utc(written):
    prices = parse(f"prices: [{{provider: x, model: y, input: 1, from: {written}}}]").prices
    assert prices[0].starts == date(2026, 1, 31)


def test_providers_have_their_normalised_name():
    text = """\
prices: [{provider: bedrock, model: x, input: 0}, {provider: "azure*", model: x, input: 0}]
budgets: [{name: a, max_cost: 1, match: {gen_ai.provider.name: [azure, "aws*"]}}]
"""
    assert [price.provider for price in parse(text).prices] == ["aws.bedrock", "azure*"]
    assert parse(text).budgets[0].selector.terms == (("provider", ("azure.ai.openai", "aws*")),)


def test_anchors_and_merges_work():
    text = """\
budgets:
  - &team {name: one, max_cost: 5, period: daily, thresholds: &t {warning: 10}}
  - {<<: *team, name: two}
  - {<<: [{max_cost: 7}, *team], name: three, thresholds: *t}
"""
    budgets = parse(text).budgets
    assert [budget.name for budget in budgets] == ["one", "two", "three"]
    assert [budget.max_cost for budget in budgets] == [5 * USD, 5 * USD, 7 * USD]
    assert {budget.thresholds.warning for budget in budgets} == {10}


def test_values_come_from_the_environment():
    text = """\
ledger: {url: ${DB}, retention_days: ${DAYS:-7}, queue_max_spans: ${EMPTY:-}}
metrics: {prometheus: {host: "${HOST:-127.0.0.1}"}}
budgets: [{name: "$${A} ${A}-${B:-b:{, c}", max_cost: ${LIMIT}}]
"""
    config = parse(text, DB="postgresql://u:p{w}@h/x", LIMIT="2.5", A="a", HOST="::1")
    assert config.ledger.url == "postgresql://u:p{w}@h/x"
    assert (config.ledger.retention_days, config.ledger.queue_max_spans) == (7, 10_000)
    assert config.metrics.host == "::1"
    assert config.budgets[0].name == "${A} a-b:{, c"
    assert config.budgets[0].max_cost == 25 * USD // 10


def test_the_address_of_the_ledger_is_not_in_a_repr():
    assert "secret" not in repr(parse("ledger: {url: 'postgresql://u:secret@h/x'}"))


# Wrong files

WRONG = [
    ("[1]",
     "b.yaml:1:1: must be a mapping, got a list"),
    ("hello",
     "b.yaml:1:1: must be a mapping, got hello"),
    ("budgts: []",
     "b.yaml:1:1: budgts: unknown key; did you mean budgets?"),
    ("xyz: 1",
     ("b.yaml:1:1: xyz: unknown key; known are ledger, attribution, prices, scopes, models, counting, "
      "metrics, sampling, guard, rules, alerting, receivers, anomalies, advice, budgets")),
    ("budgets: 5",
     "b.yaml:1:1: budgets: must be a list, got 5"),
    ("budgets: {a: 1}",
     "b.yaml:1:1: budgets: must be a list, got a mapping"),
    ("ledger: []",
     "b.yaml:1:1: ledger: must be a mapping, got a list"),
    ("ledger: {url: mysql://u:secret@h}",
     'b.yaml:1:10: ledger.url: must start with sqlite:/// or postgresql://, got "mysql://\u2026"'),
    ("ledger: {retention_days: 0}",
     "b.yaml:1:10: ledger.retention_days: must be at least 1, got 0"),
    ("ledger: {retention_days: 1.5}",
     "b.yaml:1:10: ledger.retention_days: must be a whole number, got 1.5"),
    ("ledger: {max_unflushed_ms: 60001}",
     "b.yaml:1:10: ledger.max_unflushed_ms: must be at most 60000, got 60001"),
    ("ledger: {on_store_error: alow}",
     ("b.yaml:1:10: ledger.on_store_error: must be one of deny, allow, lease_only, got alow; did you "
      "mean allow?")),
    ("metrics: {prometheus: {prot: 1}}",
     "b.yaml:1:24: metrics.prometheus.prot: unknown key; did you mean port?"),
    ("metrics: {prometheus: {port: 65536}}",
     "b.yaml:1:24: metrics.prometheus.port: must be at most 65535, got 65536"),
    ("metrics: {labels: [user, user.id]}",
     "b.yaml:1:11: metrics.labels: must not name the same label twice, got a list"),
    ("attribution: {user: [a b]}",
     ("b.yaml:1:22: attribution.user[0]: must be a name of letters, digits and . _ - : / @, at most 128 "
      'characters, got "a b"')),
    ("scopes: {my.scope: {ignor: true}}",
     'b.yaml:1:21: scopes["my.scope"].ignor: unknown key; did you mean ignore?'),
    ("scopes: {my.scope: {ignore: perhaps}}",
     'b.yaml:1:21: scopes["my.scope"].ignore: must be true or false, got perhaps'),
    ("models: {aliases: {d: {provider: x}}}",
     "b.yaml:1:20: models.aliases.d.model: is required"),
    ("models: {aliases: {d: {modle: x, model: y}}}",
     "b.yaml:1:24: models.aliases.d.modle: unknown key; did you mean model?"),
    ("prices: [{provider: x, model: y}]",
     "b.yaml:1:10: prices[0]: needs a rate or discount_percent"),
    ("prices: [{model: y, input: 1}]",
     "b.yaml:1:10: prices[0].provider: is required"),
    ("prices: [{provider: x, model: y, input: -1}]",
     "b.yaml:1:34: prices[0].input: must be at least 0, got -1"),
    ("prices: [{provider: x, model: y, input: .inf}]",
     "b.yaml:1:34: prices[0].input: must be a number, got .inf"),
    ("prices: [{provider: x, model: y, input: inf}]",
     "b.yaml:1:34: prices[0].input: must be a number, got inf"),
    ("prices: [{provider: x, model: y, input: 1e-999999999}]",
     "b.yaml:1:34: prices[0].input: must have at most 30 digits, got 1e-999999999"),
    ("prices: [{provider: x, model: y, output: 1000001}]",
     "b.yaml:1:34: prices[0].output: must be at most 1000000, got 1000001"),
    ("prices: [{provider: x, model: y, discount_percent: 101}]",
     "b.yaml:1:34: prices[0].discount_percent: must be at most 100, got 101"),
    ("prices: [{provider: x, model: y, input: 1, from: soon}]",
     "b.yaml:1:44: prices[0].from: must be a date such as 2026-01-31, got soon"),
    ("prices: [{provider: x, model: y, input: 1, from: 2026-01-01T10:00:00}]",
     ("b.yaml:1:44: prices[0].from: must be a date, or a time at midnight UTC: prices change with the "
      "UTC day, got 2026-01-01T10:00:00")),
    ("budgets: [5]",
     "b.yaml:1:11: budgets[0]: must be a mapping, got 5"),
    ("budgets: [{max_cost: 5}]",
     "b.yaml:1:11: budgets[0].name: is required"),
    ("budgets: [{name: , max_cost: 5}]",
     "b.yaml:1:12: budgets[0].name: is required"),
    ("budgets: [{name: '', max_cost: 5}]",
     'b.yaml:1:12: budgets[0].name: must be 1 to 200 printable characters, got ""'),
    ("budgets: [{name: a}]",
     "b.yaml:1:11: budgets[0]: needs at least one of max_cost, max_tokens and max_requests"),
    ("budgets: [{name: a, max_cost: 1}, {name: a, max_cost: 1}]",
     "b.yaml:1:36: budgets[1].name: must be unique, got a; budgets[0] has the same name"),
    ("budgets: [{name: a, max_cost: 1, perod: daily}]",
     "b.yaml:1:34: budgets[0].perod: unknown key; did you mean period?"),
    ("budgets: [{name: a, max_cost: 1, max_csot: }]",
     "b.yaml:1:34: budgets[0].max_csot: unknown key; did you mean max_cost?"),
    ("budgets: [{name: a, max_cost: 1, period: fortnightly}]",
     ("b.yaml:1:34: budgets[0].period: must be one of hourly, daily, weekly, monthly, yearly, total or "
      "{rolling: 24h}, got fortnightly")),
    ("budgets: [{name: a, max_cost: 1, period: {rolling: 24}}]",
     "b.yaml:1:43: budgets[0].period.rolling: must be a duration such as 30s, 15m, 24h, 7d or 2w, got 24"),
    ("budgets: [{name: a, max_cost: 1, period: {rolling: 59s}}]",
     "b.yaml:1:43: budgets[0].period.rolling: must be 1 minute to 400 days, got 59s"),
    ("budgets: [{name: a, max_cost: 1, period: {rolling: 401d}}]",
     "b.yaml:1:43: budgets[0].period.rolling: must be 1 minute to 400 days, got 401d"),
    ("budgets: [{name: a, max_cost: 1, timezone: Europe/Berln}]",
     ("b.yaml:1:34: budgets[0].timezone: must be an IANA time zone, got Europe/Berln; did you mean "
      "Europe/Berlin?")),
    ("budgets: [{name: a, max_cost: 1, timezone: ../../etc/passwd}]",
     "b.yaml:1:34: budgets[0].timezone: must be an IANA time zone, got ../../etc/passwd"),
    ("budgets: [{name: a, max_cost: 1, period: daily, week_start: sunday}]",
     "b.yaml:1:49: budgets[0].week_start: is only for the period weekly, got sunday"),
    ("budgets: [{name: a, max_cost: 1, period: {rolling: 1d}, anchor_day: 2}]",
     "b.yaml:1:57: budgets[0].anchor_day: is only for the period monthly or yearly, got 2"),
    ("budgets: [{name: a, max_cost: 1, anchor_month: 2}]",
     "b.yaml:1:34: budgets[0].anchor_month: is only for the period yearly, got 2"),
    ("budgets: [{name: a, max_cost: 1, anchor_day: 32}]",
     "b.yaml:1:34: budgets[0].anchor_day: must be at most 31, got 32"),
    ("budgets: [{name: a, max_cost: 1, thresholds: {warning: 90, critical: 90}}]",
     ("b.yaml:1:60: budgets[0].thresholds.critical: critical (90 where not given) must be above warning "
      "(80 where not given), got 90")),
    ("budgets: [{name: a, max_cost: 1, thresholds: {critical: 101}}]",
     "b.yaml:1:47: budgets[0].thresholds.critical: must be at most 100, got 101"),
    ("budgets: [{name: a, max_cost: 1, per: [user, user.id]}]",
     "b.yaml:1:34: budgets[0].per: must not name the same label twice, got a list"),
    ("budgets: [{name: a, max_cost: 1, per: [a, b, c, d, e]}]",
     "b.yaml:1:34: budgets[0].per: must have at most 4 values, got a list"),
    ("budgets: [{name: a, max_cost: 1, match: {user: a, user.id: b}}]",
     "b.yaml:1:34: budgets[0].match: must not name the same label twice, got a mapping"),
    ("budgets: [{name: a, max_cost: 1, match: {user: []}}]",
     "b.yaml:1:42: budgets[0].match.user: must have a value, got a list"),
    ("budgets: [{name: a, max_cost: 1, match: {user: [~]}}]",
     "b.yaml:1:49: budgets[0].match.user[0]: must be text, got nothing"),
    ("budgets: [{name: a, max_cost: 1, match: {bad name: x}}]",
     ('b.yaml:1:42: budgets[0].match["bad name"]: must be a name of letters, digits and . _ - : / @, at '
      "most 128 characters")),
    ("budgets: [{name: a, max_cost: 0}]",
     "b.yaml:1:21: budgets[0].max_cost: must be greater than 0, got 0"),
    ("budgets: [{name: a, max_cost: -5}]",
     "b.yaml:1:21: budgets[0].max_cost: must be greater than 0, got -5"),
    ("budgets: [{name: a, max_cost: nan}]",
     "b.yaml:1:21: budgets[0].max_cost: must be a number, got nan"),
    ("budgets: [{name: a, max_cost: .nan}]",
     "b.yaml:1:21: budgets[0].max_cost: must be a number, got .nan"),
    ("budgets: [{name: a, max_cost: Infinity}]",
     "b.yaml:1:21: budgets[0].max_cost: must be a number, got Infinity"),
    ("budgets: [{name: a, max_cost: -.inf}]",
     "b.yaml:1:21: budgets[0].max_cost: must be a number, got -.inf"),
    ("budgets: [{name: a, max_cost: five}]",
     "b.yaml:1:21: budgets[0].max_cost: must be a number, got five"),
    ("budgets: [{name: a, max_cost: $5}]",
     'b.yaml:1:21: budgets[0].max_cost: must be a number, got "$5"'),
    ("budgets: [{name: a, max_cost: [5]}]",
     "b.yaml:1:21: budgets[0].max_cost: must be a number, got a list"),
    ("budgets: [{name: a, max_cost: 1000000001}]",
     "b.yaml:1:21: budgets[0].max_cost: must be at most 1000000000, got 1000000001"),
    ("budgets: [{name: a, max_cost: 0.0000000000001}]",
     "b.yaml:1:21: budgets[0].max_cost: must have at most 12 decimals, got 0.0000000000001"),
    ("budgets: [{name: a, max_cost: 1e-13}]",
     "b.yaml:1:21: budgets[0].max_cost: must have at most 12 decimals, got 1e-13"),
    ("a: 1\na: 2",
     "b.yaml:2:1: a: duplicate key, already given in line 1"),
    ("budgets:\n\t- 1",
     "b.yaml:2:1: not valid YAML: found character '\\t' that cannot start any token"),
    ("budgets: [",
     "b.yaml:1:11: not valid YAML: expected the node content, but found '<stream end>'"),
    ("ledger: {}\n---\nledger: {}",
     "b.yaml:3:1: a second document; one file holds one"),
    ("ledger: !!python/object:os.system {}",
     'b.yaml:1:9: ledger: tags such as "tag:yaml.org,2002:python/object:os.system" are not supported'),
    ("? [a]\n: 1",
     "b.yaml:1:3: a key must be plain text"),
    ("ledger: *nothing",
     'b.yaml:1:9: ledger: alias "*nothing" has no anchor before it'),
    ("ledger: &a {url: *a}",
     'b.yaml:1:18: ledger.url: alias "*a" has no anchor before it'),
    ("<<: 5",
     "b.yaml:1:1: `<<` merges mappings only"),
    ('ledger: {url: "\\ud800"}',
     "b.yaml:1:15: ledger.url: half of a surrogate pair is not a character"),
    ("\nledger: \x00",
     "b.yaml:2:1: not valid YAML: character U+0000 is not allowed"),
    ("ledger: \U000f0041",
     "b.yaml:1:1: not valid YAML: character U+F0041 is not allowed"),
    ('ledger: "\\UFFFFFFFF"',
     "b.yaml:1:1: not valid YAML: it holds an impossible character"),
    ("budgets: " + "[" * 21 + "]" * 21,
     "b.yaml:1:30: nested deeper than 20 levels"),
    ("ledger: {url: ${NOPE}}",
     "b.yaml:1:15: ledger.url: environment variable NOPE is not set and has no default"),
    ("ledger:\n  url: ${1x}",
     "b.yaml:2:8: ledger.url: `${` must be `${NAME}` or `${NAME:-default}`; write `$${` for plain text"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_a_wrong_file_is_told_what_and_where(text, problem):
    found = problems(text)
    assert problem in found
    assert len(found) == 1 or text.startswith(("<<", "a: 1"))


def test_all_problems_come_at_once_with_their_lines():
    text = """\
ledgr: {}
ledger: {retention_days: many}
budgets:
  - name: one
    max_cost: -5
    timezone: Mars/Olympus

  - name: one
    period: daily
    anchor_day: 3
  # a comment
  - max_tokens: 1.5
    max_toks: 1
"""
    assert problems(text) == [
        "b.yaml:1:1: ledgr: unknown key; did you mean ledger?",
        "b.yaml:2:10: ledger.retention_days: must be a whole number, got many",
        "b.yaml:5:5: budgets[0].max_cost: must be greater than 0, got -5",
        "b.yaml:6:5: budgets[0].timezone: must be an IANA time zone, got Mars/Olympus",
        "b.yaml:8:5: budgets[1]: needs at least one of max_cost, max_tokens and max_requests",
        "b.yaml:8:5: budgets[1].name: must be unique, got one; budgets[0] has the same name",
        "b.yaml:10:5: budgets[1].anchor_day: is only for the period monthly or yearly, got 3",
        "b.yaml:12:5: budgets[2].name: is required",
        "b.yaml:12:5: budgets[2].max_tokens: must be a whole number, got 1.5",
        "b.yaml:13:5: budgets[2].max_toks: unknown key; did you mean max_tokens?",
    ]


def test_a_value_from_the_environment_is_never_shown():
    text = """\
ledger: {url: ${S}, retention_days: ${S}, on_store_error: ${S}}
budgets: [{name: ${S}, max_cost: ${S}, period: ${S}, timezone: ${S}, match: {user: ["${S}\\n"]}},
          {name: ${S}}]
"""
    found = problems(text, S="dayly")
    assert len(found) == 9
    assert not [problem for problem in found if "dayly" in problem or "did you mean" in problem]


def test_a_bomb_of_aliases_is_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "more than 50000 values" in problems("\n".join(lines))[0]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a: " * 1_000, "? " * 10_000]
)
def test_deep_nesting_is_refused(text):
    assert len(problems(text)) == 1


def test_a_huge_file_is_refused():
    assert problems("# " + "é" * 600_000) == ["b.yaml:1:1: larger than 1 MiB"]
    assert "more than 50000 values" in problems("- a\n" * 100_000)[0]


def test_a_file_is_read_with_its_path_in_each_problem(tmp_path: Path):
    path = tmp_path / "budgets.yaml"
    path.write_text("\ufeffbudgets:\n  - {name: é, max_cost: 0}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert caught.value.problems == [f"{path}:2:15: budgets[0].max_cost: must be greater than 0, got 0"]
    path.write_text("budgets:\n  - {name: é, max_cost: 1}\n", encoding="utf-8")
    assert load_config(str(path)).budgets[0].name == "é"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"ledger:\n  url: \xff\n", "{path}:2:1: not UTF-8 text"),
        ("ledger: {}".encode("utf-16"), "{path}:1:1: not UTF-8 text"),
        (b"\x7fELF\x02\x01\x01\x00", "{path}:1:1: not valid YAML: character U+007F is not allowed"),
        (b"a" * ((1 << 20) + 1), "{path}:1:1: larger than 1 MiB"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, content, problem):
    path = tmp_path / "b.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert caught.value.problems == [problem.format(path=path)]


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for path, reason in [(tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")]:
        with pytest.raises(ConfigurationError) as caught:
            load_config(path)
        assert caught.value.problems == [f"{path}: cannot be read: {reason}"]
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_config("a\0b")


PIECES = [
    "budgets:", "prices:", "ledger:", "name: a", "max_cost: ", "period: ", "{rolling: 1h}", "match: ",
    "\n", "\n  ", "\n  - ", "- ", "[", "]", "{", "}", ", ", ": ", "&a ", "*a", "<<: ", "!!int ", "!",
    "|\n", ">-\n", "'", '"', "\\", "\\x41", "\\UFFFFFFFF", "\\ud800", "#", "%YAML 1.1\n", "---\n",
    "...\n", "?", "~", "1", "-5", "1e9", "nan", "0.1", "${A}", "${", "$${", ":-x}", "\t", "\r", "\x85",
    "\u2028", "\ufeff", "\xe9", "\x00", "\ud800", "\U0001f600",
]  # fmt: skip


@given(
    st.one_of(
        st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
        st.text(string.printable + "\x00\x85\ufeff\ud800😀", max_size=60),
        st.binary(max_size=60).map(lambda content: content.decode("latin-1")),
    )
)
@settings(max_examples=1_500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_a_configuration_or_a_configuration_error(text):
    for problem in problems_of(text):
        assert problem.startswith("b.yaml:")
        assert len(problem.splitlines()) == 1
        problem.encode()


SCALARS = [
    "a",
    "5",
    "-1",
    "nan",
    "1e400",
    "1e-400",
    "'\\x00'",
    "9" * 5_000,
    "daily",
    "true",
    "~",
    "''",
    "[]",
    "{}",
]
SCALARS += [
    "[a, [b]]",
    "{a: {b: c}}",
    "{rolling: 1h}",
    "{rolling: [1]}",
    "2026-01-01",
    "9999-12-31",
    "UTC",
    "[5, a]",
]
KEYS = {
    "budgets": ["name", "match", "max_cost", "max_tokens", "max_requests", "period", "timezone", "week_start",
                "anchor_day", "anchor_month", "per", "hard_limit", "auto_suspend", "thresholds"],
    "prices": ["provider", "model", "input", "request", "from", "discount_percent"],
    "models": ["aliases"],
    "scopes": ["a"],
    "metrics": ["exporter", "prometheus", "labels"],
    "attribution": ["user", "labels", "baggage"],
    "ledger": ["url", "retention_days"],
}  # fmt: skip


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_any_value_under_any_key_is_read_or_refused(data):
    section = data.draw(st.sampled_from(sorted(KEYS)))
    given = data.draw(st.dictionaries(st.sampled_from(KEYS[section]), st.sampled_from(SCALARS)))
    inside = "{" + ", ".join(f"{key}: {value}" for key, value in given.items()) + "}"
    text = f"{section}: [{inside}]" if section in ("budgets", "prices") else f"{section}: {inside}"
    assert all(problem.startswith("b.yaml:1:") and len(problem) < 400 for problem in problems_of(text))

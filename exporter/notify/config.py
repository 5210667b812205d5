"""The section `receivers` of the configuration: who is told of alerts, how, and how often.

URLs and secrets come from the environment (`${NAME}`) or from files that are read whenever they are needed.
They are checked by the mapping that holds them, so that no message shows them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from spanbudget.exporter.config_fields import PROMETHEUS_NAME, Line, listed
from spanbudget.exporter.config_sections import Section
from spanbudget.exporter.notify.addresses import target_of
from spanbudget.exporter.notify.exchange import Reach
from spanbudget.exporter.notify.mute_config import MuteConfig
from spanbudget.exporter.notify.secret_files import Secret
from spanbudget.exporter.notify.signing import signing_key
from spanbudget.rules.durations import parse_duration
from spanbudget.rules.notifications.policy import BY_ALL_LABELS, ReceiverPolicy

RECEIVERS_MAX: Final = 100
HEADERS_MAX: Final = 32
SECRETS_MAX: Final = 8
URLS_MAX: Final = 32
SECRET_CHARACTERS_MAX: Final = 8_192
Channel: TypeAlias = Literal["webhook", "alertmanager", "apprise", "callback", "log"]

_NAME: Final = re.compile(r"[\w.-]{1,64}", re.ASCII)
_CALLBACK: Final = re.compile(r"[A-Za-z_][\w.]{0,127}:[A-Za-z_][\w.]{0,127}", re.ASCII)
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_OWN_HEADERS: Final = (
    "host", "connection", "content-type", "content-length", "transfer-encoding", "expect", "upgrade",
    "user-agent",
)  # fmt: skip
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


def receiver_name(text: str) -> str:
    """The name of a receiver.

    Raises:
        ValueError: It has other characters, or too many.
    """
    if not _NAME.fullmatch(text):
        raise ValueError("must be a name of letters, digits and . _ -, at most 64 characters")
    return text


def group_label(name: str) -> str:
    """A label to group by, or `...` for all of them.

    Raises:
        ValueError: It is no label's name.
    """
    if name != BY_ALL_LABELS and not PROMETHEUS_NAME.fullmatch(name):
        raise ValueError("must be a label's name, or ... for all labels")
    return name


def callback_name(text: str) -> str:
    """`package.module:function`.

    Raises:
        ValueError: It has another form.
    """
    if not _CALLBACK.fullmatch(text):
        raise ValueError("must be package.module:function")
    return text


def duration_ms(given: object) -> object:
    """A duration such as `1h30m` as milliseconds."""
    return parse_duration(given) if isinstance(given, str) else given


GroupBy: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(group_label)], ...] | None,
    BeforeValidator(listed),
    Field(max_length=32),
]
Duration: TypeAlias = Annotated[int, BeforeValidator(duration_ms)]
Timeout: TypeAlias = Annotated[float, Field(gt=0, le=60)]


class _Http(Section):
    """What receivers with an HTTP interface have in common."""

    timeout_seconds: Timeout = 10.0
    allow_private: bool = False
    ca_file: Path | None = None

    @property
    def reach(self) -> Reach:
        """How the receiver may be reached."""
        return Reach(self.timeout_seconds, self.allow_private, self.ca_file)


class WebhookConfig(_Http):
    """A webhook in Alertmanager's form. `secrets` are several while one takes the place of another."""

    url: SecretStr | None = None
    url_file: Path | None = None
    headers: Annotated[dict[str, SecretStr], Field(max_length=HEADERS_MAX)] = Field(default_factory=dict)
    secret: SecretStr | None = None
    secret_file: Path | None = None
    secrets: Annotated[tuple[SecretStr, ...], BeforeValidator(listed), Field(max_length=SECRETS_MAX)] = ()
    max_alerts: Annotated[int, Field(ge=0, le=100_000)] = 1_000

    @model_validator(mode="before")
    @classmethod
    def _headers_are_a_mapping(cls, values: Any) -> Any:
        # Said here: a message about the key itself would show what it holds.
        if isinstance(values, dict) and not isinstance(values.get("headers") or {}, dict):
            raise ValueError("headers must be a mapping of names to values")  # noqa: TRY004 - pydantic's way
        return values

    @model_validator(mode="after")
    def _is_complete(self) -> "WebhookConfig":
        _one_of(("url", self.url), ("url_file", self.url_file))
        _is_url("url", self.url)
        if sum(map(bool, (self.secret, self.secret_file, self.secrets))) > 1:
            raise ValueError("must have at most one of secret, secret_file and secrets")
        for name, value in self.headers.items():
            _is_header(name, value)
        for key in (*([self.secret] if self.secret else ()), *self.secrets):
            _is_signing_secret(key)
        return self

    @property
    def signing_secrets(self) -> tuple[Secret, ...]:
        """What messages are signed with."""
        if self.secret_file:
            return (Secret(file=self.secret_file),)
        given = (self.secret,) if self.secret else self.secrets
        return tuple(Secret(value) for value in given)


class AlertmanagerConfig(_Http):
    """An Alertmanager; it is mostly at a private address, which needs `allow_private: true`."""

    url: SecretStr
    path_prefix: str = ""
    bearer_token: SecretStr | None = None
    bearer_token_file: Path | None = None
    username: Line | None = None
    password: SecretStr | None = None
    password_file: Path | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> "AlertmanagerConfig":
        _is_url("url", self.url)
        if "?" in self.url.get_secret_value():
            raise ValueError("url must not have a query")
        if self.path_prefix and not re.fullmatch(r"(/[\w.~%-]+)+/?", self.path_prefix, re.ASCII):
            raise ValueError("path_prefix must be a path such as /alertmanager")
        if sum(map(bool, (self.bearer_token, self.bearer_token_file, self.username))) > 1:
            raise ValueError("must have at most one of bearer_token, bearer_token_file and username")
        if self.username:
            _one_of(("password", self.password), ("password_file", self.password_file))
        elif self.password or self.password_file:
            raise ValueError("a password needs a username")
        for key in ("bearer_token", "password"):
            _is_short(key, getattr(self, key))
        return self

    @property
    def base_url(self) -> Secret:
        """The URL with its prefix."""
        return Secret(SecretStr(self.url.get_secret_value().rstrip("/") + self.path_prefix))


class AppriseConfig(Section):
    """Services of apprise, one URL each; a file has one a line."""

    urls: Annotated[tuple[SecretStr, ...], BeforeValidator(listed), Field(max_length=URLS_MAX)] = ()
    urls_file: Path | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> "AppriseConfig":
        _one_of(("urls", self.urls), ("urls_file", self.urls_file))
        for url in self.urls:
            _is_short("urls", url)
            if "://" not in url.get_secret_value():
                raise ValueError("urls must be URLs of apprise, such as slack://…")
        return self

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The URLs, or the file that has them."""
        return (Secret(file=self.urls_file),) if self.urls_file else tuple(map(Secret, self.urls))


class ReceiverConfig(Section):
    """One receiver, told through one or several channels; grouping and muting are not for `alertmanager`.

    Without `group_by`, alerts of one name are a group; for a receiver that is a log only, each alert is.
    """

    name: Annotated[str, AfterValidator(receiver_name)]
    webhook: WebhookConfig | None = None
    alertmanager: AlertmanagerConfig | None = None
    apprise: AppriseConfig | None = None
    callback: Annotated[str, AfterValidator(callback_name)] | None = None
    log: bool = False
    group_by: GroupBy = None
    group_wait: Annotated[Duration, Field(le=_HOUR_MS)] = 0
    group_interval: Annotated[Duration, Field(le=_DAY_MS)] = 0
    repeat_interval: Annotated[Duration, Field(ge=60_000, le=365 * _DAY_MS)] = 4 * _HOUR_MS
    resolve_hold: Annotated[Duration, Field(le=_DAY_MS)] = 300_000
    send_resolved: bool = True
    mute: Annotated[tuple[MuteConfig, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _has_a_channel(self) -> "ReceiverConfig":
        if not list(self._kinds()):
            raise ValueError("needs at least one of webhook, alertmanager, apprise, callback and log")
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """The keys of the channels that are told in groups, as `to_policy` says: `team/webhook`."""
        return tuple(f"{self.name}/{kind}" for kind in self._kinds() if kind != "alertmanager")

    @property
    def push_channel(self) -> str | None:
        """The key of the channel that is pushed every alert, `team/alertmanager`; None without one."""
        return f"{self.name}/alertmanager" if self.alertmanager else None

    def to_policy(self) -> ReceiverPolicy:
        """How the receiver wants to be told, as the planning takes it."""
        return ReceiverPolicy(
            name=self.name,
            group_by=self._grouping(),
            group_wait_ms=self.group_wait,
            group_interval_ms=self.group_interval,
            repeat_interval_ms=self.repeat_interval,
            send_resolved=self.send_resolved,
            resolve_hold_ms=self.resolve_hold,
            mute=tuple(mute.to_interval() for mute in self.mute),
        )

    def _grouping(self) -> tuple[str, ...]:
        if self.group_by is not None:
            return self.group_by
        return (BY_ALL_LABELS,) if self.channels == (f"{self.name}/log",) else ("alertname",)

    def _kinds(self) -> Iterator[Channel]:
        if self.webhook:
            yield "webhook"
        if self.alertmanager:
            yield "alertmanager"
        if self.apprise:
            yield "apprise"
        if self.callback:
            yield "callback"
        if self.log:
            yield "log"


def of_different_names(receivers: tuple[ReceiverConfig, ...]) -> tuple[ReceiverConfig, ...]:
    """Receivers that differ in their names.

    Raises:
        ValueError: Two have the same name.
    """
    names = [receiver.name for receiver in receivers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"must have different names; {twice} is there twice")
    return receivers


Receivers: TypeAlias = Annotated[
    tuple[ReceiverConfig, ...], Field(max_length=RECEIVERS_MAX), AfterValidator(of_different_names)
]
"""The section `receivers`."""


def _one_of(*pairs: tuple[str, object]) -> None:
    if sum(bool(value) for _, value in pairs) != 1:
        raise ValueError(f"needs exactly one of {' and '.join(name for name, _ in pairs)}")


def _is_short(name: str, value: SecretStr | None) -> None:
    if value is not None and len(value.get_secret_value()) > SECRET_CHARACTERS_MAX:
        raise ValueError(f"{name} must have at most {SECRET_CHARACTERS_MAX} characters")


def _is_url(name: str, value: SecretStr | None) -> None:
    if value is None:
        return
    try:
        target_of(value.get_secret_value())
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _is_header(name: str, value: SecretStr) -> None:
    if not _HEADER.fullmatch(name):
        raise ValueError("headers must have names of letters, digits and -")
    if name.lower() in _OWN_HEADERS or name.lower().startswith("webhook-"):
        raise ValueError(f"the header {name} is set by itself")
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"the header {name} must be one line of printable ASCII characters")
    _is_short(f"the header {name}", value)


def _is_signing_secret(value: SecretStr) -> None:
    _is_short("secret", value)
    try:
        signing_key(value.get_secret_value())
    except ValueError as error:
        raise ValueError(f"secret: {error}") from None

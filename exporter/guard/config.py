"""The section `guard` of the configuration: which hosts speak which provider's interface."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from spanbudget.exporter.config_fields import Line
from spanbudget.exporter.config_section import Section
from spanbudget.processors.model_names import normalise_provider

HOSTS_MAX: Final = 200
_HOST: Final = re.compile(r"(\*?[a-z0-9_.-]+|\[[0-9a-f:]+\])(:\d{1,5})?")


def host_pattern(text: str) -> str:
    """A host, with a port where it is not the default one; a leading `*` stands for any beginning.

    Raises:
        ValueError: It is no host.
    """
    host = text.strip().lower()
    if not _HOST.fullmatch(host) or len(host) > 253:
        raise ValueError("must be a host such as llm.example.com, *.example.com or localhost:11434, no URL")
    return host


def provider_name(text: str) -> str:
    """A provider under its normalised name; an unknown one keeps its own, so that prices can name it."""
    return normalise_provider(text) or text


class HostConfig(Section):
    """What answers at a host.

    Attributes:
        provider: The provider whose prices hold there.
        include_usage: Whether a chat stream may be asked for its usage (`stream_options.include_usage`);
            false for servers that refuse the option.
    """

    provider: Annotated[Line, AfterValidator(provider_name)]
    include_usage: bool = True


def _host(provider: str, *, include_usage: bool = True) -> HostConfig:
    return HostConfig(provider=provider, include_usage=include_usage)


KNOWN_HOSTS: Final[Mapping[str, HostConfig]] = {
    "api.openai.com": _host("openai"),
    "*.api.openai.com": _host("openai"),  # regional: eu.api.openai.com
    "*.openai.azure.com": _host("azure.ai.openai"),
    "*.cognitiveservices.azure.com": _host("azure.ai.openai"),
    "*.services.ai.azure.com": _host("azure.ai.openai"),
    "api.anthropic.com": _host("anthropic"),
    "generativelanguage.googleapis.com": _host("gcp.gemini"),
    "aiplatform.googleapis.com": _host("gcp.vertex_ai"),
    "*-aiplatform.googleapis.com": _host("gcp.vertex_ai"),
    "openrouter.ai": _host("openrouter"),
    # Answers 422 `extra_forbidden` to the option, and reports the usage of every stream without it
    # (openai/openai-agents-python#442).
    "api.mistral.ai": _host("mistral_ai", include_usage=False),
    "api.groq.com": _host("groq"),
    "api.deepseek.com": _host("deepseek"),
    "api.together.xyz": _host("together"),
    "api.x.ai": _host("x_ai"),
}
"""Hosts that are guarded without being configured; no host of this machine is among them."""


class GuardConfig(Section):
    """What the guard looks at; a host that is given here goes before a known one.

    Attributes:
        enabled: Whether calls are guarded; `auto`: where a budget may refuse any.
        hosts: Host, or pattern with a leading `*`, with its port where it is not the default one → what
            answers there.
    """

    enabled: bool | Literal["auto"] = "auto"
    hosts: Annotated[
        dict[Annotated[str, AfterValidator(host_pattern)], HostConfig], Field(max_length=HOSTS_MAX)
    ] = Field(default_factory=dict)

    def host(self, name: str, port: int | None) -> HostConfig | None:
        """What answers at a host; None where nobody said.

        Args:
            name: The host, without brackets where it is an IPv6 address.
            port: The port; None for the default one of the scheme.
        """
        plain = f"[{name}]" if ":" in name else name.lower()
        full = plain if port is None else f"{plain}:{port}"
        for hosts in (self.hosts, KNOWN_HOSTS):
            found = hosts.get(full) or hosts.get(plain)
            if found is not None:
                return found
            for pattern, host in hosts.items():
                if pattern.startswith("*") and (full.endswith(pattern[1:]) or plain.endswith(pattern[1:])):
                    return host
        return None

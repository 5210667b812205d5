"""Where a URL leads, and whether one may go there.

A name is resolved once, every address that it has is checked, and the connection goes to a checked address: a
name that changes its address in between leads nowhere else. Messages show scheme and host of a URL only,
because its path is the secret of many receivers.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from spanbudget.exporter.notify.errors import DeliveryError

Address: TypeAlias = IPv4Address | IPv6Address
Lookup: TypeAlias = Callable[[str, int], list[Any]]

URL_CHARACTERS_MAX: Final = 8_192
ADDRESSES_MAX: Final = 16
"""Addresses of a name that are looked at and tried."""
_PORTS: Final = {"http": 80, "https": 443}
_NEVER: Final = tuple(
    map(ipaddress.ip_network, ("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8"))
)
"""No host is there: this network, multicast, reserved."""
# Source: IANA's registries of special-purpose addresses (RFC 6890), those that are not globally reachable.
_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
            "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24",
            "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
        ),
    )
)  # fmt: skip
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
"""Every other IPv6 address is special."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class Target(NamedTuple):
    """A checked URL.

    Attributes:
        scheme: `http` or `https`.
        host: Name or address, without brackets; in ASCII.
        port: Of the URL, or the scheme's own.
        path: Path and query.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Scheme and host, and the port where it is not the scheme's own: all that messages may show."""
        return f"{self.scheme}://{self.host_header}"

    @property
    def host_header(self) -> str:
        """The header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str) -> Target:
    """Reads a URL.

    Raises:
        ValueError: It is none that a request can go to; the message does not hold it.
    """
    if len(url) > URL_CHARACTERS_MAX or not all("!" <= character <= "~" for character in url.strip()):
        raise ValueError("must be a URL of printable ASCII characters, others percent-encoded")
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        host = (parts.hostname or "").rstrip(".").encode("idna").decode("ascii")
    except ValueError:
        raise ValueError("must be a URL such as https://example.com/path") from None
    if parts.scheme not in _PORTS:
        raise ValueError("must start with http:// or https://")
    if not host or "\\" in parts.netloc:
        raise ValueError("must name a host, as in https://example.com/path")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password; there are keys of their own for them")
    if port == 0:
        raise ValueError("must have a port of 1 to 65535")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


def may_go_to(address: Address, *, allow_private: bool) -> bool:
    """Whether one may connect to an address.

    Args:
        address: An IPv4 address inside of an IPv6 one (mapped, NAT64) is judged as what it is.
        allow_private: Whether private, loopback, link-local and other special addresses are allowed.
    """
    real = _unwrapped(address)
    if any(real in network for network in _NEVER):
        return False
    if allow_private:
        return True
    if isinstance(real, IPv6Address) and real not in _GLOBAL_V6:
        return False
    return not any(real in network for network in _NOT_PUBLIC)


def addresses_of(
    target: Target, *, allow_private: bool, timeout_seconds: float, look_up: Lookup | None = None
) -> list[str]:
    """The checked addresses of a host, in the order in which they are to be tried.

    Args:
        target: Where to go.
        allow_private: See `may_go_to`.
        timeout_seconds: How long the look-up may take.
        look_up: Takes the place of the system's.

    Raises:
        DeliveryError: There is none, or one of them is not allowed.
    """
    found = _looked_up(target, timeout_seconds, look_up or _system_look_up)
    texts = list(dict.fromkeys(str(entry[4][0]) for entry in found))[:ADDRESSES_MAX]
    for text in texts:
        # The scope of a link-local address, `%eth0`, plays no part in what it is.
        if not may_go_to(ipaddress.ip_address(text.partition("%")[0]), allow_private=allow_private):
            way_out = "no host is there" if allow_private else "set `allow_private: true` if it is meant"
            raise DeliveryError(
                f"{target.origin}: leads to {text}, which is not a public address; {way_out}", retry=False
            )
    if not texts:
        raise DeliveryError(f"{target.origin}: the host has no address", retry=True)
    return texts


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


_system_look_up: Final[Lookup] = partial(socket.getaddrinfo, type=socket.SOCK_STREAM)


def _looked_up(target: Target, timeout_seconds: float, look_up: Lookup) -> list[Any]:
    """Asks the system, in a thread of its own: the system's look-up knows no timeout."""
    answers: list[list[Any]] = []
    faults: list[Exception] = []

    def ask() -> None:
        try:
            answers.append(look_up(target.host, target.port))
        except (OSError, ValueError) as error:
            faults.append(error)

    thread = threading.Thread(target=ask, name="spanbudget-look-up", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # from Python 3.12 on, a process that ends starts none: it asks here
        ask()
    else:
        thread.join(timeout_seconds)
    if answers:
        return answers[0]
    said = "took too long" if not faults else getattr(faults[0], "strerror", None) or "is not possible"
    raise DeliveryError(f"{target.origin}: looking up the host: {said}", retry=True)

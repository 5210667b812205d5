"""URLs of ledgers on a server: which are accepted, and how one is shown without its password."""

import re
from typing import Final

from spanbudget.processors.errors import LedgerError

SCHEMES: Final = ("postgresql", "postgresql+psycopg")

_CLEAR: Final = re.compile(r"(?:[^@:/?#\s]+(?::[^@:/?#\s]*)?@)?[^@?\s]*(?:\?[^@\s]*)?")
"""After the scheme: user and password in which every special character is percent-encoded."""


def shown(url: str) -> str:
    """A URL as people may see it: `***` for the password, and no options, which may hold one too."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***" if "@" in url else url
    if not _CLEAR.fullmatch(rest):
        # Nobody can tell where such a password ends.
        return f"{scheme}://***"
    identity, at, place = rest.partition("?")[0].rpartition("@")
    user, colon, _ = identity.partition(":")
    return f"{scheme}://{user}{':***' if colon else ''}{at}{place}"


def driver_url(url: str) -> str:
    """The URL as the driver wants it.

    Raises:
        LedgerError: The driver could take a part of the password for something else, and show it.
    """
    _, _, rest = url.partition("://")
    if not _CLEAR.fullmatch(rest):
        raise LedgerError(
            f"ledger {shown(url)}: write special characters of the user and the password percent-encoded,"
            " as in postgresql://user:p%40ss@host/database (%40 is @, %3A is :, %2F is /, %3F is ?, %23 is #)"
        )
    return f"postgresql://{rest}"

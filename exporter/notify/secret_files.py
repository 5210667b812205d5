"""Secrets, from the configuration or from a file that is read anew each time: a rotation needs no restart."""

import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import SecretStr

from spanbudget.exporter.notify.errors import DeliveryError

FILE_BYTES_MAX: Final = 65_536


class Secret(NamedTuple):
    """A text that is in no message: given, or in a file.

    Attributes:
        value: The text; None where it is in the file.
        file: Where it is; None where it was given.
    """

    value: SecretStr | None = None
    file: Path | None = None

    def read(self) -> str:
        """The text, without white space at its ends; "" where there is none.

        Raises:
            DeliveryError: The file cannot be read; it may be written just now, so one may try again.
        """
        if self.file is not None:
            return read_secret_file(self.file)
        return "" if self.value is None else self.value.get_secret_value().strip()


def read_secret_file(path: Path) -> str:
    """The text of a file with secrets.

    Raises:
        DeliveryError: It is not there, no file, too large, not UTF-8, or everyone may write it.
    """
    try:
        # A named pipe must not stop us.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            mode = os.fstat(descriptor).st_mode
            content = file.read(FILE_BYTES_MAX + 1) if stat.S_ISREG(mode) else b""
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise DeliveryError(f"{path}: is not UTF-8 text", retry=True) from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "is no path"
        raise DeliveryError(f"{path}: cannot be read: {said}", retry=True) from None
    if not stat.S_ISREG(mode):
        raise DeliveryError(f"{path}: is not a file", retry=True)
    if mode & stat.S_IWOTH:
        raise DeliveryError(f"{path}: everyone may write it; take that right away (chmod o-w)", retry=True)
    if len(content) > FILE_BYTES_MAX:
        raise DeliveryError(f"{path}: is larger than {FILE_BYTES_MAX // 1024} KiB", retry=True)
    if not text:
        raise DeliveryError(f"{path}: is empty", retry=True)
    return text

import os
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr

from spanbudget.exporter.notify.errors import DeliveryError
from spanbudget.exporter.notify.secret_files import FILE_BYTES_MAX, Secret


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("first\n")
    secret = Secret(file=file)
    assert secret.read() == "first"
    file.write_text("second\n")
    assert secret.read() == "second"


def test_a_given_secret_is_not_shown() -> None:
    secret = Secret(SecretStr("s3cret"))
    assert secret.read() == "s3cret"
    assert "s3cret" not in repr(secret)
    assert Secret().read() == ""


def _too_large(file: Path) -> None:
    file.write_bytes(b"x" * (FILE_BYTES_MAX + 1))


def _for_everyone(file: Path) -> None:
    file.write_text("s3cret")
    file.chmod(0o666)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: None, "cannot be read: No such file or directory"),
        (lambda file: file.mkdir(), "Is a directory|is not a file"),
        (os.mkfifo, "is not a file"),
        (lambda file: file.write_bytes(b"s3cret\xff"), "is not UTF-8 text"),
        (lambda file: file.write_text(" \n"), "is empty"),
        (_too_large, "is larger than 64 KiB"),
        (_for_everyone, "everyone may write it"),
    ],
)
def test_a_file_that_is_wrong_is_said_to_be(make, said: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    make(file)
    with pytest.raises(DeliveryError, match=said) as caught:
        Secret(file=file).read()
    assert caught.value.retry
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))

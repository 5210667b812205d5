import base64
import hmac

import pytest

from spanbudget.exporter.notify.signing import signed_headers, signing_key

# Published with the specification's reference libraries, and in the documentation of its authors.
VECTORS = [
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
        b'{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsec_plJ3nmyCDGBKInavdOK15jsl", "msg_loFOjxBNrRLzqYUf", 1731705121,
        b'{"event_type":"ping","data":{"success":true}}', "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("secret", "id_", "at", "body", "expected"), VECTORS)
def test_signatures_are_those_of_the_specification(secret, id_, at, body, expected) -> None:
    assert signed_headers(id_, at, body, [signing_key(secret)]) == {
        "webhook-id": id_,
        "webhook-timestamp": str(at),
        "webhook-signature": expected,
    }


def test_while_a_secret_is_replaced_both_sign() -> None:
    old, new = (
        signing_key("an old secret of mine"),
        signing_key("whsec_" + base64.b64encode(b"n" * 24).decode()),
    )
    first, second = signed_headers("msg_1", 7, b"body", [old, new])["webhook-signature"].split(" ")
    for key, signature in ((b"an old secret of mine", first), (b"n" * 24, second)):
        expected = base64.b64encode(hmac.digest(key, b"msg_1.7.body", "sha256")).decode()
        assert signature == f"v1,{expected}"


def test_without_a_secret_a_message_is_not_signed() -> None:
    assert signed_headers("msg_1", 7, b"body", []) == {"webhook-id": "msg_1", "webhook-timestamp": "7"}


@pytest.mark.parametrize(
    "secret", ["", "short", "whsec_", "whsec_c2hvcnQ=", "whsec_not Base64 at all!!!!!!!!"]
)
def test_a_weak_or_broken_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError) as caught:
        signing_key(secret)
    assert secret.removeprefix("whsec_")[:5] not in str(caught.value) or len(secret) < 7

import ipaddress
import socket
import threading

import pytest

from spanbudget.exporter.notify.addresses import Target, addresses_of, may_go_to, target_of
from spanbudget.exporter.notify.errors import DeliveryError

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
]  # fmt: skip
SPECIAL = [
    "10.0.0.1", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.254",
    "169.254.169.254", "169.254.0.0", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "::1", "fe80::1", "febf::1", "fc00::1", "fd00:ec2::254", "fec0::1", "2001:db8::1", "2001::1",
    "2002:7f00:1::", "3fff::1", "100::1", "64:ff9b:1::1", "::127.0.0.1", "5f00::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "0.1.2.3",  # noqa: S104 - nothing is bound
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "ff02::1", "::ffff:0.0.0.0", "::ffff:224.0.0.1", "64:ff9b::255.255.255.255",
]  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_allowed(text: str) -> None:
    assert may_go_to(ipaddress.ip_address(text), allow_private=False)


@pytest.mark.parametrize("text", SPECIAL)
def test_special_addresses_need_to_be_allowed(text: str) -> None:
    assert not may_go_to(ipaddress.ip_address(text), allow_private=False)
    assert may_go_to(ipaddress.ip_address(text), allow_private=True)


@pytest.mark.parametrize("text", NEVER)
def test_addresses_of_no_host_are_never_allowed(text: str) -> None:
    assert not may_go_to(ipaddress.ip_address(text), allow_private=False)
    assert not may_go_to(ipaddress.ip_address(text), allow_private=True)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"],
)
def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    with pytest.raises(DeliveryError, match="not a public address; set `allow_private: true`") as caught:
        addresses_of(target_of(f"http://{host}/s3cret"), allow_private=False, timeout_seconds=5)
    assert not caught.value.retry
    assert "s3cret" not in str(caught.value)


def entries(*addresses: str) -> list:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]


TARGET = Target("https", "example.com", 443, "/s3cret")


def test_one_address_that_is_not_public_is_enough_to_refuse() -> None:
    with pytest.raises(DeliveryError, match=r"https://example.com: leads to 10.0.0.1, which is not a public"):
        addresses_of(
            TARGET, allow_private=False, timeout_seconds=5, look_up=lambda *_: entries("1.1.1.1", "10.0.0.1")
        )


def test_addresses_come_in_the_order_of_the_look_up_and_once() -> None:
    found = addresses_of(
        TARGET,
        allow_private=False,
        timeout_seconds=5,
        look_up=lambda *_: entries("8.8.8.8", "1.1.1.1", "8.8.8.8"),
    )
    assert found == ["8.8.8.8", "1.1.1.1"]


def test_the_scope_of_a_link_local_address_is_kept() -> None:
    found = addresses_of(
        TARGET, allow_private=True, timeout_seconds=5, look_up=lambda *_: entries("fe80::1%eth0")
    )
    assert found == ["fe80::1%eth0"]


def test_a_look_up_that_hangs_ends_in_time() -> None:
    over = threading.Event()

    def hang(*_) -> list:
        over.wait(30)
        return entries("1.1.1.1")

    try:
        with pytest.raises(DeliveryError, match="looking up the host: took too long") as caught:
            addresses_of(TARGET, allow_private=False, timeout_seconds=0.05, look_up=hang)
    finally:
        over.set()
    assert caught.value.retry


def test_an_unknown_host_is_tried_again() -> None:
    def fail(*_) -> list:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(DeliveryError, match="Name or service not known") as caught:
        addresses_of(TARGET, allow_private=False, timeout_seconds=5, look_up=fail)
    assert caught.value.retry


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/")),
        ("http://Example.COM.:8080/a/b?c=d#e", Target("http", "example.com", 8080, "/a/b?c=d")),
        ("https://[2606:4700::1111]:8443/x", Target("https", "2606:4700::1111", 8443, "/x")),
        (" https://example.com/x\n", Target("https", "example.com", 443, "/x")),
    ],
)
def test_a_url_is_read(url: str, target: Target) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com/s3cret", "ftp://example.com/s3cret", "file:///s3cret", "https:///s3cret", "https://",
        "https://user:s3cret@example.com/", "https://s3cret@example.com/", "https://example.com:0/s3cret",
        "https://example.com:70000/s3cret", "https://example.com:s3cret/", "https://exa mple.com/s3cret",
        "https://example.com/s3\rcret", "https://ex\\ample.com/s3cret", "https://[::1/s3cret", "https://é.com/",
        "https://example.com/s3cret" + "x" * 9_000, "https://" + "a" * 70 + ".com/s3cret", "https://a..b/s3cret",
    ],
)  # fmt: skip
def test_anything_else_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        target_of(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_origin_shows_neither_path_nor_query() -> None:
    assert target_of("https://[2606:4700::1]:8443/s3cret?a=s3cret").origin == "https://[2606:4700::1]:8443"
    assert target_of("http://example.com:80/s3cret").origin == "http://example.com"

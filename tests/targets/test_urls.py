"""Which URLs are base URLs, and where load may go without a record of permission."""

import socket

import httpx
import pytest

from measurements.errors import TargetUnreachable
from targets import pinned
from targets.urls import base_url, is_loopback, is_private, resolve


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000", "https://host", "http://[::1]:80/prefix", "unix:/run/app.sock", "http://host:65535/"],
)
def test_base_urls_are_http_https_or_a_unix_socket(url: str) -> None:
    base_url(url)


@pytest.mark.parametrize(
    "url",
    ["", "host:80", "//host", "file:///etc/passwd", "http://", "http://u@host", "http://host?x", "http://host#x",
     "http://host:http", "http://host:0", "http://[::1", "unix:", "unix:app.sock"],
)  # fmt: skip
def test_anything_else_is_a_value_error_with_a_reason(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        base_url(url)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00::1", "/run/app.sock",
     "::ffff:127.0.0.1", "::ffff:10.0.0.1"],
)  # fmt: skip
def test_loopback_private_ranges_and_unix_sockets_are_free(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.32.0.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "2606:4700::1111", "fe80::1%eth0", "224.0.0.1",
     "255.255.255.255", "::", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808", "2001:0:808:808::1"],
)  # fmt: skip
def test_every_other_address_needs_a_record_also_a_public_one_in_ipv6_clothes(address: str) -> None:
    """169.254.169.254 is where clouds keep their credentials; ::ffff:8.8.8.8 is 8.8.8.8."""
    assert not is_private(address)


@pytest.mark.parametrize(
    ("address", "loopback"), [("127.0.0.1", True), ("::1", True), ("/s", True), ("10.0.0.1", False)]
)
def test_loopback_is_told_from_private(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


def test_an_address_is_resolved_to_itself_and_a_socket_to_its_path() -> None:
    assert resolve("http://127.0.0.1:8000") == "127.0.0.1"
    assert resolve("http://[::1]:8000") == "::1"
    assert resolve("unix:/run/app.sock") == "/run/app.sock"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70])
def test_a_host_without_an_address_is_unreachable_with_a_sentence(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def offline(name: str, *rest: object, **more: object) -> object:
        if name.endswith(".invalid"):
            raise socket.gaierror(-2, "Name or service not known")
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(TargetUnreachable, match="has no address"):
        resolve(f"http://{host}")


def test_ipv4_is_preferred_where_a_name_has_both(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET6, 1, 6, "", ("::1", 80, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert resolve("http://localhost") == "127.0.0.1"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), "Connection refused"),
        (
            httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"),
            "write http:// in the place",
        ),
        (
            httpx.ConnectError(
                "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1)"
            ),
            "its certificate is not trusted: self-signed certificate; verify_tls = false",
        ),
        (httpx.ReadTimeout(""), "it took too long"),
        (httpx.RemoteProtocolError("Server disconnected"), "what listens there ended it without an answer in HTTP"),
        (httpx.ReadError(""), "the connection broke"),
    ],
)
def test_what_went_wrong_on_the_way_is_told_without_pythons_and_openssls_names(
    error: httpx.HTTPError, said: str
) -> None:
    words = pinned.in_words(error)
    assert said in words and "Errno" not in words and "_ssl" not in words

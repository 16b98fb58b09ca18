"""Requests off the hot path go to the address that was resolved and allowed once: a name that moves moves nothing."""

from __future__ import annotations

import re
import ssl

import httpx

from targets.urls import base_url, is_never, resolve


class Pinned(httpx.BaseTransport):
    """httpx's transport with the connection's address fixed; Host header and certificate stay those of the name."""

    def __init__(self, *, verify: ssl.SSLContext | bool = True, source: str | None = None, keep: int = 20) -> None:
        limits = httpx.Limits(max_keepalive_connections=keep)
        self._inner = httpx.HTTPTransport(verify=verify, local_address=source, limits=limits, trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        address = resolve(f"{url.scheme}://{url.netloc.decode('ascii')}")
        if is_never(address):
            raise httpx.ConnectError(f"{url.host} leads to {address}, where no request may go", request=request)
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        request.url = url.copy_with(host=address)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def transport(
    url: str, *, verify: ssl.SSLContext | bool = True, source: str | None = None, keep: int = 20
) -> httpx.BaseTransport:
    """For the host of `url`, or its Unix socket (unix:/path)."""
    parts = base_url(url)
    if parts.scheme == "unix":
        return httpx.HTTPTransport(uds=parts.path, limits=httpx.Limits(max_keepalive_connections=keep))
    return Pinned(verify=verify, source=source, keep=keep)


def client(url: str, timeout_s: float, verify: ssl.SSLContext | bool = True) -> httpx.Client:
    """Without proxies, redirects and compression: what comes back is as large as it looks."""
    unix = url.startswith("unix:")
    return httpx.Client(
        base_url="http://localhost" if unix else url, transport=transport(url, verify=verify), timeout=timeout_s,
        trust_env=False, follow_redirects=False, headers={"Accept-Encoding": "identity"},
    )  # fmt: skip


def in_words(error: httpx.HTTPError) -> str:
    """What went wrong on the way to an answer, without the names that Python and OpenSSL have for it."""
    said = re.sub(r"^\[Errno -?\d+\] |\s*\(_ssl\.c:\d+\)", "", str(error))
    if "WRONG_VERSION_NUMBER" in said:
        return "it speaks HTTP without TLS there: write http:// in the place of https://"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return f"its certificate is not trusted: {said.rpartition(': ')[2]}; verify_tls = false in [target] takes any"
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    if isinstance(error, httpx.RemoteProtocolError):
        return "what listens there ended it without an answer in HTTP"
    return said or "the connection broke"


class TooMuch(httpx.HTTPError):
    """The answer is longer, or takes longer, than was to be read."""


def bounded(response: httpx.Response, most_bytes: int, until_s: float) -> bytes:
    """The body of a streamed response; TooMuch beyond `most_bytes`, after `until_s` (monotonic), or where it is packed."""
    import time

    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise TooMuch("answered compressed though asked not to")
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > most_bytes:
            raise TooMuch(f"answered more than {most_bytes >> 20} MiB")
        if time.monotonic() > until_s:
            raise TooMuch("did not end in time")
    return bytes(body)

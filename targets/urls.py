"""URLs as the contract may name them, and whether load may go there."""

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from measurements.errors import TargetUnreachable


def base_url(url: str) -> SplitResult:
    """scheme://host[:port][/prefix], http or https, or unix:/path/to/socket. ValueError says what is wrong."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{url!r} is not a base URL; write http://host:port, https://host or unix:/path")
    if not parts.hostname:
        raise ValueError(f"{url!r} names no host; write http://host:port")
    if parts.username or parts.password:
        raise ValueError(f"the URL for {parts.hostname} carries credentials; put them in a header with ${{env:NAME}}")
    if parts.query or parts.fragment:
        raise ValueError(f"{url!r} has a query or fragment; they belong to an endpoint")
    try:
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} has no usable port; ports are 1 to 65535") from error
    return parts


def resolve(url: str) -> str:
    """The address behind a base URL, resolved once; a run is pinned to it."""
    parts = base_url(url)
    if parts.scheme == "unix":
        return parts.path
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise TargetUnreachable(
            f"{parts.hostname} has no address ({error.strerror}); check base_url in the contract, or your DNS"
        ) from error
    ipv4_first = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return str(ipv4_first[0][4][0])


def is_private(address: str) -> bool:
    """Loopback, private ranges and Unix sockets: load may go there without a record of permission."""
    if address.startswith("/"):
        return True
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    return (ip.is_loopback or ip.is_private) and not ip.is_link_local and not ip.is_unspecified


def is_loopback(address: str) -> bool:
    return address.startswith("/") or ipaddress.ip_address(address.split("%", 1)[0]).is_loopback

"""URLs as the contract may name them, and whether load may go there."""

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from measurements.errors import TargetUnreachable

PRIVATE = [  # RFC 1918 and RFC 4193; `ip_address.is_private` also holds reserved and documentation ranges
    ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
]
NEVER = [  # link-local, where clouds keep credentials (169.254.169.254), their other metadata services, and no single host
    ipaddress.ip_network(text)
    for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32",
                 "0.0.0.0/32", "::/128", "224.0.0.0/4", "255.255.255.255/32", "ff00::/8")
]  # fmt: skip
_pinned: dict[tuple[str, int], str] = {}


def base_url(url: str) -> SplitResult:
    """scheme://host[:port][/prefix], http or https, or unix:/path/to/socket. ValueError says what is wrong."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        if not parts.path.startswith("/"):
            raise ValueError(f"{url!r} names no socket; write unix:/path/to/socket")
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
        usable = parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{url!r} has no usable port; ports are 1 to 65535")
    return parts


def resolve(url: str) -> str:
    """The address behind a base URL. Looked up once in the life of this process: DNS cannot move a run that goes on."""
    parts = base_url(url)
    if parts.scheme == "unix":
        return parts.path
    port = parts.port or (443 if parts.scheme == "https" else 80)
    key = (parts.hostname or "", port)
    if key not in _pinned:
        _pinned[key] = _look_up(*key)
    return _pinned[key]


def _look_up(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "not a host name"
        raise TargetUnreachable(
            f"{host} has no address ({why}); check how it is written (base_url, --host), or your DNS"
        ) from error
    ipv4_first = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return str(ipv4_first[0][4][0])


def is_never(address: str) -> bool:
    """Link-local, metadata and many-host addresses: no load and no probe goes there, whatever is on record."""
    return not address.startswith("/") and any(_address(address) in network for network in NEVER)


def is_private(address: str) -> bool:
    """Loopback, private ranges and Unix sockets: load may go there without a record of permission."""
    if address.startswith("/"):
        return True
    ip = _address(address)
    return not is_never(address) and (ip.is_loopback or any(ip in network for network in PRIVATE))


def is_loopback(address: str) -> bool:
    return address.startswith("/") or _address(address).is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address in IPv6 clothes (::ffff:10.0.0.1) is the IPv4 address."""
    ip = ipaddress.ip_address(text.split("%", 1)[0])
    return getattr(ip, "ipv4_mapped", None) or ip

"""Which addresses may be gone to on behalf of others.

A name is judged by what it resolves to. `judge` says what kind of address one is; `EgressPolicy` what to make of it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TypeAlias

from llama_stack_api.errors import InvalidRequest

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_SETTING = "server.egress"


class EgressRefused(InvalidRequest):
    """An address that the policy closes. The message names the setting that opens it."""

    default_code = "address_not_allowed"


class Kind(StrEnum):
    PUBLIC = "public"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    METADATA = "cloud metadata"
    LINK_LOCAL = "link-local"
    MULTICAST = "multicast"
    UNSPECIFIED = "unspecified"
    RESERVED = "reserved"


_ALLOWED_AS_PRIVATE = frozenset({Kind.LOOPBACK, Kind.PRIVATE})

_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",  # AWS, Azure, Google and most others
        "169.254.170.2",  # AWS: credentials of a container
        "169.254.170.23",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "168.63.129.16",  # Azure: a public address that leads to the host
    )
)


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# What older versions of `ipaddress` call global, and forms that carry an IPv4 address for somebody else to unpack.
_PRIVATE = _networks("100.64.0.0/10", "fc00::/7", "fec0::/10")
_RESERVED = _networks(
    "0.0.0.0/8", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
    "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16",
)  # fmt: skip
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def judge(address: Address) -> Kind:
    """An address that embeds an IPv4 address and reaches it (IPv4-mapped, NAT64) is of that one's kind."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return judge(address.ipv4_mapped)
        if address in _NAT64:
            return judge(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.scope_id is not None:
            return Kind.LINK_LOCAL
    if address in _METADATA:
        return Kind.METADATA
    return _judge_plain(address)


def _judge_plain(address: Address) -> Kind:
    for kind, applies in (
        (Kind.UNSPECIFIED, address.is_unspecified),
        (Kind.LOOPBACK, address.is_loopback),
        (Kind.LINK_LOCAL, address.is_link_local),
        (Kind.MULTICAST, address.is_multicast),
        (Kind.RESERVED, _is_in(address, _RESERVED) or _is_isatap(address)),
        (Kind.PRIVATE, address.is_private or _is_in(address, _PRIVATE)),
        (Kind.RESERVED, not address.is_global),
    ):
        if applies:
            return kind
    return Kind.PUBLIC


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _is_isatap(address: Address) -> bool:
    return address.version == 6 and (int(address) >> 32) & 0xFFFFFFFF in _ISATAP


_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)$", re.ASCII)


def literal(host: str) -> Address | None:
    """The address that `host` is written as; None for a name.

    Refuses other spellings of an IPv4 address (`2130706433`, `0x7f.1`, `0177.0.0.1`), which a resolver may accept.
    """
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if _NUMBER.match(host.rstrip(".").rpartition(".")[2].lower()):
            raise EgressRefused(f"'{host}' is not a valid form of an address.") from None
        return None


class _Hosts:
    """A list of the config: host globs, addresses and networks."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._globs: list[str] = []
        self._networks: list[Network] = []
        for entry in entries:
            try:
                self._networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                self._globs.append(entry.lower().rstrip("."))

    def has_host(self, host: str) -> bool:
        return any(fnmatchcase(host, glob) for glob in self._globs)

    def has_address(self, address: Address) -> bool:
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return _is_in(mapped or address, self._networks)


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """`server.egress` of the config, by the same names: `EgressPolicy(**config.server.egress.model_dump())`."""

    allow_private_networks: bool = False
    allowed_hosts: Sequence[str] = ()
    blocked_hosts: Sequence[str] = ()
    allowed_ports: Sequence[int] = ()
    redirects_max: int = 5
    bytes_max: int = 32 * 1024 * 1024
    timeout_s: float = 30.0
    connections_max: int = 256
    environment_proxy: bool = False


class AddressGuard:
    """A policy at work. `trusted` addresses come from the operator: they may be of any kind, but not blocked."""

    def __init__(self, policy: EgressPolicy, *, trusted: bool = False) -> None:
        self._ports = frozenset(policy.allowed_ports)
        self._allow_private = policy.allow_private_networks
        self._trusted = trusted
        self._allowed = _Hosts(policy.allowed_hosts)
        self._blocked = _Hosts(policy.blocked_hosts)

    def check_target(self, host: str, port: int) -> None:
        """What can be said before the name is resolved."""
        if self._blocked.has_host(_plain(host)):
            raise EgressRefused(f"The host '{host}' is closed by {_SETTING}.blocked_hosts.")
        if self._ports and not self._trusted and port not in self._ports:
            raise EgressRefused(f"Port {port} is not among {_SETTING}.allowed_ports.")
        address = literal(host)
        if address is not None:
            self.check_address(host, address)

    def check_address(self, host: str, address: Address) -> None:
        """`EgressRefused` unless `host`, of which this is an address, may be connected to there."""
        if self._blocked.has_address(address):
            raise EgressRefused(f"The address of '{host}' is closed by {_SETTING}.blocked_hosts.")
        if self._trusted or self._allowed.has_address(address):
            return
        kind = judge(address)
        if kind is Kind.PUBLIC:
            return
        if kind not in _ALLOWED_AS_PRIVATE:
            raise EgressRefused(
                f"'{host}' is at a {kind} address, which only an entry for that address in {_SETTING}.allowed_hosts "
                "opens."
            )
        if not (self._allow_private or self._allowed.has_host(_plain(host))):
            raise EgressRefused(
                f"'{host}' is at a {kind} address. If that is meant to be reached, the operator of this server adds it "
                f"to {_SETTING}.allowed_hosts, or sets {_SETTING}.allow_private_networks."
            )


def _plain(host: str) -> str:
    return host.lower().rstrip(".")

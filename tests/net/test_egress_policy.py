"""Which addresses are open: by kind, by form, by the policy."""

from __future__ import annotations

import ipaddress

import pytest
from pydantic import ValidationError

from llama_stack.config.egress import EgressConfig
from llama_stack.net.egress_policy import AddressGuard, EgressPolicy, EgressRefused, Kind, judge, literal


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("8.8.8.8", Kind.PUBLIC),
        ("2606:4700::1111", Kind.PUBLIC),
        ("64:ff9b::808:808", Kind.PUBLIC),
        ("127.0.0.1", Kind.LOOPBACK),
        ("127.255.0.9", Kind.LOOPBACK),
        ("::1", Kind.LOOPBACK),
        ("::ffff:127.0.0.1", Kind.LOOPBACK),
        ("64:ff9b::7f00:1", Kind.LOOPBACK),
        ("10.1.2.3", Kind.PRIVATE),
        ("172.16.0.1", Kind.PRIVATE),
        ("192.168.1.1", Kind.PRIVATE),
        ("100.64.0.1", Kind.PRIVATE),
        ("fd12::1", Kind.PRIVATE),
        ("fec0::1", Kind.PRIVATE),
        ("::ffff:10.0.0.1", Kind.PRIVATE),
        ("169.254.169.254", Kind.METADATA),
        ("::ffff:169.254.169.254", Kind.METADATA),
        ("64:ff9b::a9fe:a9fe", Kind.METADATA),
        ("fd00:ec2::254", Kind.METADATA),
        ("168.63.129.16", Kind.METADATA),
        ("100.100.100.200", Kind.METADATA),
        ("169.254.0.1", Kind.LINK_LOCAL),
        ("fe80::1", Kind.LINK_LOCAL),
        ("fe80::1%eth0", Kind.LINK_LOCAL),
        ("224.0.0.1", Kind.MULTICAST),
        ("ff02::1", Kind.MULTICAST),
        ("0.0.0.0", Kind.UNSPECIFIED),
        ("::", Kind.UNSPECIFIED),
        ("0.1.2.3", Kind.RESERVED),
        ("240.0.0.1", Kind.RESERVED),
        ("255.255.255.255", Kind.RESERVED),
        ("198.18.0.1", Kind.RESERVED),
        ("2002:7f00:1::", Kind.RESERVED),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Kind.RESERVED),
        ("::7f00:1", Kind.RESERVED),
        ("2606:4700::5efe:7f00:1", Kind.RESERVED),
    ],
)
def test_an_address_has_a_kind(address: str, kind: Kind) -> None:
    assert judge(ipaddress.ip_address(address)) is kind


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "017700000001",
        "127.0.0.01",
        "1.2.3.4.5",
        "0x",
        "a.1",
    ],
)
def test_other_spellings_of_an_address_are_refused(host: str) -> None:
    with pytest.raises(EgressRefused, match="not a valid form"):
        literal(host)


def test_names_and_addresses_are_told_apart() -> None:
    assert literal("example.com") is None
    assert literal("1password.com") is None
    assert literal("[::1]") == ipaddress.ip_address("::1")
    assert literal("10.0.0.1") == ipaddress.ip_address("10.0.0.1")


def allows(policy: EgressPolicy, host: str, address: str, *, trusted: bool = False) -> bool:
    guard = AddressGuard(policy, trusted=trusted)
    try:
        guard.check_target(host, 443)
        guard.check_address(host, ipaddress.ip_address(address))
    except EgressRefused:
        return False
    return True


def test_nothing_private_is_open_unless_the_policy_says_so() -> None:
    closed = EgressPolicy()
    assert allows(closed, "example.com", "93.184.216.34")
    assert not allows(closed, "localhost", "127.0.0.1")
    assert not allows(closed, "intern", "10.0.0.1")


def test_private_networks_opened_leave_metadata_closed() -> None:
    policy = EgressPolicy(allow_private_networks=True)
    assert allows(policy, "localhost", "127.0.0.1")
    assert allows(policy, "intern", "10.0.0.1")
    for address in ("169.254.169.254", "169.254.9.9", "0.0.0.0", "224.0.0.1", "fd00:ec2::254", "240.0.0.1"):
        assert not allows(policy, "intern", address)


def test_allowed_hosts_are_globs_addresses_and_networks() -> None:
    policy = EgressPolicy(allowed_hosts=["*.intern.example", "10.1.0.0/16", "169.254.169.254"])
    assert allows(policy, "Wiki.Intern.Example.", "192.168.0.1")
    assert not allows(policy, "wiki.intern.example", "169.254.0.1")
    assert not allows(policy, "example", "192.168.0.1")
    assert allows(policy, "10.1.2.3", "10.1.2.3")
    assert allows(policy, "any", "::ffff:10.1.2.3")
    assert not allows(policy, "any", "10.2.0.1")
    assert allows(policy, "any", "169.254.169.254")


def test_blocked_hosts_are_closed_to_the_operator_too() -> None:
    policy = EgressPolicy(blocked_hosts=["*.evil.example", "203.0.114.0/24"], allowed_hosts=["www.evil.example"])
    assert not allows(policy, "www.evil.example", "93.184.216.34", trusted=True)
    assert not allows(policy, "fine.example", "203.0.114.7", trusted=True)
    assert allows(policy, "fine.example", "10.0.0.1", trusted=True)


def test_ports_can_be_restricted() -> None:
    guard = AddressGuard(EgressPolicy(allowed_ports=[443]))
    guard.check_target("example.com", 443)
    with pytest.raises(EgressRefused, match=r"server\.egress\.allowed_ports"):
        guard.check_target("example.com", 6379)


def test_the_config_is_the_policy() -> None:
    config = EgressConfig(allowed_hosts=["*.local"], allow_private_networks=True)
    policy = EgressPolicy(**config.model_dump())
    assert policy.allowed_hosts == ["*.local"]
    assert EgressPolicy(**EgressConfig().model_dump()) == EgressPolicy(
        allowed_hosts=[], blocked_hosts=[], allowed_ports=[]
    )


@pytest.mark.parametrize("bad", [{"allowed_hosts": ["10.0.0.0/99"]}, {"allowed_ports": [0]}, {"redirects_max": 99}])
def test_a_wrong_config_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EgressConfig.model_validate(bad)

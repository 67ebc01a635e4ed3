# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What users want of their containers' ports: by the network's options and by the container's own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from kuryr_libnetwork.errors import InvalidOption
from kuryr_libnetwork.model.neutron import QosPolicy, SecurityGroup
from kuryr_libnetwork.model.records import PoolSize, PortSettings
from kuryr_libnetwork.rules import port_options as rules
from kuryr_libnetwork.rules.ownership import OwnProject
from kuryr_libnetwork.rules.port_options import DNS_DOMAIN, PORT_SECURITY, PORT_UUID, QOS_POLICY, SECURITY_GROUPS
from tests.unit.values import LEASE, PORT_ID, RECORD, own_pool, uuids

ONE, TWO = "11111111-2222-4333-8444-555555555555", "22222222-2222-4333-8444-555555555555"
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?", fullmatch=True)
domains = st.lists(labels, min_size=1, max_size=3).map(lambda names: ".".join(names) + ".") | st.just("x" * 45 + ".")
settings = st.builds(
    PortSettings,
    security_groups=st.none() | st.lists(uuids, unique=True, max_size=3).map(sorted).map(tuple),
    qos_policy=st.none() | st.just("") | uuids,
    port_security=st.none() | st.booleans(),
    dns_domain=st.none() | st.just("") | domains,
)


def refusal(options: dict[str, Any]) -> str:
    with pytest.raises(InvalidOption) as caught:
        rules.parse_port_options(options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, PortSettings()),
        ({SECURITY_GROUPS: None, QOS_POLICY: None, "neutron.net.name": "x"}, PortSettings()),
        ({SECURITY_GROUPS: "web, db,web"}, PortSettings(security_groups=("web", "db"))),
        ({SECURITY_GROUPS: ONE.upper()}, PortSettings(security_groups=(ONE,))),
        ({SECURITY_GROUPS: "None"}, PortSettings(security_groups=())),
        ({SECURITY_GROUPS: ""}, PortSettings(security_groups=())),
        ({QOS_POLICY: "gold"}, PortSettings(qos_policy="gold")),
        ({QOS_POLICY: ONE.replace("-", "")}, PortSettings(qos_policy=ONE)),
        ({QOS_POLICY: "none"}, PortSettings(qos_policy="")),
        ({PORT_SECURITY: "Off", SECURITY_GROUPS: "none"}, PortSettings(port_security=False, security_groups=())),
        ({PORT_SECURITY: True}, PortSettings(port_security=True)),
        ({DNS_DOMAIN: "Example.org"}, PortSettings(dns_domain="example.org.")),
        ({DNS_DOMAIN: "example.org."}, PortSettings(dns_domain="example.org.")),
        ({DNS_DOMAIN: "none"}, PortSettings(dns_domain="")),
    ],
)
def test_what_is_said(options: dict[str, Any], said: PortSettings) -> None:
    """An option would mean something else than its words, or an id in another spelling not be found."""
    assert rules.parse_port_options(options) == said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({SECURITY_GROUPS: "web,,db"}, "option neutron.security_groups=web,,db: must be names or ids with commas"),
        ({SECURITY_GROUPS: ","}, "must be names or ids with commas between, or none"),
        ({PORT_SECURITY: "maybe"}, "option neutron.port_security=maybe: must be true or false"),
        ({PORT_SECURITY: "false", SECURITY_GROUPS: "web"}, "=web: contradicts neutron.port_security=false"),
        ({DNS_DOMAIN: "a b"}, "option neutron.dns_domain=a b: must be a DNS domain"),
        ({DNS_DOMAIN: "-x.org"}, "must be a DNS domain such as example.org, at most 45 characters"),
        ({DNS_DOMAIN: "x." * 24 + "org"}, "must be a DNS domain"),
    ],
)
def test_what_cannot_be_meant(options: dict[str, Any], words: str) -> None:
    """A slip would open a container to everybody, or end in Neutron's words without the option's name."""
    assert words in refusal(options)


def test_a_cloud_without_the_extension_is_named() -> None:
    """Neutron may ignore what it does not know, and let anybody in."""
    said = PortSettings(security_groups=("web",), port_security=True, dns_domain="x.", qos_policy="gold")
    assert rules.keys_of(said) == [SECURITY_GROUPS, QOS_POLICY, PORT_SECURITY, DNS_DOMAIN]
    rules.refuse_missing(said, frozenset(rules.EXTENSIONS.values()))
    rules.refuse_missing(PortSettings(), frozenset())
    for key, extension in rules.EXTENSIONS.items():
        with pytest.raises(InvalidOption, match=f"^option {key}=.*no extension {extension}$"):
            rules.refuse_missing(said, frozenset(rules.EXTENSIONS.values()) - {extension})
    with pytest.raises(InvalidOption, match=r"neutron\.security_groups=none: this cloud"):
        rules.refuse_missing(PortSettings(security_groups=()), frozenset())


OWN, OWNER, THIRD = "11111111", "22222222", "33333333"


def named(name: str, *found: tuple[str, str], own: str = OWN, owner: str = OWNER) -> str:
    groups = [SecurityGroup(id=uuid, name=name, project_id=project) for uuid, project in found]
    return rules.group_named(name, groups, OwnProject(id=own), owner)


def test_a_name_means_one_group() -> None:
    """A container would get the group of somebody else that has the same name."""
    for name in ("web", "default", "Default"):
        assert named(name, (ONE, OWN)) == named(name, (ONE, OWNER)) == ONE
        assert named(name, (ONE, OWN), (TWO, THIRD)) == named(name, (ONE, OWNER), (TWO, THIRD)) == ONE
        assert named(name, (ONE, OWN), (TWO, OWNER), owner="") == ONE
        with pytest.raises(InvalidOption, match="no such security group"):
            named(name, (ONE, THIRD))
    assert named("web", (TWO, OWNER), (ONE, OWN)) == named("Default", (TWO, OWNER), (ONE, OWN)) == ONE
    assert named("default", (TWO, OWNER), (ONE, OWN)) == TWO
    both = [SecurityGroup(id=uuid, name=name, project_id=OWN) for uuid, name in ((TWO, "WEB"), (ONE, "web"))]
    assert rules.group_named("web", both, OwnProject(id=OWN), OWNER) == ONE


def test_a_name_of_a_group_without_projects() -> None:
    """On a cloud without Keystone there is nobody else."""
    assert named("web", (ONE, THIRD), own="", owner="") == ONE
    assert named("default", (ONE, OWN), (TWO, OWNER), own="") == TWO


def test_a_name_that_means_none_or_several() -> None:
    """The user would not know which group, whose, or how to name it."""
    for found in (((ONE, OWN), (TWO, OWN)), ((ONE, OWNER), (TWO, OWNER))):
        with pytest.raises(InvalidOption, match=f"Neutron has 2 of this name .{ONE}, {TWO}.; give the id of the sec"):
            named("web", *found)
    for owner in ("", OWN):
        with pytest.raises(InvalidOption) as unknown:
            named("web", owner=owner)
        words = "no such security group in the service's own project; one of another project is named by its id"
        assert str(unknown.value) == f"option {SECURITY_GROUPS}=web: {words}"
    with pytest.raises(InvalidOption, match=f"nor in project {OWNER} of the Neutron network"):
        named("web")


def test_a_name_means_one_policy() -> None:
    """The operator's policy would be ambiguous, or another one, as soon as a tenant gives his own that name."""

    def meant(*found: tuple[str, str, bool], owner: str = OWNER) -> str:
        policies = [QosPolicy(id=uuid, project_id=project, shared=shared) for uuid, project, shared in found]
        return rules.policy_named("gold", policies, OwnProject(id=OWN), owner)

    assert meant((TWO, THIRD, True), (ONE, OWN, False)) == ONE
    assert meant((TWO, THIRD, False), (ONE, THIRD, True)) == ONE
    assert meant((TWO, THIRD, False), (ONE, OWNER, False)) == ONE
    with pytest.raises(
        InvalidOption, match=r"neutron\.qos_policy=gold: no such QoS policy in the service's own project"
    ):
        meant((TWO, OWNER, False), owner="")
    assert meant((TWO, OWNER, False), (ONE, THIRD, True)) == ONE
    with pytest.raises(InvalidOption, match="Neutron has 2 of this name"):
        meant((ONE, THIRD, True), (TWO, OWNER, True))


def test_an_id_has_to_be_there() -> None:
    """A network would be made whose containers cannot start."""
    assert rules.group_with_id(ONE, [TWO, ONE]) == rules.policy_with_id(ONE, [ONE]) == ONE
    with pytest.raises(InvalidOption, match=f"groups={ONE}: no such security group in Neutron, or not visible"):
        rules.group_with_id(ONE, [])
    with pytest.raises(InvalidOption, match=f"policy={ONE}: no such QoS policy in Neutron, or not visible"):
        rules.policy_with_id(ONE, [])
    assert rules.is_id(ONE)
    assert not rules.is_id("web")


@pytest.mark.parametrize(
    ("said", "attributes"),
    [
        (PortSettings(), {}),
        (PortSettings(security_groups=(ONE,)), {"security_groups": [ONE]}),
        (PortSettings(security_groups=()), {"security_groups": []}),
        (PortSettings(port_security=False), {"security_groups": [], "port_security_enabled": False}),
        (PortSettings(port_security=True), {"port_security_enabled": True}),
        (PortSettings(qos_policy=""), {"qos_policy_id": None}),
        (PortSettings(qos_policy=ONE, dns_domain="x."), {"qos_policy_id": ONE, "dns_domain": "x."}),
        (PortSettings(dns_domain=""), {"dns_domain": ""}),
    ],
)
def test_what_neutron_is_told(said: PortSettings, attributes: dict[str, Any]) -> None:
    """Neutron would refuse the port, or keep what it was to lose."""
    assert rules.attributes_of(said) == attributes


def test_a_containers_word_against_its_port() -> None:
    """Neutron's words would not name the option; or a container be started that nobody can reach."""
    open_port = replace(LEASE, port_security=False)
    with pytest.raises(
        InvalidOption, match=r"security_groups=a,b: the port has no port security.*add neutron.port_sec"
    ):
        rules.refuse_contradictions(PortSettings(security_groups=("a", "b")), open_port)
    with pytest.raises(
        InvalidOption, match=r"port_security=true: the port has no security groups.*add neutron.security"
    ):
        rules.refuse_contradictions(PortSettings(port_security=True), open_port)
    for said in (
        PortSettings(),
        PortSettings(security_groups=()),
        PortSettings(port_security=False),
        PortSettings(port_security=True, security_groups=("a",)),
    ):
        rules.refuse_contradictions(said, open_port)
    rules.refuse_contradictions(PortSettings(security_groups=("a",)), LEASE)
    rules.refuse_contradictions(PortSettings(port_security=True), LEASE)


def test_what_neutron_cannot_find_is_told_by_the_option() -> None:
    """The user would read an id of which he does not know where it came from."""
    attributes = rules.attributes_of(PortSettings(security_groups=(ONE,), qos_policy=TWO))
    wrong = rules.missing(attributes, f"Neutron refused PUT: Security group {ONE} does not exist")
    assert str(wrong).startswith(f"option neutron.security_groups={ONE}: no such security group")
    assert str(rules.missing(attributes, f"QoS policy {TWO} could not be found.")).startswith(
        "option neutron.qos_policy"
    )
    assert rules.missing(attributes, f"Port {PORT_ID} could not be found.") is None
    assert rules.missing({}, "x") is None


@pytest.mark.parametrize(("policy", "shown"), [(ONE, ONE), (None, "none")])
def test_what_only_administrators_may_change_is_told_by_the_option(policy: str | None, shown: str) -> None:
    """The user would read that a policy of Neutron's forbids something, and not which of his options."""
    with pytest.raises(InvalidOption) as caught:
        rules.refuse_admins({"security_groups": [], "qos_policy_id": policy}, PORT_ID, "disallowed by policy")
    assert str(caught.value) == (
        f"option neutron.qos_policy={shown}: port {PORT_ID} belongs to another project, and only the role admin may "
        "set the QoS policy of such a port; leave the option out, have the port's owner set it, or give the service's "
        "user that role (disallowed by policy)"
    )
    rules.refuse_admins({"security_groups": [ONE], "binding:host_id": "h"}, PORT_ID, "disallowed by policy")


def test_a_domain_that_neutron_ignores() -> None:
    """Names would not be published, and nobody told."""
    with pytest.raises(
        InvalidOption, match=r"neutron\.dns_domain=x.: Neutron ignored it; ML2 needs .* dns_domain_ports"
    ):
        rules.refuse_ignored({"dns_domain": "x."}, None)
    rules.refuse_ignored({"dns_domain": "x."}, "x.")
    rules.refuse_ignored({"dns_domain": ""}, None)
    rules.refuse_ignored({}, "y.")


def test_what_is_opened_besides_is_added_to_the_containers_groups() -> None:
    """Exposed ports would be opened on the groups that the port had before, and the container's be lost."""
    attributes = rules.attributes_of(PortSettings(security_groups=(ONE,), port_security=True))
    lease = rules.effective(replace(LEASE, security_groups=(TWO,), port_security=False), attributes)
    assert (lease.security_groups, lease.port_security) == ((ONE,), True)
    assert rules.effective(lease, {}) == lease


# -- one port for one container ------------------------------------------------------------------------------------


def test_a_port_is_named_by_its_uuid() -> None:
    """A slip would be taken for no wish at all."""
    assert rules.parse_port_uuid({}) == rules.parse_port_uuid({PORT_UUID: ""}) == ""
    assert rules.parse_port_uuid({PORT_UUID: f" {PORT_ID.upper()}"}) == PORT_ID
    with pytest.raises(InvalidOption, match=r"neutron\.port.uuid=x: must be the UUID of a Neutron port"):
        rules.parse_port_uuid({PORT_UUID: "x"})


def test_the_port_must_be_that_of_the_address() -> None:
    """The container would get the address of one port, and be said to have another one."""
    rules.refuse_other_port("", LEASE, [])
    rules.refuse_other_port(PORT_ID, LEASE, [])
    with pytest.raises(InvalidOption) as caught:
        rules.refuse_other_port(ONE, LEASE, ["10.0.0.9", "2001:db8::9"])
    assert str(caught.value) == (
        f"option neutron.port.uuid={ONE}: Docker has chosen address 10.0.0.5 before it told this option, and the port "
        "has 10.0.0.9, 2001:db8::9; add --ip 10.0.0.9 --ip6 2001:db8::9"
    )
    with pytest.raises(InvalidOption, match="has no address here, or does not exist; name a port of this network"):
        rules.refuse_other_port(ONE, LEASE, [])


# -- remembered in Neutron -----------------------------------------------------------------------------------------


@given(
    settings,
    st.sampled_from(["", "direct", "macvtap"]),
    st.sampled_from(["", "eth3", "abcdefghijklmno"]),
    st.sampled_from([0, 1300, 65535]),
    st.sampled_from([0, 5, 1000, "auto"]),
    st.integers(0, 9),
)
def test_a_pool_remembers_what_its_network_says(
    said: PortSettings, vnic_type: str, pf: str, mtu: int, port_pool: PoolSize, first: int
) -> None:
    """Without the journal the containers of a network would get other groups than it was made for."""
    record = replace(RECORD, ports=said, vnic_type=vnic_type, pf=pf, asked_mtu=mtu, port_pool=port_pool)
    tags = rules.option_tags(record)
    assert rules.with_remembered(RECORD, [own_pool(tags=("keep", *reversed(tags)))]) == record
    apart = [own_pool(tags=tags[first:]), own_pool(tags=("keep", *tags[:first])), own_pool()]
    assert rules.with_remembered(RECORD, apart) == record
    assert all(len(tag) <= 60 for tag in tags)
    assert len(tags) == len(set(tags))


def test_a_network_without_a_pool_has_said_nothing() -> None:
    """The containers of a network that upstream made would get options that nobody gave."""
    said = replace(RECORD, ports=PortSettings(qos_policy=ONE), vnic_type="direct", pf="eth3")
    for pools in ([], [own_pool()], [own_pool(tags=("kuryr.optimal:x=y", "kuryr.range:10.0.0.0/25"))]):
        assert rules.with_remembered(said, pools) == RECORD


def test_an_ordinary_network_needs_no_memory() -> None:
    """Every docker network create would cost one more call."""
    assert rules.option_tags(RECORD) == ()

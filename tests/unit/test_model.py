# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Reading what Neutron shows, and keeping what the journal holds."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, strategies as st

from kuryr_libnetwork.model import neutron, records, value
from kuryr_libnetwork.model.neutron import Agent, FixedIp, HostRoute, Network, Port, Subnet, SubnetPool
from tests.unit.values import DUAL, ENDPOINT, IP, IP6, LEASE, NET, PLUG, POOL, POOL_ID, PORT, PORT_ID, SUBNET_ID

COMMON = {
    "project_id": "b7c1",
    "tenant_id": "b7c1",
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:00:00Z",
    "revision_number": 3,
    "tags": ["web"],
}
PORT_SEEN: dict[str, Any] = COMMON | {
    "id": PORT_ID,
    "name": "",
    "network_id": NET,
    "mac_address": "fa:16:3e:11:22:33",
    "admin_state_up": True,
    "status": "DOWN",
    "device_id": "",
    "device_owner": "",
    "fixed_ips": [{"subnet_id": SUBNET_ID, "ip_address": "10.0.0.5"}],
    "allowed_address_pairs": [],
    "extra_dhcp_opts": [],
    "security_groups": ["d1"],
    "description": None,
    "port_security_enabled": True,
    "qos_policy_id": None,
    "resource_request": None,
}
BINDING_SEEN = {
    "binding:vnic_type": "normal",
    "binding:profile": {"os_vif_delegation": True},
    "binding:host_id": "compute-1",
    "binding:vif_type": "ovs",
    "binding:vif_details": {"port_filter": True, "bridge_name": "br-int", "ovs_hybrid_plug": False},
}
NETWORK_SEEN = COMMON | {
    "id": NET,
    "name": "private",
    "admin_state_up": True,
    "status": "ACTIVE",
    "subnets": [SUBNET_ID],
    "shared": False,
    "availability_zone_hints": [],
    "ipv4_address_scope": None,
    "router:external": False,
    "description": None,
    "mtu": 1442,
    "provider:segmentation_id": 7,
}
SUBNET_SEEN = COMMON | {
    "id": SUBNET_ID,
    "name": "",
    "network_id": NET,
    "ip_version": 4,
    "subnetpool_id": None,
    "enable_dhcp": True,
    "ipv6_ra_mode": None,
    "ipv6_address_mode": None,
    "gateway_ip": None,
    "cidr": "10.0.0.0/24",
    "allocation_pools": [{"start": "10.0.0.2", "end": "10.0.0.254"}],
    "host_routes": [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.254"}],
    "dns_nameservers": [],
    "description": None,
}
POOL_SEEN = COMMON | {
    "id": POOL_ID,
    "name": "kuryrPool-10.0.0.0/24",
    "prefixes": ["10.0.0.0/24"],
    "ip_version": 4,
    "default_prefixlen": "24",
    "min_prefixlen": "8",
    "max_prefixlen": "32",
    "shared": False,
    "is_default": False,
    "default_quota": None,
    "address_scope_id": None,
    "description": None,
}
AGENT_SEEN = {
    "id": "a1",
    "agent_type": "OVN Controller agent",
    "binary": "ovn-controller",
    "topic": "n/a",
    "host": "compute-1",
    "admin_state_up": True,
    "alive": True,
    "configurations": {"bridge-mappings": "public:br-ex"},
    "availability_zone": "",
    "resources_synced": None,
}


def test_a_bound_port_is_read() -> None:
    """The driver would not learn the bridge and the kind of the interface: their names hold a colon."""
    port = msgspec.convert(PORT_SEEN | BINDING_SEEN, Port)
    assert (port.host_id, port.vnic_type, port.vif_type) == ("compute-1", "normal", "ovs")
    assert port.vif_details["bridge_name"] == "br-int"
    assert port.profile == {"os_vif_delegation": True}
    assert (port.fixed_ips, port.tags, port.description) == ((IP,), ("web",), None)


def test_a_port_whose_binding_the_role_may_not_see_is_read() -> None:
    """The service would crash for users without the admin role, or take an unknown binding for none."""
    port = msgspec.convert(PORT_SEEN, Port)
    assert port.host_id is None
    assert (port.vnic_type, port.vif_type, port.vif_details, port.profile) == ("normal", "unbound", {}, {})


def test_an_unbound_port_differs_from_an_invisible_one() -> None:
    """A port that is free would be refused as unknown."""
    seen = BINDING_SEEN | {"binding:host_id": "", "binding:vif_type": "unbound", "binding:vif_details": {}}
    assert msgspec.convert(PORT_SEEN | seen, Port).host_id == ""


def test_a_network_is_read() -> None:
    """A network without MTU or tag extension, or with a null description, would stop the service."""
    network = msgspec.convert(NETWORK_SEEN, Network)
    assert (network.mtu, network.subnets, network.tags, network.description) == (1442, (SUBNET_ID,), ("web",), None)
    bare = msgspec.convert({"id": NET}, Network)
    assert (bare.mtu, bare.tags, bare.name) == (None, (), "")


def test_a_subnet_is_read() -> None:
    """A subnet without gateway or pool would stop the service."""
    subnet = msgspec.convert(SUBNET_SEEN, Subnet)
    assert (subnet.gateway_ip, subnet.subnetpool_id, subnet.ipv6_address_mode) == (None, None, None)
    assert subnet.host_routes == (HostRoute(destination="10.9.0.0/16", nexthop="10.0.0.254"),)
    with pytest.raises(msgspec.ValidationError, match="ip_version"):
        msgspec.convert(SUBNET_SEEN | {"ip_version": 5}, Subnet)


def test_a_subnetpool_is_read() -> None:
    """The pool of a CIDR would not be found again."""
    pool = msgspec.convert(POOL_SEEN, SubnetPool)
    assert (pool.prefixes, pool.shared, pool.ip_version) == (("10.0.0.0/24",), False, 4)


def test_an_agent_is_read() -> None:
    """The cause of a failed binding would not be found."""
    agent = msgspec.convert(AGENT_SEEN, Agent)
    assert (agent.agent_type, agent.alive, agent.configurations["bridge-mappings"]) == (
        "OVN Controller agent",
        True,
        "public:br-ex",
    )


@pytest.mark.parametrize("missing", ["id", "network_id"])
def test_half_a_port_is_an_error(missing: str) -> None:
    """A broken answer of Neutron would become a port without id."""
    with pytest.raises(msgspec.ValidationError, match=missing):
        msgspec.convert({key: value for key, value in PORT_SEEN.items() if key != missing}, Port)


ID, CIDR, ADDRESS = "a/b", "10.0.0.0", "10.0.0.256"


@pytest.mark.parametrize(
    ("kind", "seen", "name", "wrong"),
    [
        *(
            (Port, PORT_SEEN, "id", wrong)
            for wrong in ("", "..", "../x", "a?b", "a b", "a\n", "a\0", "x" * 65, "caf\xe9")
        ),
        *((Port, PORT_SEEN, name, ID) for name in ("network_id", "project_id", "qos_policy_id")),
        *((Port, PORT_SEEN, "security_groups", [wrong]) for wrong in (ID, "")),
        *((Port, PORT_SEEN, "mac_address", wrong) for wrong in ("fa:16:3e:11:22", "fa:16:3e:11:22:33\n", "../x")),
        *((Port, PORT_SEEN, "revision_number", wrong) for wrong in (-1, 2**63, 10**400, "1", 1.5)),
        *(
            (Port, PORT_SEEN, "fixed_ips", [{"subnet_id": "s", "ip_address": wrong}])
            for wrong in ("", ADDRESS, "10.0.0.5/24", "fe80::1%eth0", "10.0.0.5\n")
        ),
        (Port, PORT_SEEN, "fixed_ips", [{"subnet_id": ID, "ip_address": "10.0.0.5"}]),
        *(
            (Port, PORT_SEEN, "allowed_address_pairs", [{"ip_address": ip, "mac_address": mac}])
            for ip, mac in (("x", ""), ("10.0.0.5/33", ""), ("10.0.0.5/", ""), ("10.0.0.5", "x"), ("10.0.0.256/24", ""))
        ),
        *((Network, NETWORK_SEEN, "mtu", wrong) for wrong in (-1, 2**31, 10**400)),
        (Network, NETWORK_SEEN, "subnets", [ID]),
        *((Subnet, SUBNET_SEEN, "cidr", wrong) for wrong in (CIDR + "/33", "10.0.0.7/24", "fd00::/64", "", "x")),
        *((Subnet, SUBNET_SEEN, "gateway_ip", wrong) for wrong in (ADDRESS, "10.0.0.1/24")),
        (Subnet, SUBNET_SEEN, "allocation_pools", [{"start": ADDRESS, "end": "10.0.0.9"}]),
        *(
            (Subnet, SUBNET_SEEN, "host_routes", [{"destination": destination, "nexthop": hop}])
            for destination, hop in (("x", "10.0.0.9"), ("10.9.0.0/16", ADDRESS))
        ),
        *((SubnetPool, POOL_SEEN, "prefixes", [wrong]) for wrong in ("fd00::/64", "x", "")),
        *((SubnetPool, POOL_SEEN, "default_prefixlen", wrong) for wrong in (-1, 129, "", "x", "9999", 10**400)),
    ],
)
def test_what_is_no_id_address_cidr_mac_or_number_is_an_error(
    kind: type[value.Value], seen: dict[str, Any], name: str, wrong: Any
) -> None:
    """It would get into the path of a request, to the kernel or to Docker, or end a thread where it is counted with."""
    msgspec.convert(seen, kind)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(seen | {name: wrong}, kind)


def test_a_port_of_neutrons_own_is_of_no_project() -> None:
    """One port of a router would hide all others from the service."""
    assert msgspec.convert(PORT_SEEN | {"project_id": ""}, Port).project_id == ""


def test_two_ports_share_no_details() -> None:
    """What is written into one port's details would show up in all others."""
    first, second = (msgspec.convert(PORT_SEEN, Port) for _ in range(2))
    assert first.vif_details is not second.vif_details
    assert Agent(id="1", agent_type="x", host="h", alive=True).configurations == {}


# -- journal -----------------------------------------------------------------------------------------------------

change = records.Change(name="security_groups", before=["wéb"], ours=[])
original = msgspec.structs.replace(
    PORT, name="wéb", tags=("blue",), fixed_ips=(IP,), profile={"pci_slot": "0000:07:00.2"}
)
route = HostRoute(destination="10.9.0.0/16", nexthop="10.0.0.254")
FULL: list[value.Value] = [
    msgspec.structs.replace(POOL, gateway="10.0.0.1", gateway_chosen=True, reserved=("10.0.0.9",), created_at=1.5),
    msgspec.structs.replace(
        DUAL,
        subnets=(msgspec.structs.replace(DUAL.subnets[0], host_routes=(route,), gateway_ip=None), DUAL.subnets[1]),
        internal=True,
        fingerprint='{"a":1}',
        options={"k": "v"},
        pools=(POOL_ID,),
        aux_ports=("p",),
        rebuilt=True,
    ),
    msgspec.structs.replace(
        LEASE, spare=(IP6,), original=original, claim="e", changes=(change,), endpoint_id="e", created_at=1767607200.25
    ),
    msgspec.structs.replace(ENDPOINT, options={"k": "v"}, sandbox_key="/var/run/docker/netns/1", mac_requested=True),
    records.IntentRecord(token="t", resource="subnetpools", created_at=1.0),
    PLUG,
]
IDS = st.text("0123456789abcdef-", min_size=1, max_size=8)
ADDRESSES = st.ip_addresses().map(str)
CIDRS = st.sampled_from([(4, "10.0.0.0/24"), (4, "0.0.0.0/0"), (6, "fd00::/64")])
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    neutron.Id: IDS,
    neutron.ProjectId: IDS,
    neutron.Mac: st.sampled_from(["", "fa:16:3e:11:22:33"]),
    neutron.Count: st.integers(0, 2**31 - 1),
    neutron.Revision: st.integers(0, 2**63 - 1),
    neutron.FixedIp: st.builds(FixedIp, subnet_id=IDS, ip_address=ADDRESSES),
    neutron.AddressPair: st.builds(neutron.AddressPair, ip_address=ADDRESSES, mac_address=st.just("fa:16:3e:11:22:33")),
    neutron.HostRoute: st.builds(HostRoute, destination=CIDRS.map(lambda each: each[1]), nexthop=ADDRESSES),
    neutron.Subnet: st.builds(
        lambda subnet_id, cidr, gateway: Subnet(
            id=subnet_id, network_id="n", ip_version=cidr[0], cidr=cidr[1], gateway_ip=gateway
        ),
        IDS,
        CIDRS,
        st.none() | ADDRESSES,
    ),
    str: st.text(max_size=20),
    bool: st.booleans(),
    int: st.integers(0, 2**53),
    float: st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
}
RECORD_TYPES = [
    records.PoolRecord,
    records.SubnetRecord,
    records.NetworkRecord,
    records.Change,
    records.LeaseRecord,
    records.PlugRecord,
    records.EndpointRecord,
    records.IntentRecord,
]


@pytest.mark.parametrize("record", FULL, ids=lambda record: type(record).__name__)
def test_a_full_record_comes_back_from_the_journal(record: value.Value) -> None:
    """After a restart the service would undo something else than it did."""
    assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record


def any_record(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        kind, **{name: any_value(hint) for name, hint in get_type_hints(kind, include_extras=True).items()}
    )


def any_value(hint: Any) -> st.SearchStrategy[Any]:
    if hint is Any:
        return st.text() | st.integers(-9, 9) | st.booleans()
    if hint in SCALARS:
        return SCALARS[hint]
    inner = get_args(hint)
    if get_origin(hint) is Literal:
        return st.sampled_from(inner)
    if get_origin(hint) is tuple:
        return st.lists(any_value(inner[0]), max_size=3).map(tuple)
    if get_origin(hint) is dict:
        return st.dictionaries(any_value(inner[0]), any_value(inner[1]), max_size=3)
    if inner:
        return st.one_of(*map(any_value, inner))
    if issubclass(hint, value.Value):
        return any_record(hint)
    raise TypeError(hint)


@pytest.mark.parametrize("kind", RECORD_TYPES)
@given(data=st.data())
def test_every_record_comes_back_from_the_journal(kind: type[Any], data: st.DataObject) -> None:
    """Some value of some member, such as an empty tuple or a name with quotes, would be lost in a restart."""
    record = data.draw(any_record(kind))
    assert msgspec.json.decode(msgspec.json.encode(record), type=kind) == record


@pytest.mark.parametrize("kind", RECORD_TYPES)
def test_members_of_a_newer_version_are_ignored(kind: type[Any]) -> None:
    """The service could not be taken back to the version before."""
    record = next(each for each in [*FULL, *DUAL.subnets, change] if type(each) is kind)
    newer = msgspec.to_builtins(record) | {"added_later": 1}
    assert msgspec.convert(newer, kind) == msgspec.convert(msgspec.to_builtins(record), kind)


def test_values_do_not_change() -> None:
    """One part of the service would change what another one is looking at, or find no address that is there."""
    with pytest.raises(AttributeError):
        IP.ip_address = "10.0.0.6"  # type: ignore[misc]
    assert FixedIp(subnet_id=SUBNET_ID, ip_address="10.0.0.5") == IP

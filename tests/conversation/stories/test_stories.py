# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a Docker user does, told through the socket, on every engine's order of calls, with Neutron's calls counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kuryr_libnetwork.rules.identity import id_tags
from tests.world.dockerside import Docker, PluginError
from tests.world.plugin import HOST, Plugin

UNUSED_UUID = "11111111-2222-3333-4444-555555555555"


@contextmanager
def at_most(plugin: Plugin, budget: int) -> Iterator[None]:
    """The budget of Neutron calls of one operation (docs/benchmarks.md), without the first look at the extensions."""
    before = len(plugin.neutron.calls)
    yield
    made = [name for name, *_ in plugin.neutron.calls[before:] if name != "extensions"]
    assert len(made) <= budget, made


def test_new_network_container_and_all_gone_again(plugin: Plugin, docker: Docker) -> None:
    """The main job: without it nobody gets a container on Neutron, or something stays behind after it."""
    with at_most(plugin, 7):
        net = docker.network_create("10.1.0.0/24")
    network = plugin.neutron.find_networks(name=f"kuryr-net-{net.network_id[:8]}")[0]
    assert set(id_tags(net.network_id)) <= set(network.tags)
    assert net.pools[0].gateway == "10.1.0.1/24"
    with at_most(plugin, 2):
        box = docker.run(net)
    port = plugin.neutron.find_ports(device_id=box.endpoint_id)[0]
    assert (port.host_id, port.name, port.device_owner) == (HOST, f"{box.endpoint_id}-port", "compute:kuryr")
    assert box.mac == port.mac_address
    assert box.ip == port.fixed_ips[0].ip_address
    assert box.interface == {"SrcName": f"t_c{port.id}"[:14], "DstPrefix": "eth"}
    assert (box.gateway, box.disable_gateway_service) == ("10.1.0.1", True)
    assert [row.port_id for row in plugin.ovs.owned()] == [port.id]
    with at_most(plugin, 1):
        docker.rm(box)
    with at_most(plugin, 4):
        docker.network_rm(net)
    plugin.nothing_left()
    assert plugin.neutron.find_networks(id=network.id) == []
    assert plugin.neutron.find_subnetpools(name="kuryrPool-10.1.0.0/24") == []


def test_existing_network_is_used_and_survives(plugin: Plugin, docker: Docker) -> None:
    """A user's network would be renamed, deleted, or keep our tags after docker network rm."""
    network = plugin.neutron.create_network({"name": "tenant", "admin_state_up": True})
    subnet = plugin.neutron.create_subnet(
        {"network_id": network.id, "cidr": "10.2.0.0/24", "ip_version": 4, "gateway_ip": "10.2.0.254", "name": "s"}
    )
    before = plugin.neutron.find_networks(id=network.id), plugin.neutron.find_subnets(id=subnet.id)
    with at_most(plugin, 8):
        net = docker.network_create("10.2.0.0/24", options={"neutron.net.uuid": network.id})
    assert net.pools[0].gateway == "10.2.0.254/24"
    box = docker.run(net)
    assert box.gateway == "10.2.0.254"
    docker.rm(box)
    with at_most(plugin, 4):
        docker.network_rm(net)
    after = plugin.neutron.find_networks(id=network.id), plugin.neutron.find_subnets(id=subnet.id)
    assert after == before
    plugin.nothing_left()


def test_existing_network_by_name(plugin: Plugin, docker: Docker) -> None:
    """neutron.net.name would not find the network that it names."""
    network = plugin.neutron.create_network({"name": "by-name"})
    net = docker.network_create("10.2.0.0/24", options={"neutron.net.name": "by-name"})
    assert plugin.journal.networks.all()[0].neutron_id == network.id
    docker.network_rm(net)
    assert plugin.neutron.find_networks(id=network.id)
    assert plugin.neutron.find_subnets(network_id=network.id) == []


def test_dual_stack_is_one_port(plugin: Plugin, docker: Docker) -> None:
    """A dual-stack container would need two ports, or fail as with upstream (docs/compatibility.md, B2)."""
    with at_most(plugin, 12):
        net = docker.network_create("10.3.0.0/24", subnet_v6="fd00:3::/64")
    with at_most(plugin, 2):
        box = docker.run(net)
    ports = plugin.neutron.find_ports(device_id=box.endpoint_id)
    assert len(ports) == 1
    assert {ip.ip_address for ip in ports[0].fixed_ips} == {box.ip, box.ip6}
    assert (box.gateway, box.gateway_v6) == ("10.3.0.1", "fd00:3::1")
    with at_most(plugin, 1):
        docker.rm(box)
    docker.network_rm(net)
    plugin.nothing_left()


def test_dual_stack_with_both_addresses_chosen(plugin: Plugin, docker: Docker) -> None:
    """--ip6 would be ignored, or end in a second port."""
    net = docker.network_create("10.3.0.0/24", subnet_v6="fd00:3::/64")
    box = docker.run(net, ip="10.3.0.77", ip6="fd00:3::77")
    port = plugin.neutron.find_ports(device_id=box.endpoint_id)[0]
    assert {ip.ip_address for ip in port.fixed_ips} == {"10.3.0.77", "fd00:3::77"}
    docker.rm(box)
    docker.network_rm(net)
    plugin.nothing_left()


@pytest.mark.parametrize("docker", [28, 29], indirect=True)
def test_ipv6_only(plugin: Plugin, docker: Docker) -> None:
    """A network without IPv4 (Docker 28 and later) would be refused or get an IPv4 gateway."""
    net = docker.network_create(ipv4=False, subnet_v6="fd00:4::/64")
    with at_most(plugin, 2):
        box = docker.run(net)
    assert (box.ip, box.gateway) == ("", "")
    assert box.ip6.startswith("fd00:4::")
    assert box.gateway_v6 == "fd00:4::1"
    docker.rm(box)
    docker.network_rm(net)
    plugin.nothing_left()


def test_mac_address_of_the_user(plugin: Plugin, docker: Docker) -> None:
    """--mac-address would not reach Neutron, whose anti-spoofing then drops the container's packets."""
    net = docker.network_create()
    with at_most(plugin, 3):
        box = docker.run(net, mac="02:42:AC:11:00:02")
    assert plugin.neutron.find_ports(device_id=box.endpoint_id)[0].mac_address == "02:42:ac:11:00:02"
    docker.rm(box)
    docker.network_rm(net)
    plugin.nothing_left()


def test_adopting_a_port_by_its_address(plugin: Plugin, docker: Docker) -> None:
    """A port made beforehand would be ignored, deleted with the container, or given back changed."""
    network = plugin.neutron.create_network({"name": "tenant"})
    subnet = plugin.neutron.create_subnet({"network_id": network.id, "cidr": "10.5.0.0/24", "ip_version": 4})
    mine = plugin.neutron.create_port(
        {"network_id": network.id, "name": "mine", "fixed_ips": [{"subnet_id": subnet.id, "ip_address": "10.5.0.9"}]}
    )
    plugin.neutron.add_tags("ports", mine.id, ["keep-me"])
    before = plugin.neutron.find_ports(id=mine.id)[0]
    net = docker.network_create("10.5.0.0/24", options={"neutron.net.uuid": network.id})
    with at_most(plugin, 4):
        box = docker.run(net, ip="10.5.0.9")
    plugin.services.reconciler.round()
    adopted = plugin.neutron.find_ports(id=mine.id)[0]
    assert (box.ip, box.mac) == ("10.5.0.9", mine.mac_address)
    assert (adopted.host_id, adopted.name, adopted.device_id) == (HOST, "mine", box.endpoint_id)
    assert adopted.tags == ("keep-me",)
    with at_most(plugin, 1):
        docker.rm(box)
    after = plugin.neutron.find_ports(id=mine.id)[0]
    assert (after.name, after.device_id, after.device_owner, after.host_id) == ("mine", "", "", "")
    assert (after.tags, after.mac_address, after.fixed_ips) == (before.tags, before.mac_address, before.fixed_ips)
    docker.network_rm(net)
    plugin.nothing_left()


@pytest.mark.parametrize(
    ("attributes", "owner"),
    [
        (
            {"binding:host_id": "other", "device_owner": "compute:nova", "device_id": "vm-1"},
            "compute:nova (device vm-1)",
        ),
        ({"device_owner": "network:router_interface", "device_id": "router-1"}, "network:router_interface"),
        ({"device_owner": "compute:nova", "device_id": "vm-2"}, "compute:nova (device vm-2)"),
    ],
)
def test_a_port_in_use_is_not_taken(plugin: Plugin, attributes: dict[str, str], owner: str) -> None:
    """--ip would steal the port of a virtual machine or a router (docs/compatibility.md, B5)."""
    network = plugin.neutron.create_network({"name": "tenant"})
    subnet = plugin.neutron.create_subnet({"network_id": network.id, "cidr": "10.5.0.0/24", "ip_version": 4})
    fixed = {"subnet_id": subnet.id, "ip_address": "10.5.0.9"}
    port = plugin.neutron.create_port({"network_id": network.id, "fixed_ips": [fixed]} | attributes)
    before = plugin.neutron.find_ports(id=port.id)
    docker = plugin.docker()
    net = docker.network_create("10.5.0.0/24", options={"neutron.net.uuid": network.id})
    with pytest.raises(PluginError, match=port.id) as caught:
        docker.run(net, ip="10.5.0.9")
    assert owner in caught.value.message
    assert plugin.neutron.find_ports(id=port.id) == before
    docker.network_rm(net)
    plugin.nothing_left()


def test_internal_network_has_no_way_out(plugin: Plugin, docker: Docker) -> None:
    """--internal is not enforced by Docker for remote drivers: containers would get a default route."""
    net = docker.network_create(internal=True)
    box = docker.run(net)
    assert (box.gateway, box.routes, box.disable_gateway_service) == ("", [], True)
    docker.rm(box)
    docker.network_rm(net)
    plugin.nothing_left()


def test_host_routes_reach_the_container(plugin: Plugin, docker: Docker) -> None:
    """Host routes of the subnet would be missing in the container, or a second default route would stop it."""
    network = plugin.neutron.create_network({"name": "tenant"})
    routes = [
        {"destination": "192.0.2.0/24", "nexthop": "10.5.0.7"},
        {"destination": "0.0.0.0/0", "nexthop": "10.5.0.8"},
    ]
    plugin.neutron.create_subnet(
        {"network_id": network.id, "cidr": "10.5.0.0/24", "ip_version": 4, "host_routes": routes}
    )
    net = docker.network_create("10.5.0.0/24", options={"neutron.net.uuid": network.id})
    box = docker.run(net)
    assert box.routes == [{"Destination": "192.0.2.0/24", "RouteType": 0, "NextHop": "10.5.0.7"}]
    docker.rm(box)
    docker.network_rm(net)


def test_a_default_route_without_gateway_is_the_gateway(plugin: Plugin, docker: Docker) -> None:
    """No container would start: Docker 28 takes the route for a default route, and finds no gateway."""
    network = plugin.neutron.create_network({"name": "tenant"})
    routes = [{"destination": "0.0.0.0/0", "nexthop": "10.5.0.8"}]
    asked = {"network_id": network.id, "cidr": "10.5.0.0/24", "ip_version": 4, "gateway_ip": None}
    plugin.neutron.create_subnet(asked | {"host_routes": routes})
    net = docker.network_create("10.5.0.0/24", options={"neutron.net.uuid": network.id})
    box = docker.run(net)
    assert (box.gateway, box.routes) == ("10.5.0.8", [])
    docker.rm(box)
    docker.network_rm(net)


def test_auxiliary_address_is_not_given_to_a_container(plugin: Plugin, docker: Docker) -> None:
    """--aux-address would fail (upstream) or be handed to a container as well."""
    net = docker.network_create("10.6.0.0/29", aux={"printer": "10.6.0.2"})
    boxes = [docker.run(net) for _ in range(3)]
    assert "10.6.0.2" not in {box.ip for box in boxes}
    for box in boxes:
        docker.rm(box)
    docker.network_rm(net)
    plugin.nothing_left()


def test_container_name_becomes_the_dns_name(plugin: Plugin) -> None:
    """Names of containers would not resolve on the Neutron network, though engines from 29 tell them."""
    docker = plugin.docker(29)
    net = docker.network_create()
    box = docker.run(net, name="Web_1")
    created = next(args for name, *args in reversed(plugin.neutron.calls) if name == "create_port")
    assert "web-1" in str(created)
    docker.rm(box)


def test_gateway_contradicting_the_subnet_is_refused(plugin: Plugin) -> None:
    """Docker would be told a wrong --gateway, which never works."""
    network = plugin.neutron.create_network({"name": "tenant"})
    plugin.neutron.create_subnet({"network_id": network.id, "cidr": "10.5.0.0/24", "ip_version": 4})
    before = plugin.neutron.find_networks(id=network.id)
    with pytest.raises(PluginError, match=r"--gateway 10\.5\.0\.77 contradicts subnet"):
        plugin.docker().network_create("10.5.0.0/24", gateway="10.5.0.77", options={"neutron.net.uuid": network.id})
    assert plugin.neutron.find_networks(id=network.id) == before
    plugin.nothing_left()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neutron.net.uuid": UNUSED_UUID}, "no such network"),
        ({"neutron.net.uuid": "not-a-uuid"}, "must be the UUID"),
        ({"neutron.net.name": "nowhere"}, "no such network"),
        ({"neutron.net.nmae": "typo"}, "no such option"),
        ({"kuryr.unknown": "x"}, "no such option"),
        ({"neutron.net.shared": "perhaps"}, "must be true or false"),
        ({"kuryr.vnic_type": "direct"}, "no enabled port driver makes such ports; enabled: veth"),
    ],
)
def test_wrong_options_are_refused_by_name_and_leave_nothing(
    plugin: Plugin, options: dict[str, str], message: str
) -> None:
    """A typing error would create a network that nobody wanted, or half of one."""
    with pytest.raises(PluginError, match=message) as caught:
        plugin.docker().network_create(options=options)
    assert next(iter(options)) in caught.value.message
    plugin.nothing_left()
    assert plugin.neutron.find_networks() == []
    assert plugin.neutron.find_subnetpools() == []


def test_no_subnet_and_no_default_pool(plugin: Plugin, docker: Docker) -> None:
    """A network without --subnet would end in an error that tells nobody what to do."""
    with pytest.raises(PluginError, match="give --subnet"):
        docker.network_create(None)
    plugin.nothing_left()


def test_default_pool_is_used_once_and_never_deleted(plugin: Plugin, docker: Docker) -> None:
    """The operator's default pool would be deleted (docs/compatibility.md, B4), or Docker would ask for it for ever."""
    pool = plugin.neutron.create_subnetpool({"name": "kuryr", "prefixes": ["10.9.0.0/24"], "default_prefixlen": 24})
    net = docker.network_create(None)
    assert net.pools[0].cidr == "10.9.0.0/24"
    with pytest.raises(PluginError, match="give --subnet"):
        docker.network_create(None)
    docker.network_rm(net)
    assert plugin.neutron.find_subnetpools(id=pool.id)
    plugin.nothing_left()


@pytest.mark.parametrize("mac", ["01:00:5e:00:00:01", "02:00:5e:10:00:00:00:01"])
def test_a_mac_that_cannot_be_touches_no_port(plugin: Plugin, docker: Docker, mac: str) -> None:
    """The container would fail with an error of netlink after its port was bound."""
    net = docker.network_create()
    before = len(plugin.neutron.called("update_port"))
    with pytest.raises(PluginError, match=f"--mac-address={mac}: "):
        docker.run(net, mac=mac)
    assert len(plugin.neutron.called("update_port")) == before
    docker.network_rm(net)
    plugin.nothing_left()


def test_another_network_driver_is_told_what_it_lacks(docker: Docker) -> None:
    """The user of ``-d bridge --ipam-driver kuryr`` would be told to create the network again, which cannot help."""
    call = docker.client.call
    wanted = {"AddressSpace": "no_address_space", "Pool": "10.1.0.0/24", "SubPool": "", "Options": None, "V6": False}
    pool_id = call("IpamDriver.RequestPool", wanted)["PoolID"]
    gateway = {"RequestAddressType": "com.docker.network.gateway"}
    call("IpamDriver.RequestAddress", {"PoolID": pool_id, "Address": "", "Options": gateway})
    with pytest.raises(PluginError, match="with kuryr as the network driver as well"):
        call("IpamDriver.RequestAddress", {"PoolID": pool_id, "Address": "", "Options": None})
    call("IpamDriver.ReleasePool", {"PoolID": pool_id})


@pytest.mark.parametrize("what", ["networks", "subnets"])
def test_a_network_that_somebody_deleted_in_neutron(plugin: Plugin, docker: Docker, what: str) -> None:
    """Docker's user would read "Network <id> could not be found", with an id that he has never seen."""
    network = plugin.neutron.seed_network(name="tenant")
    subnet = plugin.neutron.seed_subnet(network.id, "10.6.0.0/24")
    net = docker.network_create("10.6.0.0/24", options={"neutron.net.uuid": network.id})
    plugin.neutron.store.drop("subnets", subnet.id)
    if what == "networks":
        plugin.neutron.store.drop("networks", network.id)
    with pytest.raises(
        PluginError, match=r"Neutron network .*, which Docker network .* was deleted in Neutron; remove"
    ):
        docker.run(net)
    docker.network_rm(net)
    plugin.nothing_left()


def test_a_group_that_somebody_deleted_in_neutron(plugin: Plugin, docker: Docker) -> None:
    """The user would not learn which option of his network is no longer valid."""
    group = plugin.neutron.create_security_group({"name": "web"})
    net = docker.network_create(options={"neutron.security_groups": group.id})
    plugin.neutron.delete_security_group(group.id)
    with pytest.raises(PluginError, match=f"neutron.security_groups={group.id}: no such security group in Neutron"):
        docker.run(net)
    docker.network_rm(net)
    plugin.nothing_left()

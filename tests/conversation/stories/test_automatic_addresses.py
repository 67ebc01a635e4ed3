# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""IPv6 subnets on which Neutron derives a port's address from its MAC: SLAAC and stateless DHCPv6."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world.dockerside import DockerNetwork, PluginError
from tests.world.rig import DirectDocker, Rig

V4, V6 = "10.1.0.0/24", "fd00:1::/64"
MAC = "fa:16:3e:00:00:77"
OF_MAC = "fd00:1::f816:3eff:fe00:77"


class Cloud:
    def __init__(self, mode: str, **rig: Any) -> None:
        self.rig = Rig(**rig)
        self.docker = DirectDocker(self.rig)
        network = self.rig.neutron.seed_network(name="tenant", shared=True)
        self.network_id = network.id
        self.v4 = self.rig.neutron.seed_subnet(network.id, V4)
        modes = {"ipv6_address_mode": mode, "ipv6_ra_mode": mode}
        self.v6 = self.rig.neutron.seed_subnet(network.id, V6, gateway_ip="fd00:1::1", **modes)

    def network(self, **more: Any) -> DockerNetwork:
        return self.docker.network_create(V4, subnet_v6=V6, options={"neutron.net.uuid": self.network_id}, **more)

    def nothing_of_containers(self) -> None:
        assert self.rig.neutron.user_ports() == []
        assert self.rig.journal.leases.all() == []
        assert self.rig.journal.endpoints.all() == []


@pytest.fixture(params=["slaac", "dhcpv6-stateless"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    return Cloud(request.param)


def test_the_address_is_neutrons(cloud: Cloud) -> None:
    """The container would have an address that Neutron drops."""
    net = cloud.network()
    box = cloud.docker.run(net)
    (port,) = cloud.rig.neutron.user_ports()
    assert {ip.ip_address for ip in port.fixed_ips} == {box.ip, box.ip6}
    cloud.docker.rm(box)
    cloud.nothing_of_containers()


def test_a_mac_of_the_users_is_refused(cloud: Cloud) -> None:
    """Neutron changes the port's IPv6 address with its MAC: all IPv6 of the container would be dropped, without an
    error.
    """
    net = cloud.network()
    with pytest.raises(
        PluginError, match=r"has no longer fd00:1::.*, but .*fd00:1::f816:3eff:fe00:77.*leave --mac-address out"
    ):
        cloud.docker.run(net, mac=MAC)
    cloud.nothing_of_containers()
    cloud.docker.rm(cloud.docker.run(net))


def test_a_port_made_beforehand_has_its_mac_and_address(cloud: Cloud) -> None:
    """What the refusals recommend would not work."""
    fixed = [{"subnet_id": cloud.v4.id}, {"subnet_id": cloud.v6.id}]
    port = cloud.rig.neutron.seed_port(cloud.network_id, fixed_ips=fixed, mac_address=MAC)
    v4 = next(ip.ip_address for ip in port.fixed_ips if ip.subnet_id == cloud.v4.id)
    net = cloud.network()
    for mac in (MAC, ""):
        box = cloud.docker.run(net, ip=v4, ip6=OF_MAC, mac=mac)
        assert (box.ip6, box.mac) == (OF_MAC, MAC)
        cloud.docker.rm(box)


def test_an_address_of_the_users_is_refused_and_leaves_no_port(cloud: Cloud) -> None:
    """The user would read Neutron's own error, which names no option, and the container's port would stay."""
    net = cloud.network()
    with pytest.raises(
        PluginError, match=r"--ip6=fd00:1::77: on subnet fd00:1::/64 a port's address follows from its MAC"
    ):
        cloud.docker.run(net, ip6="fd00:1::77")
    cloud.nothing_of_containers()


def test_a_refused_second_address_leaves_no_port() -> None:
    """Docker does not release the IPv4 address when the IPv6 one is refused: its port stayed until the network was
    removed.
    """
    rig = Rig()
    docker = DirectDocker(rig)
    net = docker.network_create(V4, subnet_v6="fd00:2::/64")
    (six,) = rig.neutron.find_subnets(ip_version="6")
    theirs = rig.neutron.seed_port(six.network_id, fixed_ips=[{"subnet_id": six.id, "ip_address": "fd00:2::7"}])
    with pytest.raises(PluginError, match="fd00:2::7 already allocated"):
        docker.run(net, ip6="fd00:2::7")
    assert rig.neutron.user_ports() == [rig.neutron.port(theirs.id)]
    assert rig.journal.leases.all() == []


@pytest.mark.parametrize("option", ["--ip-range", "--aux-address"])
def test_what_needs_a_choice_is_refused_with_the_network(cloud: Cloud, option: str) -> None:
    """The Docker network would be created, and its first container fail with Neutron's own error."""
    before = cloud.rig.state()
    pool = {"Pool": V6, "SubPool": "fd00:1::100/120" if option == "--ip-range" else "", "Options": None, "V6": True}
    call = cloud.docker.client.call
    pool_id = call("IpamDriver.RequestPool", {"AddressSpace": "x", **pool})["PoolID"]
    gateway = {"RequestAddressType": "com.docker.network.gateway"}
    call("IpamDriver.RequestAddress", {"PoolID": pool_id, "Address": "", "Options": gateway})
    if option == "--aux-address":
        call("IpamDriver.RequestAddress", {"PoolID": pool_id, "Address": "fd00:1::77", "Options": None})
    options = {"com.docker.network.generic": {"neutron.net.uuid": cloud.network_id}}
    data = [{"AddressSpace": "x", "Pool": V6, "Gateway": "fd00:1::1/64"}]
    request = {"NetworkID": "ab" * 32, "Options": options, "IPv4Data": [], "IPv6Data": data}
    with pytest.raises(PluginError, match=f"{option}=.*has ipv6_address_mode .*leave it out"):
        call("NetworkDriver.CreateNetwork", request)
    call("IpamDriver.ReleasePool", {"PoolID": pool_id})
    cloud.rig.settle()
    assert cloud.rig.state() == before

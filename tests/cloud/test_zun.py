# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""OpenStack Zun's use of the plugin with the real Neutron and Docker: its options, its ports, its order."""

from __future__ import annotations

from typing import Any

import pytest

from lab.api import Host, Lab
from lab.people import OPERATOR
from tests.cloud.user import MOVING, User, unique_cidr, unique_cidr_v6

CONTAINER = "1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
BOUND = {"device_id": CONTAINER, "device_owner": "compute:kuryr", "binding:host_id": "h1"}
UNBIND = {"device_id": "", "device_owner": "", "binding:host_id": "", "binding:profile": {}}


class Zun:
    """Zun's compute agent on h1, with a dual-stack network of a tenant's."""

    def __init__(self, user: User, host: Host) -> None:
        self.user, self.host = user, host
        cidr, cidr_v6 = unique_cidr(), unique_cidr_v6()
        made = user.make("network", name="tenant")
        self.network, self.project = made["id"], made["project_id"]
        common = {"network_id": self.network}
        self.v4 = user.make("subnet", cidr=cidr, ip_version=4, **common)
        self.v6 = user.make("subnet", cidr=cidr_v6, ip_version=6, gateway_ip=None, **common)
        self.group = user.make("security-group", name="zun")["id"]
        both = {"neutron.net.shared": "False"}
        both |= {"neutron.subnet.uuid": self.v4["id"], "neutron.subnet.v6.uuid": self.v6["id"]}
        options = both | {"neutron.net.uuid": self.network}
        self.net = user.network(
            host,
            "--ipv6",
            *(f"--subnet={cidr}", f"--gateway={self.v4['gateway_ip']}", f"--subnet={cidr_v6}"),
            *(each for key, value in options.items() for each in ("-o", f"{key}={value}")),
            *(each for key, value in both.items() for each in ("--ipam-opt", f"{key}={value}")),
        )

    def port(self, **attributes: Any) -> dict[str, Any]:
        common = {"network_id": self.network, "project_id": self.project}
        wanted = {"name": "of-the-user", "security_groups": [self.group], **BOUND}
        return self.now(self.user.make("port", by=OPERATOR, **common | wanted | attributes))

    def addresses(self, port: dict[str, Any]) -> list[str]:
        """The addresses, as arguments for ``--ip`` and ``--ip6``."""
        texts = [str(fixed["ip_address"]) for fixed in port["fixed_ips"]]
        return [f"{'--ip6' if ':' in text else '--ip'}={text}" for text in texts]

    def create(self, port: dict[str, Any]) -> str:
        return self.user.run(self.host, self.net, *self.addresses(port), f"--mac-address={port['mac_address']}")

    def now(self, port: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in self.user.get("port", port["id"]).items() if key not in MOVING}


def changes(lab: Lab, since: int) -> list[str]:
    """The Neutron calls that change something, without ids."""
    return [f"{call.method} {call.uri.split('/')[2]}" for call in lab.neutron_calls(since) if call.method != "GET"]


def test_a_container_of_zun(user: User, h1: Host, lab: Lab) -> None:
    """Zun's containers would not start, would wait for updates that change nothing, or lose the ports that Zun made."""
    zun = Zun(user, h1)
    first, second = zun.port(), zun.port(device_id="another")
    at = lab.neutron_log_position()
    box = zun.create(first)
    assert changes(lab, at) == []  # no port is made, bound or marked
    assert zun.now(first) == first
    other = user.run(h1, zun.net)
    at = lab.neutron_log_position()
    h1.docker("network", "disconnect", zun.net, other)
    h1.docker("network", "connect", *zun.addresses(second), zun.net, other)
    assert user.settings(h1, other, zun.net)["MacAddress"] == second["mac_address"]
    h1.docker("network", "disconnect", zun.net, other)
    assert zun.now(second) == second
    user.rm(h1, other)
    user.rm(h1, box)
    assert zun.now(first) == first
    user.network_rm(h1, zun.net)
    assert user.get("network", zun.network)["tags"] == []


def test_attaching_another_network(user: User, h1: Host) -> None:
    """Zun's containers would have one network only: for another one it makes a port with a device, and no owner or
    host.
    """
    zun = Zun(user, h1)
    port = zun.port(**{"device_owner": "", "binding:host_id": ""})
    box = user.run(h1, zun.net)
    h1.docker("network", "disconnect", zun.net, box)
    h1.docker("network", "connect", *zun.addresses(port), zun.net, box)
    assert user.settings(h1, box, zun.net)["MacAddress"] == port["mac_address"]
    assert zun.now(port)["device_id"] == CONTAINER
    h1.docker("network", "disconnect", zun.net, box)
    assert zun.now(port) == port
    user.rm(h1, box)


@pytest.mark.parametrize("unbinds", [False, True], ids=["deletes", "unbinds"])
def test_zun_takes_its_port_before_we_let_go(user: User, h1: Host, unbinds: bool) -> None:
    """A port that Zun has given up would be bound again by us, or its interface stay on the host."""
    zun = Zun(user, h1)
    port = zun.port()
    box = zun.create(port)
    if unbinds:
        user.acting(OPERATOR).change("port", port["id"], **UNBIND)
    else:
        user.acting(OPERATOR).delete("port", port["id"])
    user.rm(h1, box)
    if unbinds:
        assert zun.now(port) == port | UNBIND | {"binding:vif_type": "unbound", "binding:vif_details": {}}
    else:
        assert user.ports(id=port["id"]) == []

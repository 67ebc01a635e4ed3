# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo asks its lab: what the last demo left, and which Docker object is which Neutron resource."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lab.api import Host, Lab
from lab.errors import LabError
from lab.people import TENANT_MEMBER
from lab.process import wait_for

NET, OFFICE, RESERVED = "demo-net", "office", "reserved"
CIDR, OFFICE_CIDR, RESERVED_ADDRESS = "10.20.0.0/24", "10.30.0.0/24", "10.30.0.50"


@dataclass(frozen=True)
class Office:
    """A network that somebody else made in Neutron, with a port that waits for its container."""

    network_id: str
    port_mac: str


def clean(host: Host) -> int:
    """Remove the demo's Docker networks with every container on them; answers how many objects were removed."""
    containers = set(_names(host, "ps", "-a", "--filter", "name=^demo-"))
    networks = [name for name in _names(host, "network", "ls") if name in (NET, OFFICE)]
    for network in networks:
        containers.update(_names(host, "ps", "-a", "--filter", f"network={network}"))
    if containers:
        host.docker("rm", "-f", *sorted(containers))
    if networks:
        host.docker("network", "rm", *networks)
    return len(containers) + len(networks)


def _names(host: Host, *command: str) -> list[str]:
    template = "{{.Names}}" if "ps" in command else "{{.Name}}"
    return host.docker(*command, "--format", template).stdout.split()


def prepare_office(lab: Lab) -> Office:
    """Created once by a user of another project, and kept: nothing of it is kuryr's."""
    network = _one(lab, "network", {"name": OFFICE}, {})
    subnet = _one(lab, "subnet", {"network_id": network["id"], "cidr": OFFICE_CIDR}, {"name": OFFICE, "ip_version": 4})
    fixed = [{"subnet_id": subnet["id"], "ip_address": RESERVED_ADDRESS}]
    port = _one(lab, "port", {"network_id": network["id"], "name": RESERVED}, {"fixed_ips": fixed})
    return Office(str(network["id"]), str(port["mac_address"]))


def _one(lab: Lab, kind: str, known_by: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    query = "&".join(f"{name}={value}" for name, value in known_by.items())
    tenant = lab.session(TENANT_MEMBER)
    found = tenant.neutron("GET", f"/v2.0/{kind}s?{query}")[f"{kind}s"]
    made = found[0] if found else tenant.neutron("POST", f"/v2.0/{kind}s", {kind: {**known_by, **others}})[kind]
    return dict(made)


def network_facts(lab: Lab, host: Host) -> list[list[str]]:
    """One row each: what it is for Docker, its name in Neutron, its id there, and something worth knowing."""
    network = _network(lab, host)
    subnet = _get(lab, "subnet", network_id=network["id"])
    pool = _get(lab, "subnetpool", id=subnet["subnetpool_id"])
    return [
        [f"network {NET}", network["name"], network["id"], f"MTU {network['mtu']}"],
        ["its subnet", subnet["name"], subnet["id"], f"gw {subnet['gateway_ip']}"],
        ["its IPAM pool", pool["name"], pool["id"], ""],
    ]


def neutron_network_id(lab: Lab, host: Host) -> str:
    return str(_network(lab, host)["id"])


def _network(lab: Lab, host: Host) -> dict[str, Any]:
    """Found by the tag that kuryr puts on every Docker network."""
    docker_id = str(host.docker_inspect(NET)["Id"])
    return _get(lab, "network", tags=f"kuryr.net.uuid.lh:{docker_id[:32]}")


def container_facts(lab: Lab, host: Host, container: str) -> list[str]:
    """Container, address and MAC as Docker shows them, port and its status in Neutron, interface in Open vSwitch."""
    settings = host.docker_inspect(container)["NetworkSettings"]["Networks"][NET]
    port = partial(_get, lab, "port", device_id=settings["EndpointID"])
    # OVN reports a new interface to Neutron a moment after connecting it.
    wait_for(lambda: bool(port()["status"] == "ACTIVE"), 10)
    found = port()
    if found["mac_address"] != settings["MacAddress"]:
        msg = f"{container} has MAC {settings['MacAddress']}, its port {found['id']} has {found['mac_address']}"
        raise LabError(msg)
    interface = host.run(
        ["ovs-vsctl", "--bare", "--columns=name", "find", "interface", f"external_ids:iface-id={found['id']}"]
    ).stdout.strip()
    return [container, settings["IPAddress"], settings["MacAddress"], found["id"], found["status"], interface]


def address_of(host: Host, container: str) -> str:
    return str(host.docker_inspect(container)["NetworkSettings"]["Networks"][NET]["IPAddress"])


def _get(lab: Lab, kind: str, **query: str) -> dict[str, Any]:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    found = lab.neutron("GET", f"/v2.0/{kind}s?{text}")[f"{kind}s"]
    if not found:
        msg = f"Neutron has no {kind} with {text}"
        raise LabError(msg)
    return dict(found[0])

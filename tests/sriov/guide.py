# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers with VFs on a real machine, and a snapshot of its cards."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lab.api import Lab
from lab.errors import LabError
from lab.people import OPERATOR
from lab.sriov.api import Machine

_NUMBERS = itertools.count(1)
_OWN = {"ifname", "address", "mtu", "txqlen", "ifalias", "altnames", "group", "broadcast", "linkmode", "gso_max_size"}
_OF_THE_CARRIER = {"LOWER_UP", "NO-CARRIER"}
_WIRING = """\
import json
from pathlib import Path
from kuryr_libnetwork.cli.service_client import get
print(json.dumps(get(Path("/run/kuryr/admin.sock"), "/v1/wiring")["wiring"]))
"""
_PING = """\
end=$(($(date +%s) + $2))
until ping -c 1 -W 2 "$1"; do [ "$(date +%s)" -lt $end ] || exit 1; done
"""


class Card:
    """What must be the same before and after: names, addresses and settings of all VFs."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def picture(self) -> dict[str, Any]:
        links = json.loads(self._machine.run(["ip", "-json", "-details", "link", "show"]).stdout)
        seen: dict[str, Any] = {}
        for link in links:
            if link.get("vfinfo_list"):
                seen[f"{link['ifname']} vfs"] = link["vfinfo_list"]
            elif link.get("parentbus") == "pci":
                seen[link["parentdev"]] = {key: value for key, value in link.items() if key in _OWN} | {
                    "flags": sorted(set(link["flags"]) - _OF_THE_CARRIER),
                    "offloads": self._machine.shell('ethtool -k "$1" | grep -v fixed', link["ifname"]),
                }
        return seen


class Guide:
    """Networks, ports and containers of one test on one machine, removed again at its end.

    Neutron's are made by an operator: provider networks take the role admin, and profiles the role service.
    """

    def __init__(self, lab: Lab, machine: Machine) -> None:
        self.lab = lab
        self.machine = machine
        self._operator = lab.session(OPERATOR)
        self._containers: list[str] = []
        self._networks: list[str] = []
        self._neutron: list[str] = []

    def network(self, vlan: int) -> dict[str, Any]:
        number = next(_NUMBERS)
        return self.make_network(f"net{number}", vlan, f"10.{60 + number}.0.0/24")

    def make_network(self, name: str, vlan: int, cidr: str) -> dict[str, Any]:
        """A network on the machine's physical network, with a subnet; a flat one if it has no VLAN."""
        provider = {"network_type": "vlan" if vlan else "flat", "physical_network": self.machine.physical_network}
        attributes: dict[str, Any] = {f"provider:{key}": value for key, value in provider.items()}
        if vlan:
            attributes["provider:segmentation_id"] = vlan
        network = self.make("network", name=name, **attributes)
        subnet = self.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
        return {"id": network["id"], "cidr": cidr, "gateway": subnet["gateway_ip"], "subnet": subnet["id"]}

    def port(self, network: dict[str, Any], slot: str, address: str, vnic_type: str = "direct") -> dict[str, Any]:
        """``openstack port create --vnic-type … --binding-profile …``"""
        profile = {
            "physical_network": self.machine.physical_network,
            "pci_vendor_info": self.vendor_info(slot),
            "pci_slot": slot,
        }
        return self.make(
            "port",
            network_id=network["id"],
            name="sriov_port",
            fixed_ips=[{"subnet_id": network["subnet"], "ip_address": address}],
            **{"binding:vnic_type": vnic_type, "binding:profile": profile},
        )

    def vendor_info(self, slot: str) -> str:
        folder = f"/sys/bus/pci/devices/{slot}"
        return ":".join(
            self.machine.read(f"{folder}/{name}").strip().removeprefix("0x") for name in ("vendor", "device")
        )

    def vfs(self, pf: str = "pf0") -> list[str]:
        """The PCI addresses of a PF's VFs, in their order."""
        listing = self.machine.shell('readlink -f /sys/class/net/"$1"/device/virtfn*', pf)
        return [line.rsplit("/", 1)[-1] for line in listing.split()]

    def wire_of(self, container: str) -> dict[str, Any]:
        """Where the page says that a container is wired to; it may have no name there yet."""
        settings = self.machine.docker_inspect(container)["NetworkSettings"]["Networks"].values()
        endpoints = {each["EndpointID"] for each in settings}
        wiring = json.loads(self.machine.run(["/srv/kuryr/bin/python3", "-c", _WIRING]).stdout)
        found: dict[str, Any] = next(wire for wire in wiring["wires"] if wire["endpoint_id"] in endpoints)
        return found

    def docker_network(self, network: dict[str, Any], *options: str) -> str:
        name = f"net{next(_NUMBERS)}"
        self._networks.append(name)
        words = [
            f"--subnet={network['cidr']}",
            f"--gateway={network['gateway']}",
            "-o",
            f"neutron.net.uuid={network['id']}",
        ]
        self.machine.docker("network", "create", "-d", "kuryr", "--ipam-driver=kuryr", *words, *options, name)
        return name

    def run(self, net: str, *arguments: str) -> str:
        name = f"box{next(_NUMBERS)}"
        self._containers.append(name)
        self.machine.docker("run", "-d", "--name", name, "--network", net, *arguments, "busybox")
        return name

    def run_with(self, net: str, *options: str) -> str:
        """A container with driver options of its own."""
        return self.run(",".join([f"name={net}", *(f"driver-opt={option}" for option in options)]))

    def run_together(self, net: str, count: int) -> list[str]:
        """Start so many containers at once."""
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: self.run(net), range(count)))

    def rm(self, *names: str) -> None:
        for name in names:
            self._containers.remove(name)
        self.machine.docker("rm", "-f", *names)

    def claim(self, *, containers: Iterable[str] = (), networks: Iterable[str] = (), **neutron: str) -> None:
        """What somebody else's commands made is removed as well; Neutron's things are named ``kind=name``."""
        self._containers += containers
        self._networks += networks
        for kind, name in neutron.items():
            found = self._operator.neutron("GET", f"/v2.0/{kind}s?name={name}")[f"{kind}s"]
            self._neutron += [f"/v2.0/{kind}s/{each['id']}" for each in found]

    def address(self, container: str, net: str) -> str:
        return str(self.machine.docker_inspect(container)["NetworkSettings"]["Networks"][net]["IPAddress"])

    def inside(self, container: str, *command: str, check: bool = True) -> str:
        return self.machine.docker("exec", container, *command, check=check).stdout

    def link(self, container: str) -> dict[str, Any]:
        """The container's eth0, as the kernel shows it in there."""
        pid = str(self.machine.docker_inspect(container)["State"]["Pid"])
        shown = self.machine.run(["nsenter", "-t", pid, "-n", "ip", "-json", "-details", "link", "show", "eth0"]).stdout
        return dict(json.loads(shown)[0])

    def pci_of(self, container: str) -> str:
        """The PCI address of the container's eth0; "" if it is no PCI device."""
        return str(self.link(container).get("parentdev", ""))

    def reaches(self, container: str, address: str, seconds: int = 60) -> bool:
        """Whether ping gets an answer in that time; requests sent before the VF has a carrier are lost."""
        said = self.machine.docker("exec", container, "sh", "-c", _PING, "sh", address, str(seconds), check=False)
        return said.returncode == 0

    def port_of(self, container: str, net: str) -> dict[str, Any]:
        endpoint = self.machine.docker_inspect(container)["NetworkSettings"]["Networks"][net]["EndpointID"]
        (port,) = self.lab.neutron("GET", f"/v2.0/ports?device_id={endpoint}")["ports"]
        return dict(port)

    def get(self, kind: str, resource_id: str) -> dict[str, Any]:
        return dict(self.lab.neutron("GET", f"/v2.0/{kind}s/{resource_id}")[kind])

    def change(self, kind: str, resource_id: str, **attributes: Any) -> None:
        self._operator.neutron("PUT", f"/v2.0/{kind}s/{resource_id}", {kind: attributes})

    def make_policy(self, max_kbps: int) -> str:
        """A QoS policy that limits what its ports send, and that the service may read; answers its id."""
        wanted = {"policy": {"name": "limit", "shared": True}}
        policy = str(self._operator.neutron("POST", "/v2.0/qos/policies", wanted)["policy"]["id"])
        path = f"/v2.0/qos/policies/{policy}"
        self._neutron.insert(0, path)  # it is removed after the ports that use it
        rule = {"max_kbps": max_kbps, "direction": "egress"}
        self._operator.neutron("POST", f"{path}/bandwidth_limit_rules", {"bandwidth_limit_rule": rule})
        return policy

    def at_pf(self, index: int, pf: str = "pf0") -> dict[str, Any]:
        """What the PF enforces for its VF of that number."""
        return dict(Card(self.machine).picture()[f"{pf} vfs"][index])

    def make(self, kind: str, **attributes: Any) -> dict[str, Any]:
        made: dict[str, Any] = self._operator.neutron("POST", f"/v2.0/{kind}s", {kind: attributes})[kind]
        self._neutron.append(f"/v2.0/{kind}s/{made['id']}")
        return made

    def tidy(self) -> None:
        if self._containers:
            self.machine.docker("rm", "-f", *self._containers, check=False)
        for name in self._networks:
            self.machine.docker("network", "rm", name, check=False)
        for path in reversed(self._neutron):
            with contextlib.suppress(LabError):
                self._operator.neutron("DELETE", path)

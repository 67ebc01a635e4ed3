# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The commands that show an operator the same as a wire of the page, and those that help if something is wrong.

They are copied into a root shell: every word that comes from the outside is quoted for it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from kuryr_libnetwork.model.wiring import Command, MarkKind, Wire

SHORT = 12
"""Characters of an id, as Docker shows them."""


def of_network(docker_id: str, network_id: str) -> tuple[Command, ...]:
    found = [
        _command("the Docker network and its subnets", "kuryr", "network", "show", docker_id[:SHORT]),
        _command("what Docker knows of it", "docker", "network", "inspect", docker_id[:SHORT]),
    ]
    if network_id:
        found.append(_command("the network in Neutron", "openstack", "network", "show", network_id))
    return tuple(found)


def of_wire(wire: Wire, host: str, marks: frozenset[MarkKind], pf: str = "", netdev: str = "") -> tuple[Command, ...]:
    """``pf``: the PCI address of the PF, if the wire ends at one; ``netdev``: its network device, if it is known."""
    return (*_remedies(wire, host, marks), *_shows(wire), *_device(wire, pf, netdev))


def _remedies(wire: Wire, host: str, marks: frozenset[MarkKind]) -> Iterator[Command]:
    if "quarantine" in marks:
        yield _command("try again to give the device back", "kuryr", "vf", "release", wire.device)
    if "suspect" in marks:
        yield _command("what is suspected, why, and when it goes", "kuryr", "reconcile", "--dry-run")
    if "down" in marks:
        yield _command("whether Neutron's agent here is alive", "openstack", "network", "agent", "list", "--host", host)


def _shows(wire: Wire) -> Iterator[Command]:
    if wire.endpoint_id:
        yield _command("this wire", "kuryr", "endpoint", "show", wire.endpoint_id[:SHORT])
    if wire.port_id:
        yield _command("the port in Neutron", "openstack", "port", "show", wire.port_id)
    if wire.sandbox:
        yield _command("interfaces in the container", "nsenter", f"--net={wire.sandbox}", "ip", "-d", "address")
    elif wire.container:
        yield _command("the container", "docker", "inspect", "--", wire.container)
    if wire.interface and not wire.device and wire.driver == "veth":
        yield _command("the interface on this host", "ip", "-d", "-s", "link", "show", "dev", wire.interface)
        yield _command("its row in Open vSwitch", "ovs-vsctl", "list", "Interface", wire.interface)


def _device(wire: Wire, pf: str, netdev: str) -> Iterator[Command]:
    if wire.device:
        yield _command("the state of VFs and their settings", "kuryr", "vf", "list")
        yield _command("the device on the PCI bus", "ls", "-l", f"/sys/bus/pci/devices/{wire.device}/")
    purpose = "the PF and what it enforces"
    if netdev:
        yield _command(purpose, "ip", "-d", "link", "show", "dev", netdev)
    elif pf:
        folder = shlex.quote(f"/sys/bus/pci/devices/{pf}/net")
        yield Command(purpose=purpose, words=f'ip -d link show dev "$(ls {folder} | head -n 1)"')
    if wire.driver not in ("", "veth") and not wire.device and wire.uplink:
        name = wire.uplink.partition(":")[2]
        yield _command("the interface it stands on", "ip", "-d", "link", "show", "dev", name)


def _command(purpose: str, *words: str) -> Command:
    return Command(purpose=purpose, words=shlex.join(words))

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Who is wired where on this host: what ``/v1/wiring`` answers, and the page shows.

A wire leads from a Docker network over a Neutron port and a container to an interface of this host, and on to where
that ends: a bridge, a PF, the interface of a virtual machine.
"""

from __future__ import annotations

from typing import Literal

from kuryr_libnetwork.model.value import Value

MarkKind = Literal["down", "suspect", "quarantine", "passing"]
"""``passing``: it is being made or removed."""
UplinkKind = Literal["bridge", "pf", "interface", "unknown"]


class Mark(Value, frozen=True):
    """What is not as it should be, or not yet. ``text``: in a few words; ``why``: in one sentence."""

    kind: MarkKind
    text: str
    why: str = ""


class Command(Value, frozen=True):
    """A command that shows the same, or helps. ``purpose``: what it shows or does."""

    purpose: str
    words: str


class WiredNetwork(Value, frozen=True):
    """A Docker network. ``name``: in Docker, "" until it has told; ``network_id``: Neutron's. ``ready``: how many ports
    its port pool keeps ready.
    """

    docker_id: str
    name: str
    network_id: str
    cidrs: tuple[str, ...]
    mtu: int
    vnic_type: str
    physical_network: str
    made: bool
    internal: bool
    ready: int = 0
    marks: tuple[Mark, ...] = ()
    commands: tuple[Command, ...] = ()


class Wire(Value, frozen=True):
    """One line from left to right, with "" for what it does not have.

    ``key``: of this wire, for as long as it exists. ``network``: the Docker network's id. ``interface``: the host's, or
    the container's where the host has none. ``device``: PCI address of a VF or PF. ``uplink``: key of an
    :class:`Uplink`. ``port_status``: in Neutron, as the background saw it last.
    """

    key: str
    network: str
    port_id: str = ""
    port_status: str = ""
    adopted: bool = False
    vnic_type: str = ""
    container: str = ""
    endpoint_id: str = ""
    addresses: tuple[str, ...] = ()
    mac_address: str = ""
    interface: str = ""
    device: str = ""
    device_state: str = ""
    driver: str = ""
    sandbox: str = ""
    uplink: str = ""
    marks: tuple[Mark, ...] = ()
    commands: tuple[Command, ...] = ()


class Uplink(Value, frozen=True):
    """Where wires of this host end. ``networks``: the physical networks that are reached there, where it is known.

    ``address``: the PCI address of a PF, which is also its name while the name of its network device is not known.
    """

    key: str
    name: str
    kind: UplinkKind
    address: str = ""
    networks: tuple[str, ...] = ()


class Wiring(Value, frozen=True):
    """``host``: as Neutron calls it."""

    host: str
    networks: tuple[WiredNetwork, ...] = ()
    wires: tuple[Wire, ...] = ()
    uplinks: tuple[Uplink, ...] = ()


class Seen(Value, frozen=True):
    """What the journal does not know: names in Docker, of containers by endpoint and of networks by id; the status of
    ports in Neutron by id; suspects with the reason, by kind and key; the network devices of PFs by PCI address.
    """

    containers: dict[str, str] = {}
    networks: dict[str, str] = {}
    statuses: dict[str, str] = {}
    suspects: dict[tuple[str, str], str] = {}
    pfs: dict[str, str] = {}

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A Docker host that is an instance of the cloud: its card is plugged into a hypervisor's Open vSwitch, as Nova does
it.
"""

from __future__ import annotations

import configparser
import io
import subprocess
from collections.abc import Sequence
from typing import Any, Protocol

from lab.api import Host
from lab.errors import LabError
from lab.people import ADMIN
from tests.cloud.user import DockerHost, User, unique_cidr

IFACE = "ens3"
NO_MODULE = "no support"
"""The service's error if this kernel has no such interfaces."""


class Service(Protocol):
    def kill(self) -> None: ...
    def start(self) -> None: ...
    def restart(self) -> None: ...


class Guest(DockerHost, Protocol):
    """The Docker host inside."""

    @property
    def kuryr(self) -> Service: ...
    def run(
        self, argv: Sequence[str], *, check: bool = True, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]: ...


class Card(Protocol):
    """The machine's card: ``IFACE`` in the guest, and at the other end what a hypervisor's bridge takes."""

    @property
    def tap(self) -> str:
        """The name of the other end."""
        ...

    def attach(self, netns: str) -> None:
        """Bring the other end to the hypervisor's namespace."""

    def detach(self, netns: str) -> None:
        """Take it away again."""


class Machine:
    """The port of the virtual machine; ``service`` starts the guest's service with these drivers."""

    def __init__(self, user: User, hypervisor: Host, guest: Guest, card: Card, conf: str) -> None:
        self._user = user
        self._hypervisor = hypervisor
        self._guest = guest
        self._card = card
        self._conf = conf
        self._before = guest.run(["cat", conf]).stdout
        self.cidr = unique_cidr()
        self.network = user.make("network", name="machines")
        self.subnet = user.make("subnet", network_id=self.network["id"], cidr=self.cidr, ip_version=4)
        self.port: dict[str, Any] = {}

    def boot(self) -> None:
        """What Nova does: a port that is bound to the hypervisor, with the card that stands for it in the
        bridge there.
        """
        self._card.attach(self._hypervisor.paths.netns)
        mac = self._guest.run(["cat", f"/sys/class/net/{IFACE}/address"]).stdout.strip()
        owner = {"device_owner": "compute:nova", "device_id": "vm-1", "binding:host_id": self._hypervisor.name}
        common = {"network_id": self.network["id"], "project_id": self.network["project_id"], "mac_address": mac}
        self.port = self._user.make("port", by=ADMIN, name="machine", **common, **owner)
        self._join_bridge()
        self.up()

    def _join_bridge(self) -> None:
        tap, mtu = self._card.tap, str(self.network["mtu"])
        self._hypervisor.run(["ip", "link", "set", tap, "mtu", mtu, "up"])
        row = ["set", "interface", tap, f"external_ids:iface-id={self.port['id']}"]
        # Not in one step: Open vSwitch would go on with the device of that name that the machine had before.
        self._hypervisor.run(["ovs-vsctl", "--if-exists", "del-port", tap])
        self._hypervisor.run(["ovs-vsctl", "add-port", "br-int", tap, "--", *row])

    def up(self) -> None:
        """What DHCP tells the guest: its MTU and its address."""
        address = f"{self.port['fixed_ips'][0]['ip_address']}/{self.cidr.partition('/')[2]}"
        self._guest.run(["ip", "link", "set", IFACE, "mtu", str(self.network["mtu"]), "up"])
        self._guest.run(["ip", "address", "replace", address, "dev", IFACE])

    def down(self) -> None:
        self._guest.run(["ip", "link", "set", IFACE, "down"])

    def service(self, driver: str, binding: str, link_iface: str = IFACE) -> None:
        drivers = f"[DEFAULT]\nenabled_port_drivers = {driver}\ndefault_port_driver = {driver}\n"
        bindings = f"[binding]\nenabled_drivers = {binding}\ndefault_driver = {binding}\nlink_iface = {link_iface}\n"
        self._write(with_settings(self._before, drivers + bindings))

    def end(self) -> None:
        self._write(self._before)
        self._guest.run(["ip", "address", "flush", "dev", IFACE], check=False)
        self._guest.run(["ip", "link", "set", IFACE, "down", "mtu", "1500"], check=False)
        self._hypervisor.run(["ovs-vsctl", "--if-exists", "del-port", self._card.tap])
        self._card.detach(self._hypervisor.paths.netns)

    def _write(self, text: str) -> None:
        self._guest.run(["sh", "-c", 'cat >"$1"', "sh", self._conf], stdin=text)
        self._guest.kuryr.restart()

    def shown(self) -> dict[str, Any]:
        return self._user.get("port", self.port["id"])

    def pairs(self) -> list[dict[str, str]]:
        return list(self.shown()["allowed_address_pairs"])

    def sub_ports(self) -> list[dict[str, Any]]:
        return list(self.shown()["trunk_details"]["sub_ports"])


def with_settings(text: str, more: str) -> str:
    """A kuryr.conf with more settings, in place of those of the same name; comments are lost."""
    # The service's file has a section DEFAULT like any other: it passes nothing on.
    file = configparser.ConfigParser(interpolation=None, default_section="")
    file.read_string(text)
    file.read_string(more)
    written = io.StringIO()
    file.write(written)
    return written.getvalue()


def started(user: User, host: DockerHost, net: str) -> str:
    """A container, or "" where this kernel has no such interface."""
    try:
        return user.run(host, net)
    except LabError as error:
        if NO_MODULE in str(error):
            return ""
        raise


def peer(user: User, h1: Host, cidr: str, network_id: str) -> tuple[str, str]:
    """An ordinary container on the same Neutron network, and its Docker network."""
    net = user.network(h1, f"--subnet={cidr}", "-o", f"neutron.net.uuid={network_id}")
    return user.run(h1, net), net

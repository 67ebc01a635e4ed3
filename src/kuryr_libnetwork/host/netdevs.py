# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Network devices of PFs and VFs, in our namespace and in those of containers."""

from __future__ import annotations

import errno
import logging
import os
import socket as socket_module
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from itertools import islice
from typing import Any, NamedTuple

from kuryr_libnetwork.errors import LinkError, LinkNotFound
from kuryr_libnetwork.host import dumps
from kuryr_libnetwork.host.announcements import frame
from kuryr_libnetwork.host.host_ip import host_ip, set_host_ip
from kuryr_libnetwork.host.link_attributes import altnames_of, drop_altname, link_attributes, set_link_attributes
from kuryr_libnetwork.host.namespaces import OWN, opened, run_inside
from kuryr_libnetwork.host.netlink import Connect, delete, find, listed, netlink, refusal, told_as, translated
from kuryr_libnetwork.model.links import HostIp
from kuryr_libnetwork.model.sriov import DeviceUse, LinkAttributes, NetdevState
from kuryr_libnetwork.rules.host_ip import SILENT
from kuryr_libnetwork.undo import Undo

LOG = logging.getLogger(__name__)
IFF_UP = 1
IFF_LOWER_UP = 0x10000
IFLA_ADDRESS, IFLA_IFNAME, IFLA_PARENT_DEV_NAME = 1, 3, 56
MOST_LINKS = 200_000
"""Most interfaces of a container that are searched for a device."""
_ALL_LINKS = bytes(dumps.SIZES[dumps.RTM_GETLINK])
RETRIES = 20
PAUSE = 0.1
"""Seconds. Drivers of VFs ask the PF for a MAC and answer before they know (i40e, iavf), or refuse while they reset."""
_HINTS = {
    errno.EPERM: "; the service needs CAP_NET_RAW",
    errno.EAFNOSUPPORT: "; the service needs sockets of AF_PACKET",
}
FINAL = (errno.EINVAL, errno.ENODEV, errno.EPERM, errno.EOPNOTSUPP)


def parent_device(attributes: Mapping[int, bytes]) -> str:
    """The PCI address of a link's parent device (since Linux 5.14)."""
    return dumps.text(attributes.get(IFLA_PARENT_DEV_NAME, b""))


class KernelNetdevs:
    """Implements :class:`~kuryr_libnetwork.interfaces.sriov.Netdevs`.

    A device that is up counts as in use: an idle VF is down, so somebody has set this one up on purpose.
    """

    def __init__(
        self, parent: Callable[[Mapping[int, bytes]], str] = parent_device, connect: Connect = netlink
    ) -> None:
        self._parent = parent
        self._connect = connect

    def state(self, name: str) -> NetdevState | None:
        with self._connect(f"look at device {name}") as socket:
            message = find(socket, name)
            return None if message is None else _state(message)

    def in_use(self, name: str) -> str:
        found = self.uses([name])
        if name not in found:
            raise translated(f"look at the use of device {name}", errno.ENODEV)
        return found[name].reason

    def uses(self, names: Iterable[str]) -> dict[str, DeviceUse]:
        wanted = set(names)
        with self._connect("look at the use of devices") as socket:
            host = _Host.of(listed(socket.get_links), listed(socket.get_addr), _default_devices(socket))
            found = ((link.get_attr("IFLA_IFNAME"), link) for link in host.links)
            return {
                name: DeviceUse(reason=host.use_of(link), default_route=host.leads_out(link))
                for name, link in found
                if name in wanted
            }

    def carries_default_route(self, names: Iterable[str]) -> bool:
        return any(use.default_route for use in self.uses(names).values())

    def configure(
        self,
        name: str,
        *,
        new_name: str = "",
        mac: str = "",
        mtu: int = 0,
        host_ip: HostIp | None = None,
        attributes: LinkAttributes | None = None,
        up: bool = False,
        patient: bool = True,
    ) -> None:
        with self._connect(f"configure device {name}") as socket:
            device = _Device(socket, name)
            device.down()
            if new_name and new_name != name:
                device.rename(new_name)
            if attributes is not None:
                set_link_attributes(socket, device.index, attributes)
            if mac:
                device.set_mac(mac.lower(), RETRIES if patient else 1)
            if mtu:
                device.set("MTU", mtu=mtu)
            if host_ip is not None:
                set_host_ip(socket, device.index, host_ip)
            if up:
                device.set("state", state="up")

    def set_up(self, name: str) -> None:
        with self._connect(f"set up device {name}") as socket:
            device = _Device(socket, name)
            set_host_ip(socket, device.index, SILENT)
            device.set("state", state="up")

    def wait_carrier(self, name: str, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self._connect(f"wait for the carrier of {name}") as socket:
            while not _found(socket, name)["flags"] & IFF_LOWER_UP:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(min(PAUSE, max(0.0, deadline - time.monotonic())))
        return True

    def fetch_from_sandbox(self, pci_address: str, sandboxes: Sequence[str], name: str) -> bool:
        with opened(OWN) as home:
            return any(self._bring(pci_address, sandbox, name, home) for sandbox in sandboxes)

    def _bring(self, pci_address: str, sandbox: str, name: str, home: int) -> bool:
        try:
            return run_inside(sandbox, partial(self._send_home, pci_address, name, home))
        except LinkNotFound as error:  # the container has just ended: its device comes back by itself
            LOG.info("the device of %s is not looked for there: %s", pci_address, error)
            return False

    def _send_home(self, pci_address: str, name: str, home: int) -> bool:
        """Move a device into our namespace and rename it, in one message, because its present name may be taken here.

        The kernel does one after the other: if the new name is taken, the device may be here under its present one.
        Alternative names come from the container: one that is taken here would prevent the move, or block others.
        """
        with self._connect(f"bring the device of {pci_address} home as {name}") as socket:
            links = (link.attributes for link in dumps.entries(dumps.RTM_GETLINK, _ALL_LINKS, MOST_LINKS))
            found = next((link for link in links if self._parent(link) == pci_address), None)
            if found is None:
                return False
            device = _Device(socket, dumps.text(found[IFLA_IFNAME]))
            device.down()
            device.drop_altnames()
            socket.link("set", index=device.index, net_ns_fd=home, ifname=name)
        return True

    def create_macvtap(self, parent: str, name: str, mtu: int, alias: str) -> None:
        _create(self._connect, parent, name, mtu, alias, kind="macvtap", macvtap_mode="passthru")

    def create_vlan(self, parent: str, name: str, vlan: int, mtu: int, alias: str) -> None:
        _create(self._connect, parent, name, mtu, alias, kind="vlan", vlan_id=vlan)

    def delete(self, name: str) -> bool:
        with self._connect(f"delete device {name}") as socket:
            return delete(socket, name)

    def announce(self, sandbox: str, mac: str, addresses: Iterable[str]) -> bool:
        return run_inside(sandbox, partial(_announce, mac.lower(), tuple(addresses)))


class _Device:
    """A device by its index, which stays the same if others rename it."""

    def __init__(self, socket: Any, name: str) -> None:
        self._socket = socket
        self._name = name
        self.index = int(_found(socket, name)["index"])

    def set(self, label: str, **values: Any) -> None:
        code = refusal(partial(self._socket.link, "set", index=self.index, **values))
        if code:
            raise translated(f"set the {label} of device {self._name} to {next(iter(values.values()))}", code)

    def down(self) -> None:
        self.set("state", state="down")

    def rename(self, new_name: str) -> None:
        """Rename the device. Before Linux 6.2 it has to be down, and network managers set devices up again that go
        down. The name may be taken for a moment: the kernel gives free names to the devices of other VFs being rebound.
        """
        self.drop_altname(new_name)
        code = errno.EBUSY
        for _ in range(RETRIES):
            code = refusal(partial(self._socket.link, "set", index=self.index, ifname=new_name))
            if code == errno.EBUSY:
                self.down()
            elif code != errno.EEXIST:
                break
            time.sleep(PAUSE)
        if code:
            raise translated(f"rename device {self._name} to {new_name}", code)

    def drop_altname(self, name: str) -> None:
        """Drop an alternative name, because a device cannot take one of its own alternative names as its name."""
        if name in altnames_of(self._message()):
            drop_altname(self._socket, self.index, name)

    def drop_altnames(self) -> None:
        for name in altnames_of(self._message()):
            drop_altname(self._socket, self.index, name)

    def set_mac(self, mac: str, tries: int) -> None:
        code = 0
        for left in reversed(range(tries)):
            if self._message().get_attr("IFLA_ADDRESS") == mac:
                return
            code = refusal(partial(self._socket.link, "set", index=self.index, address=mac))
            if code in FINAL:
                break
            if left and self._message().get_attr("IFLA_ADDRESS") != mac:
                time.sleep(PAUSE)
        found = self._message().get_attr("IFLA_ADDRESS")
        if found == mac:
            return
        if code:
            raise translated(f"set the MAC of device {self._name} to {mac}", code)
        raise LinkError(f"the MAC of device {self._name} is {found} after it was set to {mac}")

    def _message(self) -> Any:
        return self._socket.link("get", index=self.index)[0]


class _Host(NamedTuple):
    """What is needed to tell how each device is used; all are indexes of devices.

    ``standing``: the devices that are on top of one; ``defaults``: those with a default route.
    """

    links: list[Any]
    addresses: list[Any]
    defaults: set[int]
    masters: dict[int, int]
    standing: dict[int, list[int]]

    @classmethod
    def of(cls, links: list[Any], addresses: list[Any], defaults: set[int]) -> _Host:
        masters: dict[int, int] = {}
        standing: dict[int, list[int]] = {}
        for link in links:
            if master := link.get_attr("IFLA_MASTER"):
                masters[link["index"]] = master
            if below := _stands_on(link):
                standing.setdefault(below, []).append(link["index"])
        return cls(links, addresses, defaults, masters, standing)

    def use_of(self, link: Any) -> str:
        index = int(link["index"])
        if master := self.masters.get(index):
            return f"is in {self._described(master)}"
        for other in self.standing.get(index, ()):
            return f"carries {self._described(other)}"
        for address in self.addresses:
            text = address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS")
            if address["index"] == index and not ip_address(text).is_link_local:
                return f"has address {text}"
        if index in self.defaults:
            return "carries a default route"
        return "is up" if link["flags"] & IFF_UP else ""

    def leads_out(self, link: Any) -> bool:
        """Whether a default route is on the device, or on a bond, bridge or VLAN above it, at any depth.

        Open vSwitch is not considered: which of its bridges a device is in is not known here.
        """
        above, seen = {int(link["index"])}, set[int]()
        while above:
            index = above.pop()
            seen.add(index)
            above |= {*self.standing.get(index, ()), self.masters.get(index, index)} - seen
        return bool(seen & self.defaults)

    def _described(self, index: int) -> str:
        link = next((each for each in self.links if each["index"] == index), None)
        return f"{_kind(link) or 'device'} {link.get_attr('IFLA_IFNAME')}" if link is not None else f"device {index}"


def _found(socket: Any, name: str) -> Any:
    message = find(socket, name)
    if message is None:
        raise translated(f"find device {name}", errno.ENODEV)
    return message


def _state(message: Any) -> NetdevState:
    return NetdevState(
        name=message.get_attr("IFLA_IFNAME"),
        mac=message.get_attr("IFLA_ADDRESS") or "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(message["flags"] & IFF_UP),
        host_ip=host_ip(message),
        attributes=link_attributes(message),
    )


def _kind(message: Any) -> str:
    info = message.get_attr("IFLA_LINKINFO")
    return (info.get_attr("IFLA_INFO_KIND") if info is not None else "") or ""


def _stands_on(message: Any) -> int:
    """The index of the device below this one, or 0. A device that names another one is on top of it, except the two
    ends of a veth pair.
    """
    below = message.get_attr("IFLA_LINK")
    here = message.get_attr("IFLA_LINK_NETNSID") is None
    return int(below) if below and here and message["index"] != below and _kind(message) != "veth" else 0


def _default_devices(socket: Any) -> set[int]:
    """The devices of all default routes, of both families and in any table."""
    found: set[int] = set()
    for family in (socket_module.AF_INET, socket_module.AF_INET6):
        for route in listed(partial(socket.get_routes, family=family)):
            if route["dst_len"] == 0:
                hops = route.get_attr("RTA_MULTIPATH") or []
                found |= {route.get_attr("RTA_OIF"), *(hop["oif"] for hop in hops)} - {None}
    return found


def _create(connect: Connect, parent: str, name: str, mtu: int, alias: str, **kind: Any) -> None:
    with connect(f"make {kind['kind']} {name} on {parent}") as socket:
        socket.link("add", ifname=name, link=int(_found(socket, parent)["index"]), mtu=mtu, **kind)
        with Undo() as undo:
            undo.add(f"delete {name}", partial(_delete_again, connect, name))
            index = int(_found(socket, name)["index"])
            set_host_ip(socket, index, SILENT)
            socket.link("set", index=index, ifalias=alias)


def _delete_again(connect: Connect, name: str) -> None:
    with connect(f"delete {name}") as socket:
        delete(socket, name)


def _flags(link: dumps.Entry) -> int:
    """The flags of an interface (struct ifinfomsg)."""
    return int(struct.unpack_from("=I", link.fixed, 8)[0])


def _announce(mac: str, addresses: Sequence[str]) -> bool:
    hardware = bytes.fromhex(mac.replace(":", ""))
    with told_as(f"announce the addresses of {mac}"):
        links = dumps.entries(dumps.RTM_GETLINK, _ALL_LINKS, MOST_LINKS)
        ready = (
            link for link in links if link.attributes.get(IFLA_ADDRESS) == hardware and _flags(link) & IFF_LOWER_UP
        )
        names = [dumps.text(link.attributes[IFLA_IFNAME]) for link in islice(ready, 1)]
    if not names:
        return False
    try:
        with socket_module.socket(socket_module.AF_PACKET, socket_module.SOCK_RAW, 0) as sender:
            sender.bind((names[0], 0))
            for address in addresses:
                sender.send(frame(mac, address))
    except OSError as error:
        text = f"cannot announce the addresses of {mac}: {os.strerror(error.errno or 0)}"
        raise LinkError(text + _HINTS.get(error.errno or 0, "")) from error
    return True

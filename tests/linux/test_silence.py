# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The host behind an interface that stays with it while a container is at the other end.

What a container sends, with its usual rights, meets the same host twice: by an interface of the service's, and by one
that is as the kernel makes it and answers. So the silence of the first one is not that of a test that says nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv4Address, IPv6Address

import pytest

from kuryr_libnetwork.errors import LinkError
from kuryr_libnetwork.host.links import KernelLinks
from kuryr_libnetwork.host.netdevs import KernelNetdevs
from kuryr_libnetwork.model.links import ChildSpec, HostIp, VethSpec
from kuryr_libnetwork.rules.host_ip import SILENT, is_silent
from lab import managed_plugin
from tests.linux import wire
from tests.linux.namespace import Namespace, namespace
from tests.linux.wire import EVERYBODY, Wire

HOST4, HOST6 = "192.0.2.1", "2001:db8:1::1"
CONTAINER4, CONTAINER6 = "10.0.0.2", "fe80::c"
FOREIGN = "2001:db8:9::"
"""A prefix that only the container announces."""
MAC = "fa:16:3e:00:00:0c"
MDNS4, MDNS6 = "224.0.0.251", "ff02::fb"
PORT = 5353
CLONE_NEWNS = 0x00020000
RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x10, 0x100
NETLINK_HEADER = 16
ADDRESS = struct.Struct("=BBBBI")
"""``struct ifaddrmsg``; the interface's index is last."""

Maker = Callable[[Namespace], tuple[str, str]]
"""Makes an interface of the host's and its far end; answers the names of both."""


def kernels_own(host: Namespace) -> tuple[str, str]:
    host.command("ip", "link", "add", "plain", "type", "veth", "peer", "name", "far")
    host.command("ip", "link", "set", "plain", "up")
    return "plain", "far"


def pair(host: Namespace) -> tuple[str, str]:
    spec = VethSpec(host_name="tapx", container_name="t_cx", mac=MAC, mtu=1442, alias="kuryr:p1")
    host.run(KernelLinks().create_veth, spec)
    return "tapx", "t_cx"


def bridge(host: Namespace) -> tuple[str, str]:
    host.run(KernelLinks().create_bridge, "qbrx", "kuryr-part:p1")
    tap, far = pair(host)
    host.run(KernelLinks().add_to_bridge, tap, "qbrx")
    return "qbrx", far


def uplink(host: Namespace) -> tuple[str, str]:
    """What stands for a PF's or VF's device: the far end is its network."""
    host.command("ip", "link", "add", "vf0", "type", "veth", "peer", "name", "wire0")
    return "vf0", "wire0"


def function(host: Namespace) -> tuple[str, str]:
    vf, network = uplink(host)
    host.run(partial(KernelNetdevs().configure, vf, new_name="kvx", mtu=1442, host_ip=SILENT, up=True))
    return "kvx", network


def pf_set_up(host: Namespace) -> tuple[str, str]:
    pf, network = uplink(host)
    host.run(KernelNetdevs().set_up, pf)
    return pf, network


def macvtap(host: Namespace) -> tuple[str, str]:
    """As a network manager may set it up before Docker has it; likewise the next two."""
    vf, network = function(host)
    host.run(KernelNetdevs().create_macvtap, vf, "kvx1", 1400, "kuryr:p1")
    host.command("ip", "link", "set", "kvx1", "up")
    return "kvx1", network


def macvlan(host: Namespace) -> tuple[str, str]:
    parent, network = pf_set_up(host)
    spec = ChildSpec(kind="macvlan", name="t_cx", parent=parent, mtu=1400, alias="kuryr:p1", mac="fa:16:3e:00:00:0e")
    host.run(KernelLinks().create_child, spec)
    host.command("ip", "link", "set", "t_cx", "up")
    return "t_cx", network


def containers_end(host: Namespace) -> tuple[str, str]:
    tap, far = pair(host)
    host.command("ip", "link", "set", far, "up")
    return far, tap


MAKERS = [pair, bridge, function, pf_set_up, macvtap, macvlan, containers_end]


class Side:
    """An interface of the host's with a container at its far end. ``word``: what the container's datagrams
    begin with.
    """

    def __init__(self, host: Namespace, maker: Maker, word: str, rest: ExitStack) -> None:
        container = rest.enter_context(namespace())
        self._host = host
        self._word = word.encode()
        self.name, far = maker(host)
        self.index = host.run(socket.if_nametoindex, self.name)
        host.command("ip", "link", "set", far, "netns", str(container.run(threading.get_native_id)))
        self.wire = Wire(container, far)
        rest.callback(self.wire.close)
        container.command("sysctl", "-qw", f"net.ipv6.conf.{far}.disable_ipv6=1")
        container.command("ip", "link", "set", far, "up")

    def attack(self) -> None:
        """Frames that could have any effect; the last is a request that the kernel answers on every interface."""
        mac, word = self._mac(), self._word
        own = wire.link_local(mac)
        six, four = (CONTAINER6, HOST6), (CONTAINER4, HOST4)
        self.wire.send(
            wire.ping(wire.group_mac("ff02::1"), MAC, (CONTAINER6, "ff02::1")),
            wire.solicitation(MAC, CONTAINER6, own),
            wire.solicitation(MAC, CONTAINER6, HOST6),
            wire.ping(mac, MAC, (CONTAINER6, own)),
            wire.ping(mac, MAC, six),
            wire.udp(mac, MAC, six, PORT, word + b" over IPv6"),
            wire.udp(wire.group_mac(MDNS6), MAC, (CONTAINER6, MDNS6), PORT, word + b" by a group of IPv6"),
            wire.advertisement(MAC, CONTAINER6, FOREIGN),
            wire.arp(MAC, "0.0.0.0", HOST4),
            wire.ping(mac, MAC, four),
            wire.udp(mac, MAC, four, PORT, word + b" over IPv4"),
            wire.udp(EVERYBODY, MAC, four, PORT, word + b" by broadcast"),
            wire.udp(EVERYBODY, MAC, (CONTAINER4, "255.255.255.255"), PORT, word + b" to everybody"),
            wire.udp("01:00:5e:00:00:fb", MAC, (CONTAINER4, MDNS4), PORT, word + b" by a group of IPv4"),
            wire.arp(MAC, CONTAINER4, HOST4),
        )

    def _mac(self) -> str:
        found = self._host.run(KernelLinks().get, self.name)
        assert found is not None
        return found.mac

    def is_answered(self) -> bool:
        asked = IPv4Address(HOST4).packed
        return self.wire.hears(lambda frame: frame[12:14] == b"\x08\x06" and frame[28:32] == asked)

    def known(self) -> str:
        """What the host has learnt through this interface: addresses, routes, neighbours."""
        words = ("-6 address", "-4 address", "-6 route", "-4 route", "neighbour")
        shown = [self._host.command("ip", *each.split(), "show", "dev", self.name) for each in words]
        return "\n".join(line for text in shown for line in text.splitlines() if "mtu" not in line)


class Listeners:
    """Programs of the host's, on all its addresses and in the groups of mDNS on the interfaces given."""

    def __init__(self, host: Namespace, indexes: list[int], rest: ExitStack) -> None:
        self._sockets = [rest.enter_context(host.run(listener, family)) for family in (socket.AF_INET, socket.AF_INET6)]
        four, six = self._sockets
        for index in indexes:
            four.setsockopt(
                socket.IPPROTO_IP,
                socket.IP_ADD_MEMBERSHIP,
                struct.pack("=4s4si", IPv4Address(MDNS4).packed, bytes(4), index),
            )
            with contextlib.suppress(OSError):  # where there is no IPv6
                wanted = struct.pack("=16si", IPv6Address(MDNS6).packed, index)
                six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, wanted)

    def heard(self) -> set[str]:
        found = set()
        for each in self._sockets:
            with contextlib.suppress(BlockingIOError):
                while True:
                    found.add(each.recv(100).decode())
        return found


def listener(family: int) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    opened.bind(("", PORT))
    return opened


@pytest.fixture
def one_processor() -> Iterator[None]:
    """Keeps frames in order across interfaces: what is sent first is received first."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


@pytest.fixture
def host(one_processor: None) -> Iterator[Namespace]:
    """Threads start on the processor of the one that starts them."""
    with namespace() as inside:
        inside.command("ip", "link", "set", "lo", "up")
        inside.command("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "beyond")
        for name in ("uplink", "beyond"):
            inside.command("ip", "link", "set", name, "up")
        inside.command("ip", "address", "add", f"{HOST4}/24", "dev", "uplink")
        inside.command("ip", "address", "add", f"{HOST6}/64", "dev", "uplink", "nodad")
        yield inside


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_the_host_is_not_there(host: Namespace, maker: Maker) -> None:
    """A container would reach the host, and change its routes, past every security group."""
    with ExitStack() as rest:
        ours, kernels = Side(host, maker, "ours", rest), Side(host, kernels_own, "kernel's", rest)
        assert ours.wire.frames() == []
        listeners = Listeners(host, [ours.index, kernels.index], rest)
        ours.attack()
        kernels.attack()
        assert kernels.is_answered()
        heard = listeners.heard()
        assert {word for word in heard if word.startswith("ours")} == set()
        assert {word.removeprefix("kernel's ") for word in heard} >= {"over IPv4", "over IPv6", "by a group of IPv6"}
        assert [frame for frame in ours.wire.frames() if not wire.is_igmp(frame)] == []
        assert ours.known() == ""
        assert FOREIGN in kernels.known()
        assert "default via fe80::c" in kernels.known()


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_there_is_no_address_for_a_moment(host: Namespace, maker: Maker) -> None:
    """Between an interface's creation and turning its IP off, a container could reach the host."""
    with host.run(address_events) as events, ExitStack() as rest:
        ours, kernels = Side(host, maker, "ours", rest), Side(host, kernels_own, "kernel's", rest)
        seen: set[int] = set()
        while kernels.index not in seen:
            message = events.recv(65536)
            seen.add(ADDRESS.unpack_from(message, NETLINK_HEADER)[-1])
        assert ours.index not in seen


def address_events() -> socket.socket:
    """Every address that an interface gets, once the kernel has seen that nobody else has it."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    opened.bind((0, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
    opened.settimeout(wire.PATIENCE)
    return opened


def as_the_kernel_makes_it(host: Namespace, name: str) -> HostIp:
    found = host.run(KernelLinks().get, name)
    assert found is not None
    return found.host_ip


def test_in_the_container_it_is_as_the_containers_kernel_wants_it(host: Namespace) -> None:
    """A container would have no IPv6, or not answer ARP."""
    with namespace() as container:
        _, far = pair(host)
        host.command("ip", "link", "set", far, "netns", str(container.run(threading.get_native_id)))
        found, usual = as_the_kernel_makes_it(container, far), as_the_kernel_makes_it(container, "lo")
        assert not is_silent(found)
        assert (found.rp_filter, found.arp_ignore, found.accept_ra) == (usual.rp_filter, usual.arp_ignore, 1)
        assert (found.addr_gen_mode, found.disable_ipv6) == (0, 0)


def test_where_the_host_is_the_router_it_is_there_and_takes_no_router(host: Namespace) -> None:
    """A routed container would have no gateway; or be one for the host."""
    spec = VethSpec(host_name="tapx", container_name="t_cx", mac=MAC, mtu=1442, alias="kuryr:p1", routed=True)

    def routed(inside: Namespace) -> tuple[str, str]:
        inside.run(KernelLinks().create_veth, spec)
        return "tapx", "t_cx"

    with ExitStack() as rest:
        side = Side(host, routed, "routed", rest)
        side.attack()
        assert side.is_answered()
        assert FOREIGN not in side.known()
        assert "default" not in side.known()


def test_what_an_earlier_release_has_made_is_silenced(host: Namespace) -> None:
    """Containers that keep running during the upgrade could still reach the host."""
    with ExitStack() as rest:
        kernels = Side(host, kernels_own, "kernel's", rest)
        kernels.attack()
        assert kernels.is_answered()
        assert FOREIGN in kernels.known()
        host.run(KernelLinks().silence, kernels.name)
        assert {"inet6", "default"} & set(kernels.known().split()) == set()
        assert is_silent(as_the_kernel_makes_it(host, kernels.name))


def test_an_mtu_too_small_for_ipv6_is_no_obstacle(host: Namespace) -> None:
    """Containers of a network with a small MTU would not start; nor any where the kernel has no IPv6, which is the
    same.
    """
    spec = VethSpec(host_name="tapx", container_name="t_cx", mac=MAC, mtu=1000, alias="kuryr:p1")
    host.run(KernelLinks().create_veth, spec)
    found = as_the_kernel_makes_it(host, "tapx")
    assert (found.disable_ipv6, found.rp_filter) == (None, SILENT.rp_filter)


@pytest.fixture
def read_only(host: Namespace) -> Namespace:
    """As in a container: ``/proc/sys`` may not be written."""
    host.run(own_mounts)
    host.command("mount", "--bind", "/proc/sys", "/proc/sys")
    host.command("mount", "-o", "remount,bind,ro", "/proc/sys")
    return host


def own_mounts() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(CLONE_NEWNS) == 0
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@pytest.mark.parametrize("maker", [pair, bridge, macvlan], ids=lambda maker: maker.__name__)
def test_a_host_that_cannot_be_silenced_gets_no_container(read_only: Namespace, maker: Maker) -> None:
    """The container would start and could reach the host, without anybody knowing."""
    with pytest.raises(LinkError, match=r"own IP on interface .* cannot be turned off .*: Read-only file system"):
        maker(read_only)
    names = read_only.command("ip", "-brief", "link").split()
    assert not [name for name in names if name.startswith(("tap", "t_c", "qbr"))]


def test_the_managed_plugins_own_place_will_do(host: Namespace) -> None:
    """Containers would not start with the managed plugin, whose ``/proc/sys`` is read-only."""
    host.run(own_mounts)
    host.command("mount", "-t", "tmpfs", "run", "/run")
    (mount,) = (each for each in managed_plugin.config()["mounts"] if each["source"] == "/proc/sys/net")
    place = mount["destination"]
    host.command("mkdir", place)
    host.command("mount", "--bind", "/proc/sys/net", place)
    host.command("mount", "--bind", "/proc/sys", "/proc/sys")
    host.command("mount", "-o", "remount,bind,ro", "/proc/sys")
    name, _ = pair(host)
    assert is_silent(as_the_kernel_makes_it(host, name))

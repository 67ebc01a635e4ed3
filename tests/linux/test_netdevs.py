# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Network devices on the real kernel. Veth pairs and macvlans stand in for VFs, as far as all devices are alike."""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.errors import LinkError, LinkExists, LinkNotFound
from kuryr_libnetwork.host import dumps
from kuryr_libnetwork.host.announcements import checksum
from kuryr_libnetwork.host.elsewhere import IFLA_IFALIAS
from kuryr_libnetwork.host.netdevs import KernelNetdevs
from kuryr_libnetwork.model.sriov import DeviceUse, NetdevState
from kuryr_libnetwork.rules.host_ip import SILENT, is_silent
from kuryr_libnetwork.rules.link_attributes import CHANGEABLE
from tests.linux.namespace import Namespace, namespace

MAC = "fa:16:3e:00:00:01"
PCI = "0000:01:10.4"
CAP_NET_RAW = 13
LOOP = 10
"""Seconds to wait for a frame that should come."""


def alias_as_parent(attributes: Mapping[int, bytes]) -> str:
    """There is no PCI device behind a pair: its alias stands for the address."""
    return dumps.text(attributes.get(IFLA_IFALIAS, b""))


@pytest.fixture
def host() -> Iterator[Namespace]:
    with namespace() as inside:
        inside.command("ip", "link", "add", "vf0", "type", "veth", "peer", "name", "wire0")
        yield inside


@pytest.fixture
def container() -> Iterator[Namespace]:
    with namespace() as inside:
        yield inside


@pytest.fixture
def netdevs() -> KernelNetdevs:
    return KernelNetdevs(alias_as_parent)


def path_of(inside: Namespace) -> str:
    """As long as its thread lives."""
    return inside.run(lambda: os.readlink("/proc/thread-self")).join(("/proc/", "/ns/net"))


def test_renamed_mac_and_mtu_set_and_down(host: Namespace, netdevs: KernelNetdevs) -> None:
    """The container would get a device with another MAC or MTU than its port, or one that the kernel refuses to
    rename.
    """
    host.command("ip", "link", "set", "vf0", "up")
    host.run(partial(netdevs.configure, "vf0", new_name="kv0f9e3a557c1", mac=MAC.upper(), mtu=1442))
    wanted = NetdevState(name="kv0f9e3a557c1", mac=MAC, mtu=1442, up=False)
    assert wanted.is_again(host.run(netdevs.state, "kv0f9e3a557c1"))
    assert host.run(netdevs.state, "vf0") is None


def test_set_up_when_asked(host: Namespace, netdevs: KernelNetdevs) -> None:
    """A macvtap on a VF that is down carries nothing."""
    host.run(partial(netdevs.configure, "vf0", up=True))
    found = host.run(netdevs.state, "vf0")
    assert found is not None
    assert found.up


def test_the_hosts_own_ip_is_turned_off_and_put_back(host: Namespace, netdevs: KernelNetdevs) -> None:
    """The host would be on the container's network while a VF waits for it, or a returned VF have no IPv6 any more."""
    host.command("sysctl", "-qw", "net.ipv6.conf.vf0.accept_ra=2", "net.ipv4.conf.vf0.rp_filter=1")
    before = host.run(netdevs.state, "vf0")
    assert before is not None
    host.run(partial(netdevs.configure, "vf0", host_ip=SILENT, mtu=1400, up=True))
    during = host.run(netdevs.state, "vf0")
    assert during is not None
    assert during.host_ip == SILENT
    host.run(partial(netdevs.configure, "vf0", mtu=before.mtu, host_ip=before.host_ip, up=before.up))
    assert before.is_again(host.run(netdevs.state, "vf0"))


def test_a_device_too_small_for_ipv6_is_turned_off_and_put_back(host: Namespace, netdevs: KernelNetdevs) -> None:
    """A container of a network with a small MTU would not start, nor its VF come back."""
    host.command("ip", "link", "set", "vf0", "mtu", "1000")
    before = host.run(netdevs.state, "vf0")
    assert before is not None
    for mtu in (1400, 1000):
        host.run(partial(netdevs.configure, "vf0", mtu=mtu, host_ip=SILENT, up=True))
        during = host.run(netdevs.state, "vf0")
        assert during is not None
        assert during.host_ip is not None
        assert is_silent(during.host_ip)
        assert (during.host_ip.disable_ipv6 is None) is (mtu == 1000)
    host.run(partial(netdevs.configure, "vf0", mtu=before.mtu, host_ip=before.host_ip, up=before.up))
    assert before.is_again(host.run(netdevs.state, "vf0"))


SPOILING = [
    "ip link set vf0 arp off promisc on allmulticast on multicast off",
    "ip link set vf0 txqueuelen 7 alias mine group 5 mode dormant",
    "ip link set vf0 broadcast ff:ff:ff:ff:ff:00",
    "ip link set vf0 gso_max_size 3000 gso_max_segs 3 gro_max_size 3000",
    "ip link property add dev vf0 altname docker1",
    "ip link property del dev vf0 altname enp1s0f0v0",
]


def test_what_a_container_set_on_its_device_is_undone(host: Namespace, netdevs: KernelNetdevs) -> None:
    """The next container would have a device without ARP and multicast, and ``ip link add docker1`` fail on the
    host.
    """
    host.command(*["ip", "link", "set", "vf0", "txqueuelen", "500", "alias", "lab"])
    host.command(*["ip", "link", "property", "add", "dev", "vf0", "altname", "enp1s0f0v0"])
    before = host.run(netdevs.state, "vf0")
    assert before is not None
    for command in SPOILING:
        host.command(*command.split())
    attached = attach_program(host, "vf0")
    spoiled = host.run(netdevs.state, "vf0")
    assert spoiled is not None
    assert spoiled.attributes is not None
    assert (spoiled.attributes.flags, spoiled.attributes.xdp, spoiled.attributes.altnames) == (
        0x380,
        attached,
        ("docker1",),
    )
    assert not before.is_again(spoiled)
    host.run(partial(netdevs.configure, "vf0", attributes=before.attributes))
    assert host.run(netdevs.state, "vf0") == before


def test_every_flag_that_a_container_can_set_is_taken_off(host: Namespace, netdevs: KernelNetdevs) -> None:
    """The next container would have a device with flags that iproute2 has no words for."""
    before = host.run(netdevs.state, "vf0")
    assert before is not None
    assert before.attributes is not None

    def spoil() -> None:
        from pyroute2 import IPRoute

        with IPRoute() as socket:
            socket.link("set", index=socket.link_lookup(ifname="vf0")[0], flags=CHANGEABLE, change=CHANGEABLE)

    host.run(spoil)
    spoiled = host.run(netdevs.state, "vf0")
    assert spoiled is not None
    assert spoiled.attributes is not None
    assert spoiled.attributes.flags == CHANGEABLE
    host.run(partial(netdevs.configure, "vf0", attributes=before.attributes))
    assert host.run(netdevs.state, "vf0") == before


DROPPED = [
    "ip link set vf0 up",
    "ip addr add 10.9.0.1/24 dev vf0",
    "ip addr add fd00:9::1/64 dev vf0",
    "ip route add 10.10.0.0/16 via 10.9.0.2",
    "ip neigh add 10.9.0.7 lladdr 02:00:00:00:00:07 dev vf0",
    "sysctl -qw net.ipv4.conf.vf0.tag=77 net.ipv6.conf.vf0.hop_limit=7",
    "ip token set ::77 dev vf0",
    "ip maddr add 33:33:00:00:00:77 dev vf0",
    "bridge fdb add 02:00:00:00:00:99 dev vf0 self",
    "tc qdisc add dev vf0 clsact",
]
SHOWN = ["ip addr", "ip route", "ip neigh", "ip token", "ip maddr", "bridge fdb", "tc qdisc"]


def test_what_the_kernel_drops_when_a_device_leaves(host: Namespace, container: Namespace) -> None:
    """docs/notes/sriov.md says that nobody has to undo these: the next container would have them otherwise."""
    for command in DROPPED:
        host.command(*command.split())
    host.command("ip", "link", "set", "vf0", "netns", path_of(container))
    container.command("ip", "link", "set", "vf0", "up")
    left = "".join(container.command(*command.split(), "show", "dev", "vf0") for command in SHOWN)
    for value in ("10.9.0", "fd00:9", "10.10.", "::77", "33:33:00:00:00:77", "02:00:00:00:00:99", "clsact"):
        assert value not in left
    found = container.command("sysctl", "-n", "net.ipv4.conf.vf0.tag", "net.ipv6.conf.vf0.hop_limit").split()
    assert not {"77", "7"} & set(found)


def attach_program(host: Namespace, name: str) -> bool:
    """An XDP program that passes everything; whether such programs are allowed here."""

    def attach() -> bool:
        from pyroute2 import IPRoute

        code = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0)  # r0 = XDP_PASS; exit
        kept = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
        wanted = struct.pack("<IIQQ", 6, 2, *map(ctypes.addressof, kept)).ljust(128, b"\0")
        program = ctypes.CDLL(None, use_errno=True).syscall(321, 5, wanted, len(wanted))  # BPF_PROG_LOAD
        if program < 0:
            return False
        with IPRoute() as socket:
            index = socket.link_lookup(ifname=name)[0]
            socket.link("set", index=index, IFLA_XDP={"attrs": [["IFLA_XDP_FD", program]]})
        os.close(program)
        return True

    return host.run(attach)


def test_an_altname_that_another_device_has_by_now_is_left_to_it(host: Namespace, netdevs: KernelNetdevs) -> None:
    """A VF would be quarantined for a name that somebody else took in the meantime."""
    host.command("ip", "link", "property", "add", "dev", "vf0", "altname", "enp1s0f0v0")
    before = host.run(netdevs.state, "vf0")
    assert before is not None
    host.command("ip", "link", "property", "del", "dev", "vf0", "altname", "enp1s0f0v0")
    host.command("ip", "link", "property", "add", "dev", "wire0", "altname", "enp1s0f0v0")
    host.run(partial(netdevs.configure, "vf0", attributes=before.attributes))
    assert before.is_again(host.run(netdevs.state, "vf0"))
    other = host.run(netdevs.state, "wire0")
    assert other is not None
    assert other.attributes is not None
    assert other.attributes.altnames == ("enp1s0f0v0",)


def test_a_containers_altname_keeps_no_device_away(
    host: Namespace, container: Namespace, netdevs: KernelNetdevs
) -> None:
    """If the container's device has a name of the host's, its VF would never come back, or the host lose that name."""
    away(host, container)
    for name in ("wire0", "docker1"):
        container.command("ip", "link", "property", "add", "dev", "eth0", "altname", name)
    assert host.run(netdevs.fetch_from_sandbox, PCI, [path_of(container)], "kv0f9e3a557c1")
    host.command("ip", "link", "add", "docker1", "type", "veth", "peer", "name", "wire1")


def test_a_refused_attribute_is_named(host: Namespace, netdevs: KernelNetdevs) -> None:
    """The operator would read that a VF is quarantined, and not why."""
    before = host.run(netdevs.state, "vf0")
    assert before is not None
    assert before.attributes is not None
    wrong = msgspec.structs.replace(before.attributes, gso_max_segs=1 << 20)
    with pytest.raises(LinkError, match="set the gso_max_segs of device vf0 to 1048576"):
        host.run(partial(netdevs.configure, "vf0", attributes=wrong))


def test_a_name_that_is_its_own_altname_is_taken(host: Namespace, netdevs: KernelNetdevs) -> None:
    """udev keeps old names as alternative ones: restoring the name would fail with "File exists"."""
    host.command("ip", "link", "property", "add", "dev", "vf0", "altname", "enp1s0f0v0")
    host.run(partial(netdevs.configure, "vf0", new_name="enp1s0f0v0"))
    assert host.run(netdevs.state, "enp1s0f0v0") is not None


def test_a_name_that_is_taken_for_a_moment(host: Namespace, netdevs: KernelNetdevs) -> None:
    """Of two VFs that are bound anew at the same moment one may get the other's name, which would be quarantined."""
    host.command("ip", "link", "set", "wire0", "down")
    leaves = host.run(subprocess.Popen, ["sh", "-c", "sleep 0.3; ip link set wire0 name gone0"])
    host.run(partial(netdevs.configure, "vf0", new_name="wire0"))
    assert leaves.wait() == 0
    assert host.run(netdevs.state, "vf0") is None


def test_a_taken_name_is_said(host: Namespace, netdevs: KernelNetdevs) -> None:
    """The caller would not know that it has to choose another name."""
    with pytest.raises(LinkExists, match="rename device vf0 to wire0"):
        host.run(partial(netdevs.configure, "vf0", new_name="wire0"))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [({"mac": "01:00:5e:00:00:01"}, "MAC of device vf0"), ({"mtu": 10}, "MTU of device vf0 to 10")],
)
def test_a_refused_value_is_named(host: Namespace, netdevs: KernelNetdevs, wrong: dict[str, Any], text: str) -> None:
    """An operator would not know which setting the kernel refused."""
    with pytest.raises(LinkError, match=text):
        host.run(partial(netdevs.configure, "vf0", **wrong))


def test_what_is_not_there_is_said(host: Namespace, netdevs: KernelNetdevs) -> None:
    """A device that has left the namespace would be taken for one that is ready."""
    with pytest.raises(LinkNotFound):
        host.run(partial(netdevs.configure, "vf9", mtu=1400))
    with pytest.raises(LinkNotFound):
        host.run(netdevs.in_use, "vf9")
    assert not host.run(netdevs.delete, "vf9")


def test_an_idle_device_is_free(host: Namespace, netdevs: KernelNetdevs) -> None:
    """No VF could ever be given out."""
    assert host.run(netdevs.in_use, "vf0") == ""


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        (["ip link set vf0 up"], "is up"),
        (["ip address add 192.0.2.1/24 dev vf0"], "has address 192.0.2.1"),
        (["ip address add 2001:db8::1/64 dev vf0"], "has address 2001:db8::1"),
        (["ip link add br7 type bridge", "ip link set vf0 master br7"], "is in bridge br7"),
        (["ip link add link vf0 name mv0 type macvlan mode bridge"], "carries macvlan mv0"),
    ],
)
def test_a_device_that_somebody_uses_is_not_free(
    host: Namespace, netdevs: KernelNetdevs, commands: list[str], reason: str
) -> None:
    """A VF that the operator uses himself would disappear from the host."""
    for command in commands:
        host.command(*command.split())
    assert host.run(netdevs.in_use, "vf0") == reason


def test_one_look_tells_of_many(host: Namespace, netdevs: KernelNetdevs) -> None:
    """A host with many VFs would be asked a hundred times for each container; or one VF's use be taken for
    another's.
    """
    host.command("ip", "link", "add", "vf1", "type", "veth", "peer", "name", "wire1")
    host.command("ip", "link", "set", "vf1", "up")
    host.command("ip", "address", "add", "192.0.2.1/24", "dev", "vf1")
    host.command("ip", "route", "add", "default", "via", "192.0.2.2", "dev", "vf1")
    found = host.run(netdevs.uses, ["vf0", "vf1", "nothing"])
    assert found == {"vf0": DeviceUse(), "vf1": DeviceUse(reason="has address 192.0.2.1", default_route=True)}


@pytest.mark.parametrize(
    "route",
    [
        "ip route add default dev vf0",
        "ip route add default dev vf0 table 77",
        "ip route add default nexthop dev vf0 nexthop dev vf1",
        "ip -6 route add default dev vf0 metric 5",
        "ip -6 route add default via fe80::1 dev vf0 table 9",
    ],
)
def test_a_default_route_is_seen(host: Namespace, netdevs: KernelNetdevs, route: str) -> None:
    """The host would lose its way out: the PF or VF that carries it would be taken."""
    host.command("ip", "link", "add", "vf1", "type", "veth", "peer", "name", "wire1")
    for name in ("vf0", "wire0", "vf1"):
        host.command("ip", "link", "set", name, "up")
    assert not host.run(netdevs.carries_default_route, ["vf0", "vf1"])
    host.command(*route.split())
    assert host.run(netdevs.carries_default_route, ["wire0", "nothing", "vf0"])
    assert not host.run(netdevs.carries_default_route, ["wire0"])
    assert host.run(netdevs.in_use, "vf0") == "carries a default route"


@pytest.mark.parametrize(
    "commands",
    [
        [
            "ip link add br7 type bridge",
            "ip link set vf0 master br7",
            "ip link set br7 up",
            "ip route add default dev br7",
        ],
        ["ip link add link vf0 name mv0 type macvlan", "ip link set mv0 up", "ip -6 route add default dev mv0"],
        [
            "ip link add link vf0 name mv0 type macvlan",
            "ip link add br7 type bridge",
            "ip link set mv0 master br7",
            "ip link set br7 up",
            "ip route add default dev br7",
        ],
    ],
    ids=["bridge", "macvlan", "bridge over a macvlan"],
)
def test_a_default_route_is_seen_through_what_the_device_is_in(
    host: Namespace, netdevs: KernelNetdevs, commands: list[str]
) -> None:
    """VFs of the card through which the operator reaches the host would be given out without his permission."""
    host.command("ip", "link", "add", "vf1", "type", "veth", "peer", "name", "wire1")
    host.command("ip", "link", "set", "vf0", "up")
    for command in commands:
        host.command(*command.split())
    assert host.run(netdevs.carries_default_route, ["vf0"])
    assert not host.run(netdevs.carries_default_route, ["vf1", "wire0"])
    found = host.run(netdevs.uses, ["vf0", "vf1"])
    assert (found["vf0"].default_route, found["vf1"].default_route) == (True, False)


def test_carrier_is_waited_for(host: Namespace, netdevs: KernelNetdevs) -> None:
    """Announcements would be lost, because a VF gets its carrier only seconds after it is up."""
    host.command("ip", "link", "set", "vf0", "up")
    assert not host.run(netdevs.wait_carrier, "vf0", 0.0)
    host.command("ip", "link", "set", "wire0", "up")
    assert host.run(netdevs.wait_carrier, "vf0", float(LOOP))


def away(host: Namespace, container: Namespace, *names: str) -> None:
    host.command("ip", "link", "set", "vf0", "alias", PCI)
    pid = path_of(container).split("/")[-3]
    host.command("ip", "link", "set", "vf0", "netns", pid)
    container.command("ip", "link", "set", "vf0", "name", *(names or ("eth0",)))


def test_a_device_is_brought_home_under_its_name(
    host: Namespace, container: Namespace, netdevs: KernelNetdevs, tmp_path: Path
) -> None:
    """A dead container's VF would stay lost, or take the name of the host's own eth0."""
    away(host, container)
    container.command("ip", "link", "set", "eth0", "up")
    host.command("ip", "link", "set", "wire0", "name", "eth0")
    dead = tmp_path / "dead"
    dead.touch()
    places = [str(tmp_path / "nothing"), str(dead), path_of(host), path_of(container)]
    assert host.run(netdevs.fetch_from_sandbox, PCI, places, "kv0f9e3a557c1")
    found = host.run(netdevs.state, "kv0f9e3a557c1")
    assert found is not None
    assert not found.up
    assert container.run(netdevs.state, "eth0") is None
    assert not host.run(netdevs.fetch_from_sandbox, PCI, places, "again")


def test_a_device_with_its_home_name_as_altname_is_brought_home(
    host: Namespace, container: Namespace, netdevs: KernelNetdevs
) -> None:
    """The alternative name that udev gave it would block its own name."""
    away(host, container)
    container.command("ip", "link", "property", "add", "dev", "eth0", "altname", "enp1s0f0v0")
    assert host.run(netdevs.fetch_from_sandbox, PCI, [path_of(container)], "enp1s0f0v0")
    assert host.run(netdevs.state, "enp1s0f0v0") is not None


def test_a_taken_home_name_is_said_and_the_device_is_home(
    host: Namespace, container: Namespace, netdevs: KernelNetdevs
) -> None:
    """The kernel moves first and renames then: a second look into the container would find the device lost."""
    away(host, container)
    with pytest.raises(LinkExists, match=f"bring the device of {PCI} home as wire0"):
        host.run(netdevs.fetch_from_sandbox, PCI, [path_of(container)], "wire0")
    assert container.run(netdevs.state, "eth0") is None
    assert host.run(netdevs.state, "eth0") is not None


def test_the_calling_thread_stays_at_home(host: Namespace, container: Namespace, netdevs: KernelNetdevs) -> None:
    """The service's next operation would happen in a container."""
    away(host, container)
    before = path_of(host), host.run(os.readlink, "/proc/thread-self/ns/net")
    host.run(netdevs.fetch_from_sandbox, "0000:09:00.0", [path_of(container)], "none")
    assert (path_of(host), host.run(os.readlink, "/proc/thread-self/ns/net")) == before


def test_a_macvtap_is_made_and_deleted(host: Namespace, netdevs: KernelNetdevs) -> None:
    """A macvtap port would have no device, or one that nobody knows as ours."""
    host.run(netdevs.create_macvtap, "vf0", "kv0f9e3a557c1", 1442, "kuryr:p1")
    shown = host.command("ip", "-details", "link", "show", "kv0f9e3a557c1")
    assert "macvtap mode passthru" in shown
    assert "alias kuryr:p1" in shown
    made, below = host.run(netdevs.state, "kv0f9e3a557c1"), host.run(netdevs.state, "vf0")
    assert made is not None
    assert below is not None
    assert (made.mac, made.mtu) == (below.mac, 1442)
    assert host.run(netdevs.delete, "kv0f9e3a557c1")
    assert not host.run(netdevs.delete, "kv0f9e3a557c1")


def test_a_macvtap_that_cannot_be_finished_is_taken_away(host: Namespace, netdevs: KernelNetdevs) -> None:
    """A device without our alias would block its VF for ever."""
    with pytest.raises(LinkError):
        host.run(netdevs.create_macvtap, "vf0", "kv1", 1442, "x" * 300)
    assert host.run(netdevs.state, "kv1") is None


def test_a_vlan_is_made_where_the_kernel_has_them(host: Namespace, netdevs: KernelNetdevs) -> None:
    """A kernel without VLANs would be reported as another error, or the VLAN would be a wrong one."""
    try:
        host.run(netdevs.create_vlan, "vf0", "vf0.100", 100, 1442, "kuryr:p1")
    except LinkError as error:
        assert "no support" in str(error)  # noqa: PT017
        return
    assert "vlan protocol 802.1Q id 100" in host.command("ip", "-details", "link", "show", "vf0.100")


def test_addresses_are_announced_to_the_neighbours(
    host: Namespace, container: Namespace, netdevs: KernelNetdevs
) -> None:
    """Neighbours would send to the port's former place until their caches forget it."""
    away(host, container)
    container.run(partial(netdevs.configure, "eth0", mac=MAC, up=True))
    host.command("ip", "link", "set", "wire0", "up")
    with host.run(partial(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))) as tap:
        tap.bind(("wire0", 3))
        tap.settimeout(LOOP)
        assert not netdevs.announce(path_of(container), "fa:16:3e:00:00:99", ["192.0.2.7"])
        assert netdevs.announce(path_of(container), MAC, ["192.0.2.7/24", "2001:db8::7"])
        frames = [next_frame(tap, b"\x08\x06"), next_frame(tap, b"\x86\xdd", 136)]
    hardware = bytes.fromhex(MAC.replace(":", ""))
    assert frames[0][:12] == b"\xff" * 6 + hardware
    assert frames[0][14:42] == bytes.fromhex("0001080006040001") + hardware + bytes.fromhex(
        "c0000207 000000000000 c0000207"
    )
    source, target, icmp = frames[1][22:38], frames[1][38:54], frames[1][54:]
    assert (IPv6Address(source), IPv6Address(target)) == (IPv6Address("2001:db8::7"), IPv6Address("ff02::1"))
    assert frames[1][:12] == bytes.fromhex("333300000001") + hardware
    assert checksum(source + target + len(icmp).to_bytes(4, "big") + (58).to_bytes(4, "big") + icmp) == 0
    assert icmp[4:] == bytes.fromhex("20000000") + source + b"\x02\x01" + hardware


def next_frame(tap: socket.socket, kind: bytes, icmp: int | None = None) -> bytes:
    """The next frame of that EtherType, skipping what the kernel itself sends."""
    while True:
        data = tap.recv(2048)
        if data[12:14] == kind and (icmp is None or (data[54] == icmp and data[20] == 58)):
            return data


def test_announcing_from_a_container_that_is_gone_is_said(netdevs: KernelNetdevs, tmp_path: Path) -> None:
    """The announcements would go out from the host."""
    with pytest.raises(LinkNotFound):
        netdevs.announce(str(tmp_path / "gone"), MAC, ["192.0.2.7"])


IN_OPEN, IN_CREATE = 0x20, 0x100


class Watch:
    """Tells whether anything in a folder is opened, which a device or pipe would react to."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self._fd, str(folder).encode(), IN_OPEN | IN_CREATE) >= 0

    def seen(self) -> bytes:
        try:
            return os.read(self._fd, 65536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._fd)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))  # of /dev/null, for others do something when they are opened


def listener(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    "make", [pipe, device, listener, link_to_itself, Path.mkdir, Path.touch], ids=lambda make: make.__name__
)
def test_what_is_no_namespace_is_not_even_opened(
    host: Namespace, netdevs: KernelNetdevs, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """Whoever names a sandbox could make root open any pipe or device, or prevent a VF from being fetched back."""
    path = tmp_path / "place"
    try:
        make(path)
    except PermissionError:
        pytest.skip("no device can be made here")
    watch = Watch(tmp_path)
    with pytest.raises(LinkNotFound, match="place"):
        netdevs.announce(str(path), MAC, ["192.0.2.7"])
    assert not host.run(netdevs.fetch_from_sandbox, PCI, [str(path)], "kv0f9e3a557c1")
    assert watch.seen() == b""
    (tmp_path / "other").touch()
    assert watch.seen() != b""  # it does see
    watch.close()


@pytest.mark.parametrize("kind", ["mnt", "pid", "uts", "user"])
def test_a_namespace_of_another_kind_is_no_sandbox(netdevs: KernelNetdevs, kind: str) -> None:
    """The service's thread would be left in another mount namespace, or the error would not help."""
    with pytest.raises(LinkNotFound, match="is a namespace, but not of a network"):
        netdevs.announce(f"/proc/self/ns/{kind}", MAC, ["192.0.2.7"])


def test_the_hosts_own_namespace_is_no_sandbox(host: Namespace, netdevs: KernelNetdevs) -> None:
    """The host would tell the neighbours of a container's address as if it were its own."""
    host.command("ip", "link", "set", "vf0", "address", MAC, "up")
    host.command("ip", "link", "set", "wire0", "up")
    with pytest.raises(LinkNotFound, match="is the host's own network namespace"):
        host.run(partial(netdevs.announce, path_of(host), MAC, ["192.0.2.7"]))
    assert not host.run(netdevs.fetch_from_sandbox, PCI, [path_of(host)], "kv0f9e3a557c1")


def without_raw_sockets(work: Callable[[], object]) -> None:
    """Runs in a thread that drops CAP_NET_RAW, as in a service whose unit does not grant it."""

    def limited() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
        held = (ctypes.c_uint32 * 6)()
        libc.capget(header, held)
        held[0] &= ~(1 << CAP_NET_RAW)  # the effective ones
        if libc.capset(header, held):
            raise OSError(ctypes.get_errno(), "capset")
        work()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(limited).result()


def test_announcing_without_the_right_to_is_said(host: Namespace, container: Namespace, netdevs: KernelNetdevs) -> None:
    """The error would end the announcer's thread, and no further container would be announced."""
    away(host, container)
    container.run(partial(netdevs.configure, "eth0", mac=MAC, up=True))
    host.command("ip", "link", "set", "wire0", "up")
    path = path_of(container)
    with pytest.raises(LinkError, match=r"cannot announce .*: Operation not permitted; the service needs CAP_NET_RAW"):
        without_raw_sockets(lambda: netdevs.announce(path, MAC, ["192.0.2.7"]))

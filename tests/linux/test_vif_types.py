# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers attached in every way that Neutron may require, in the real kernel and a real Open vSwitch."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kuryr_libnetwork.errors import BindingScriptFailed
from kuryr_libnetwork.host.links import KernelLinks
from kuryr_libnetwork.host.ovsdb import OvsDatabase
from kuryr_libnetwork.host.scripts import BindingScripts
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import PlugRecord
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from tests.linux.namespace import Namespace, Switch, namespace, switch

NET = "5f0c0c3c-30cf-4f5e-8a4b-3f3a7b6f1d01"
BRQ = "brq5f0c0c3c-30"
IDS = ("0f9e3a55-7c1b-4d6e-9a57-1b2c3d4e5f60", "1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d")
MTU = 1400


class Host:
    """A host with Open vSwitch, and a folder for scripts."""

    def __init__(self, inside: Namespace, switch: Switch, folder: Path) -> None:
        self.inside = inside
        self.switch = switch
        self.folder = folder
        self.ovs = OvsDatabase(switch.address, 20)
        self.driver = VethDriver(KernelLinks(), self.ovs, BindingScripts(folder, timeout=20))

    def plug(self, port: Port) -> PlugRecord:
        plug = self.inside.run(self.driver.plan, port, f"endpoint-of-{port.id}")
        self.inside.run(self.driver.plug, plug, port, f"endpoint-of-{port.id}", MTU)
        return plug

    def unplug(self, plug: PlugRecord) -> None:
        self.inside.run(self.driver.unplug, plug)

    def give(self, plug: PlugRecord, container: Namespace, address: str) -> None:
        """What Docker does with the container's end."""
        thread = container.run(threading.get_native_id)
        self.inside.command("ip", "link", "set", plug.container_ifname, "netns", str(thread))
        container.command("ip", "addr", "add", address, "dev", plug.container_ifname)
        container.command("ip", "link", "set", plug.container_ifname, "up")

    def links(self) -> list[str]:
        lines = self.inside.command("ip", "-brief", "link").splitlines()
        return sorted(name for name in (line.split()[0].partition("@")[0] for line in lines) if name not in OURS)

    def members(self, bridge: str) -> list[str]:
        return sorted(self.inside.run(KernelLinks().members, bridge))


OURS = {"lo", "ovs-netdev", "br-int"}


def reaches(one: Namespace, two: Namespace) -> bool:
    """Whether a datagram of the first container gets to the second one; the first ones may wait for ARP in vain."""
    with one.run(datagrams, "10.0.0.1") as client, two.run(datagrams, "10.0.0.2") as server:
        for _ in range(100):
            client.sendto(b"hello", ("10.0.0.2", 7))
            with contextlib.suppress(TimeoutError):
                return server.recv(100) == b"hello"
    return False


def datagrams(address: str) -> socket.socket:
    """A socket belongs to the namespace in which it was opened."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((address, 7))
    opened.settimeout(0.2)
    return opened


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    folder = tmp_path / "bindir"
    folder.mkdir()
    with namespace() as inside, switch(tmp_path, inside, "br-int") as started:
        made = Host(inside, started, folder)
        yield made
        made.ovs.close()


def port(number: int, vif_type: str = "ovs", **details: Any) -> Port:
    return Port(
        id=IDS[number],
        network_id=NET,
        mac_address=f"fa:16:3e:00:00:0{number}",
        vif_type=vif_type,
        vif_details={"port_filter": True, "datapath_type": "netdev", **details},
    )


def parts(number: int) -> list[str]:
    return [prefix + IDS[number][:11] for prefix in ("qbr", "qvb", "qvo", "tap")]


def test_two_containers_reach_each_other_through_hybrid_bridges(host: Host) -> None:
    """With the agent's iptables firewall, containers would have no network, or one past the firewall."""
    with namespace() as one, namespace() as two:
        plugs = [host.plug(port(number, ovs_hybrid_plug=True)) for number in (0, 1)]
        for number, (plug, container) in enumerate(zip(plugs, (one, two), strict=True)):
            qbr, qvb, qvo, tap = parts(number)
            assert host.members(qbr) == sorted([qvb, tap])
            assert plug.host_ifname == tap
            ids = host.switch.vsctl("get", "Interface", qvo, "external_ids")
            assert f'iface-id="{IDS[number]}"' in ids
            assert "iface-status=active" in ids
            assert qvo in host.switch.vsctl("list-ports", "br-int").split()
            assert tap not in host.switch.vsctl("list-ports", "br-int").split()
            assert f"mtu {MTU}" in host.inside.command("ip", "link", "show", qvo)
            host.give(plug, container, f"10.0.0.{number + 1}/24")
        assert reaches(one, two)
        for plug in plugs:
            assert host.inside.run(host.driver.where, plug) == "container"
            host.unplug(plug)
            host.unplug(plug)
    assert host.links() == []
    assert host.ovs.owned() == []


def test_a_hybrid_plug_can_be_repeated_and_is_found_again_without_a_record(host: Host) -> None:
    """A repeated call would fail; with the journal lost the bridge and its pair would stay for ever."""
    bound = port(0, ovs_hybrid_plug=True)
    plug = host.plug(bound)
    before = host.inside.command("ip", "link")
    host.plug(bound)
    assert host.inside.command("ip", "link") == before
    unbound = Port(id=IDS[0], network_id=NET, mac_address=bound.mac_address, vif_type="unbound")
    recovered = host.inside.run(host.driver.recover, unbound)
    assert (recovered.attachment, recovered.host_ifname) == ("hybrid", plug.host_ifname)
    host.unplug(recovered)
    assert host.links() == []
    assert host.ovs.owned() == []


def test_what_upstreams_script_has_left_is_removed(host: Host) -> None:
    """After the change from upstream's service the bridges of its containers would stay."""
    qbr, qvb, qvo, tap = parts(0)
    inside = host.inside
    inside.command("ip", "link", "add", qbr, "type", "bridge")
    inside.command("ip", "link", "add", tap, "type", "veth", "peer", "name", f"t_c{IDS[0][:11]}")
    inside.command("ip", "link", "add", qvb, "type", "veth", "peer", "name", qvo)
    for name in (tap, qvb):
        inside.command("ip", "link", "set", name, "master", qbr)
    ids = [f"external_ids:iface-id={IDS[0]}", "external_ids:owner=kuryr", "external_ids:vm-id=e"]
    host.switch.vsctl("add-port", "br-int", qvo, "--", "set", "Interface", qvo, *ids)
    host.unplug(inside.run(host.driver.recover, port(0, ovs_hybrid_plug=True)))
    assert host.links() == []
    assert host.ovs.owned() == []


def test_rows_that_a_reboot_left_are_found(host: Host) -> None:
    """Open vSwitch keeps its rows over a reboot: they would pile up, and complain of interfaces that are not there."""
    host.plug(port(0, ovs_hybrid_plug=True))
    qbr, _, qvo, tap = parts(0)
    for name in (qvo, tap, qbr):
        host.inside.command("ip", "link", "del", name)
    (stray,) = host.inside.run(host.driver.strays)
    assert (stray.port_id, stray.attachment, stray.host_ifname) == (IDS[0], "hybrid", tap)
    host.unplug(stray)
    assert host.inside.run(host.driver.strays) == []


def test_two_containers_reach_each_other_in_the_networks_bridge(host: Host) -> None:
    """With the Linux bridge agent, containers would have no network; the last one would leave the bridge behind."""
    with namespace() as one, namespace() as two:
        plugs = [host.plug(port(number, "bridge")) for number in (0, 1)]
        assert host.members(BRQ) == sorted(plug.host_ifname for plug in plugs)
        for number, (plug, container) in enumerate(zip(plugs, (one, two), strict=True)):
            host.give(plug, container, f"10.0.0.{number + 1}/24")
        assert reaches(one, two)
        host.unplug(plugs[0])
        assert host.members(BRQ) == [plugs[1].host_ifname]
        host.unplug(plugs[1])
        host.unplug(plugs[1])
    assert host.links() == []


def test_the_agents_bridge_stays(host: Host) -> None:
    """The network's uplink would be removed with its last container."""
    host.inside.command("ip", "link", "add", BRQ, "type", "bridge")
    plug = host.plug(port(0, "bridge"))
    assert host.members(BRQ) == [plug.host_ifname]
    host.unplug(plug)
    assert host.links() == [BRQ]


def test_a_routed_interface_is_only_made(host: Host) -> None:
    """An agent that sets up routes to the host's end would find it in a bridge, or not at all."""
    plug = host.plug(port(0, "tap"))
    assert host.links() == sorted([plug.host_ifname, plug.container_ifname])
    assert host.ovs.owned() == []
    host.unplug(plug)
    assert host.links() == []


SCRIPT = """#!/bin/sh
set -eu
case "$1" in
bind) ip link add "sdn-$6" type bridge 2>/dev/null || true; ip link set "sdn-$6" up; ip link set "$3" master "sdn-$6" ;;
unbind)
    [ ! -e {folder}/broken ] || { echo the controller is down >&2; exit 3; }
    ip link set "$3" nomaster
    echo "$@" > {folder}/unbound
    ;;
esac
"""


def write_script(host: Host, text: str) -> None:
    path = host.folder / "sdn"
    path.write_text(text.replace("{folder}", str(host.folder)).replace("sdn-$6", "sdn0"))
    path.chmod(0o755)


def test_a_script_of_the_operators_attaches_and_detaches(host: Host) -> None:
    """Networks of other vendors, which worked with upstream by their script, would have no containers any more."""
    write_script(host, SCRIPT)
    plug = host.plug(port(0, "sdn", zone="a"))
    assert host.members("sdn0") == [plug.host_ifname]
    (host.folder / "broken").touch()
    with pytest.raises(BindingScriptFailed, match="ended with 3: the controller is down"):
        host.unplug(plug)
    assert plug.host_ifname in host.links()
    (host.folder / "broken").unlink()
    host.unplug(plug)
    assert host.links() == ["sdn0"]
    details = "\"{'port_filter': True, 'datapath_type': 'netdev', 'zone': 'a'}\""
    words = f"unbind {IDS[0]} {plug.host_ifname} endpoint-of-{IDS[0]} fa:16:3e:00:00:00 {details} {NET}"
    assert (host.folder / "unbound").read_text().strip() == words


def test_a_script_that_refuses_leaves_nothing(host: Host) -> None:
    """Each try to start a container would leave an interface."""
    write_script(host, "#!/bin/sh\necho no such zone >&2\nexit 2\n")
    with pytest.raises(BindingScriptFailed, match="ended with 2: no such zone"):
        host.plug(port(0, "sdn"))
    assert host.links() == []


def test_scripts_that_upstream_installed_are_not_run(host: Host) -> None:
    """After the change from upstream its old script would plug into br-int whatever Neutron says."""
    path = host.folder / "ovs"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    plug = host.plug(port(0))
    assert [row.name for row in host.ovs.owned()] == [plug.host_ifname]
    host.unplug(plug)

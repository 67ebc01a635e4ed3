# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The service works inside its unit's sandbox, and that sandbox is as tight as the unit says."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest

from kuryr_libnetwork.host.namespaces import run_inside
from tests.systemd.machine import CHECKOUT, ENVIRONMENT, LIMIT
from tests.systemd.world import SERVICE, UNITS, World
from tests.world.dockerside import PluginError

ETH_P_ARP = 0x0806
SCRIPT = """\
#!/bin/sh
# What scripts of upstream use; the service sends "bind" or "unbind", the port's id and the host's end.
set -e
ovs-vsctl --timeout=20 list-br >/dev/null
ip link show >/dev/null
python3 -c 'import ctypes'
echo "$1 was here" >&2
"""
ADDRESS = "10.77.0.5"


def docs_drop_in(heading: str) -> str:
    """The drop-in that docs/service.md shows below a heading."""
    text = (CHECKOUT / "docs" / "service.md").read_text()
    found = re.search(rf"^## {re.escape(heading)}$.*?^```ini\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return found[1]


def a_container_runs(world: World, vif_type: str, **details: Any) -> None:
    world.neutron.store.normal_vif = (vif_type, details)
    docker = world.docker
    docker.activate()
    network = docker.network_create()
    box = docker.run(network, sandbox=world.sandbox())
    world.move(box)
    assert [link["address"] for link in world.links_of(box)] == [box.mac]
    docker.rm(box)
    docker.network_rm(network)
    assert world.leftovers() == []


@pytest.mark.parametrize(
    ("vif_type", "details"),
    [("ovs", {}), ("ovs", {"ovs_hybrid_plug": True}), ("bridge", {}), ("tap", {})],
    ids=["ovs", "hybrid", "bridge", "tap"],
)
def test_a_container_gets_its_interface(world: World, vif_type: str, details: dict[str, Any]) -> None:
    """Fails if the sandbox forbids what a port needs: a veth pair, a bridge, Open vSwitch, or Neutron."""
    a_container_runs(world, vif_type, **details)


def test_a_host_without_vfs_needs_one_capability(world: World) -> None:
    """Fails if the drop-in of the documentation for hosts without VFs takes away what other containers need."""
    world.machine.drop_in(SERVICE, docs_drop_in("A host without VFs"))
    world.machine.systemctl("restart", SERVICE)
    assert world.capabilities() == {"CAP_NET_ADMIN"}
    for vif_type in ("ovs", "bridge"):
        a_container_runs(world, vif_type)


@pytest.mark.parametrize("kind", ["macvlan", "ipvlan", "vlan"])
def test_a_child_interface_needs_one_capability(world: World, kind: str) -> None:
    """Fails if the same drop-in takes away what containers of a virtual machine need."""
    world.machine.drop_in(SERVICE, docs_drop_in("A host without VFs"))
    sandbox = world.sandbox()
    world.machine.run("ip", "link", "add", "parent", "type", "veth", "peer", "name", "wire")
    try:
        vlan = 7 if kind == "vlan" else 0
        spec = f"ChildSpec(kind={kind!r}, name='child', parent='parent', mtu=1400, alias='a', vlan={vlan})"
        program = f"from kuryr_libnetwork.host.links import KernelLinks, ChildSpec; KernelLinks().create_child({spec})"
        done = world.run_in_sandbox(f"{ENVIRONMENT}/bin/python", "-c", program)
        if "has no support for it" in done.stdout:
            pytest.skip(f"this kernel has no {kind}")
        assert done.returncode == 0, done.stdout
        world.machine.run("ip", "link", "set", "child", "netns", sandbox.key)
    finally:
        world.machine.run("ip", "link", "del", "parent")


def test_open_vswitch_of_another_user(world: World) -> None:
    """Fails if the documentation's drop-in does not reach the socket of an Open vSwitch that does not run as root, or
    if the error without it does not name what is missing.
    """
    world.machine.run("chown", "nobody", "/run/openvswitch/db.sock")
    try:
        with pytest.raises(PluginError, match="CAP_DAC_OVERRIDE"):
            a_container_runs(world, "ovs")
        world.machine.drop_in(SERVICE, docs_drop_in("Open vSwitch or kuryr.conf of another user"))
        world.machine.systemctl("restart", SERVICE)
        a_container_runs(world, "ovs")
    finally:
        world.machine.run("chown", "root", "/run/openvswitch/db.sock")


@pytest.mark.parametrize("path", ["/etc/kuryr/kuryr.conf", "/etc/kuryr"])
def test_a_kuryr_conf_of_another_user(world: World, path: str) -> None:
    """Fails if a file that the service may not read is taken for none, or if the same drop-in does not let it
    read it.
    """
    machine = world.machine
    before = machine.run("stat", "--format=%a", path).strip()
    machine.run("chown", "nobody", path)
    machine.run("chmod", "u=rwX,go=", path)
    try:
        assert machine.try_run("systemctl", "restart", SERVICE).returncode != 0
        said = [line for line in world.journal("--priority=err") if line.startswith("kuryr-server: ")]
        assert ["/etc/kuryr/kuryr.conf" in line and "permission denied" in line.lower() for line in said] == [True]
        machine.drop_in(SERVICE, docs_drop_in("Open vSwitch or kuryr.conf of another user"))
        machine.systemctl("restart", SERVICE)
    finally:
        machine.run("chown", "root", path)
        machine.run("chmod", before, path)


def test_a_script_of_the_operator_runs(world: World) -> None:
    """Fails if a script in bindir cannot do in the sandbox what such scripts do."""
    world.configure("bindir = /var/lib/scripts")
    world.machine.write("/var/lib/scripts/sdn", SCRIPT, 0o755)
    world.machine.systemctl("restart", SERVICE)
    a_container_runs(world, "sdn")
    warned = "\n".join(world.machine.journal(SERVICE, "--priority=warning"))
    assert ["bind was here" in warned, "unbind was here" in warned] == [True, True]


def probe(world: World) -> tuple[int, str, bytes]:
    """Announce an address on an interface in a container and bring it home: exit code, output, and what the
    wire saw.
    """
    machine, sandbox = world.machine, world.sandbox()
    machine.run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "card")
    try:
        machine.run("ip", "link", "set", "wire", "up")
        machine.run("ip", "link", "set", "card", "address", "02:00:00:00:00:05", "netns", sandbox.key)
        machine.run("nsenter", f"--net={sandbox.key}", "ip", "link", "set", "card", "up")
        with run_inside(machine.netns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as wire:
            wire.bind(("wire", ETH_P_ARP))
            words = (f"{ENVIRONMENT}/bin/python", "-m", "tests.systemd.probe")
            done = world.run_in_sandbox(*words, sandbox.key, "02:00:00:00:00:05", f"{ADDRESS}/24", "vfhome")
            wire.settimeout(0 if done.returncode else LIMIT)
            try:
                seen = wire.recv(100)
            except BlockingIOError:
                seen = b""
        if done.returncode == 0:
            machine.run("ip", "link", "show", "vfhome")
        return done.returncode, done.stdout, seen
    finally:
        machine.run("ip", "link", "del", "wire")


def test_what_a_vf_in_a_container_needs(world: World) -> None:
    """Fails if the sandbox forbids to enter a container's namespace, to tell neighbours, or to bring a VF home."""
    code, said, seen = probe(world)
    assert code == 0, said
    assert socket.inet_aton(ADDRESS) in seen


def capabilities_of_the_unit() -> set[str]:
    lines = (UNITS / SERVICE).read_text().splitlines()
    (line,) = [each for each in lines if each.startswith("CapabilityBoundingSet=")]
    return set(line.partition("=")[2].split())


@pytest.mark.parametrize("name", sorted(capabilities_of_the_unit() - {"CAP_NET_ADMIN"}))
def test_every_capability_is_needed(world: World, name: str) -> None:
    """Fails if the unit grants a capability that nothing needs any more."""
    world.machine.drop_in(SERVICE, f"[Service]\nCapabilityBoundingSet=~{name}\n")
    code, said, _ = probe(world)
    assert code != 0
    assert "Operation not permitted" in said


def test_without_net_admin_it_is_said(world: World) -> None:
    """Fails if without CAP_NET_ADMIN the error does not say so, or if the unit grants it needlessly."""
    world.machine.drop_in(SERVICE, "[Service]\nCapabilityBoundingSet=~CAP_NET_ADMIN\n")
    world.machine.systemctl("restart", SERVICE)
    with pytest.raises(PluginError, match="the service needs CAP_NET_ADMIN"):
        a_container_runs(world, "ovs")
    world.machine.drop_in(SERVICE, "")
    world.machine.systemctl("restart", SERVICE)


def test_the_kernel_holds_the_service_to_it(world: World) -> None:
    """Fails if the process has more rights than its unit says."""
    assert world.capabilities() == capabilities_of_the_unit()
    status, first = world.status_of(world.main_pid()), world.status_of(1)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["Seccomp_filters"]) > int(first["Seccomp_filters"])


@pytest.mark.parametrize("path", ["/etc/x", "/usr/x", "/var/lib/x", "/root/x", "/boot/x"])
def test_nothing_else_can_be_written(world: World, path: str) -> None:
    """Fails if an attacker who controls the service can change the host's files."""
    world.machine.run("mkdir", "-p", str(Path(path).parent))
    done = world.run_in_sandbox("/usr/bin/touch", path)
    assert (done.returncode != 0, "Read-only file system" in done.stdout) == (True, True)


def test_the_journal_is_where_it_should_be(world: World) -> None:
    """Fails if the service's state is lost with the sandbox, or can be read by others."""
    a_container_runs(world, "ovs")
    found = world.machine.run("stat", "--format=%U %a %n", "/var/lib/kuryr", "/var/lib/kuryr/kuryr.db").splitlines()
    assert found == ["root 700 /var/lib/kuryr", "root 600 /var/lib/kuryr/kuryr.db"]


def test_a_state_path_elsewhere(world: World) -> None:
    """Fails if the documentation's drop-in for another state_path does not do, or if the start without it does not say
    in one line what is wrong.
    """
    world.machine.run("mkdir", "-p", "-m", "700", "/srv/kuryr")
    world.configure("state_path = /srv/kuryr")
    assert world.machine.try_run("systemctl", "restart", SERVICE).returncode != 0
    said = [line for line in world.machine.journal(SERVICE, "--priority=err") if "/srv/kuryr" in line]
    assert said[-1].startswith("kuryr-server: ")
    assert "ead-only file system" in said[-1]
    world.machine.drop_in(SERVICE, docs_drop_in("Another state_path or log_dir"))
    world.machine.systemctl("restart", SERVICE)
    a_container_runs(world, "ovs")

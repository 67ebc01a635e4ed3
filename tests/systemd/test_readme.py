# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The README's section "Use it with a real cloud", typed word by word on a host that never had the service.

What needs the internet is played: apt-get does nothing, and pip takes the libraries from the environment of the tests.
tests/cloud/test_readme.py types what needs the cloud and Docker.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.release import tree
from tests.systemd.machine import CHECKOUT
from tests.systemd.test_sandbox import a_container_runs
from tests.systemd.world import CONF, SERVICE, SOCKET, UNITS, World, without_the_service
from tests.world.pages import commands

CLOUD, INSTALL, CONFIGURE, START, USE, UPGRADE, STOP, UNINSTALL = range(8)
BLOCKS = commands("README.md", "Use it with a real cloud")
SOURCE = "/root/kuryr-libnetwork"
LIBRARIES = sysconfig.get_path("purelib")
NO_INTERNET = f"""\
set -e
cd {SOURCE}
apt-get() {{ :; }}
export PIP_NO_INDEX=1 PIP_NO_DEPS=1 PIP_NO_BUILD_ISOLATION=0 PIP_NO_COMPILE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
"""
NEWER = "99.0"
VERSION = re.compile(r'(?<=^version = ").*(?="$)', re.MULTILINE)
TRACES = (
    *("/opt/kuryr", "/etc/kuryr", "/var/lib/kuryr", "/var/log/kuryr", "/run/kuryr", "/run/docker/plugins/kuryr.sock"),
    *(f"/usr/local/bin/{name}" for name in ("kuryr", "kuryr-server", "kuryr-status")),
    *(f"/etc/systemd/system/{unit.name}" for unit in UNITS.iterdir()),
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with without_the_service(tmp_path) as world:
        tree.copy(tmp_path / "root" / SOURCE.lstrip("/"), CHECKOUT)
        yield world


def type_in(world: World, block: int) -> str:
    script = BLOCKS[block].replace("/opt/kuryr/bin/pip", f"PYTHONPATH={LIBRARIES} /opt/kuryr/bin/pip")
    return world.machine.run("bash", "-c", NO_INTERNET + script)


def let_it_find_libraries(world: World) -> None:
    """They are those of the tests, because pip could not fetch any."""
    found = world.machine.run("sh", "-c", "echo /opt/kuryr/lib/python3*/site-packages").strip()
    world.machine.write(f"{found}/libraries-of-the-tests.pth", f"{LIBRARIES}\n")


def version(world: World) -> str:
    return world.machine.run("kuryr", "--version").split()[-1]


def use_the_fake_cloud(world: World) -> None:
    """The README's kuryr.conf is as it says; the cloud that it names does not exist."""
    assert world.machine.run("stat", "-c", "%a %U", CONF).split() == ["600", "root"]
    assert "host = compute-1" in world.machine.read(CONF)
    world.configure()


def test_the_section_has_these_blocks() -> None:
    """The tests would type other commands than they think."""
    first = (
        "openstack user",
        "apt-get",
        "mkdir -p /etc/kuryr",
        "cp etc",
        "# a new",
        "/opt/kuryr/bin/pip",
        "systemctl stop",
    )
    assert [block.startswith(words) for block, words in zip(BLOCKS, (*first, "systemctl disable"), strict=True)] == [
        True
    ] * len(BLOCKS)


def test_install_use_upgrade_stop_and_uninstall(world: World) -> None:
    """Whoever does what the README says would get an error, a service that does not run, or one that does not go."""
    type_in(world, INSTALL)
    let_it_find_libraries(world)
    type_in(world, CONFIGURE)
    use_the_fake_cloud(world)
    start, doctor = BLOCKS[START].rstrip().rsplit("\n", 1)
    world.machine.run("bash", "-c", f"{NO_INTERNET}{start}")
    assert "kuryr.conf" in world.machine.try_run("bash", "-c", doctor).stdout
    a_container_runs(world, "ovs")

    docker = world.docker
    docker.activate()
    network = docker.network_create()
    box = docker.run(network, sandbox=world.sandbox())
    world.move(box)
    project = world.machine.read(f"{SOURCE}/pyproject.toml")
    world.machine.write(f"{SOURCE}/pyproject.toml", VERSION.sub(NEWER, project))
    world.machine.run("bash", "-c", BLOCKS[INSTALL].splitlines()[-1])  # the links, once more
    type_in(world, UPGRADE)
    assert version(world) == NEWER
    assert [link["address"] for link in world.links_of(box)] == [box.mac]
    docker.rm(box)
    docker.network_rm(network)

    type_in(world, STOP)
    assert [world.state(unit) for unit in (SERVICE, SOCKET)] == ["inactive", "inactive"]
    with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        world.docker.activate()
    world.machine.systemctl("start", SOCKET, SERVICE)
    type_in(world, UNINSTALL)
    there = [path for path in TRACES if world.machine.try_run("test", "-e", path).returncode == 0]
    assert there == []
    assert "kuryr" not in world.machine.systemctl("list-units", "--all", "--full", "--plain")

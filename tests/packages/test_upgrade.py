# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Upgrades of a host with running containers: from package to package, and from an installation with pip."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.release import constraints
from tests.packages.conftest import LIMIT, Built
from tests.packages.host import Host
from tests.systemd.world import CONF, SERVICE, SOCKET
from tests.world.pages import commands

pytestmark = pytest.mark.timeout(LIMIT)


def script(heading: str, folder: str) -> str:
    """The first commands that docs/packages.md shows below a heading, typed in a folder."""
    return f"set -e\ncd {folder}\n{commands('docs/packages.md', heading)[0]}"


def test_from_package_to_package(host: Host, built: Built) -> None:
    """Fails if an upgrade disturbs running containers, loses a call of Docker's, or overwrites kuryr.conf."""
    host.install(built.package.name)
    host.world.configure("worker_threads = 7")
    pair = host.pair()
    old, socket = host.world.main_pid(), host.machine.run("stat", "-c", "%i", "/run/docker/plugins/kuryr.sock")
    with host.talking(pair), ThreadPoolExecutor(1) as pool:
        upgrade = pool.submit(host.install, built.newer.name)
        while not upgrade.done():
            host.docker.activate()
        upgrade.result()
    assert host.world.main_pid() not in (0, old)
    assert host.machine.run("stat", "-c", "%i", "/run/docker/plugins/kuryr.sock") == socket
    assert "worker_threads = 7" in host.machine.read(CONF)
    assert host.machine.run("stat", "-c", "%a", CONF).strip() == "600"
    third = host.container(pair.network)
    host.docker.rm(third)
    host.end(pair)


def test_from_pip_to_the_package(host: Host, built: Built) -> None:
    """Fails if the commands of docs/packages.md do not replace an installation with pip, or disturb containers."""
    host.machine.run("cp", "-r", "/wheels", "/root/wheels")
    host.machine.write("/root/in.sh", script("With pip", "/root/wheels"))
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    host.machine.write("/root/wheels/constraints.txt", constraints.FILE.read_text())
    host.script("/root/in.sh", **pip)
    host.world.configure()
    host.machine.systemctl("daemon-reload")
    host.machine.systemctl("enable", "--now", SOCKET, SERVICE)
    pair = host.pair()
    host.machine.run("cp", f"/packages/{built.package.name}", "/root/")
    host.machine.write("/root/over.sh", script("From pip to the package", "/root"))
    with host.talking(pair):
        assert "hides the unit" not in host.script("/root/over.sh", DEBIAN_FRONTEND="noninteractive")
    assert host.machine.show(SERVICE, "FragmentPath").endswith(f"lib/systemd/system/{SERVICE}")
    assert "/usr/lib/kuryr-libnetwork/" in host.machine.read(f"/proc/{host.world.main_pid()}/cmdline")
    host.end(pair)

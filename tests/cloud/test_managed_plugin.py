# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The managed plugin of ``./dev plugin``, on the engines of both hosts, and in a swarm of one node."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import managed_plugin, registry
from lab.api import Host, Lab
from lab.process import wait_for
from tests.cloud.managed import NAME, ManagedPlugin, addresses, installed, swarm, tasks
from tests.cloud.user import User, unique_cidr

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="session")
def bundle(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return managed_plugin.build(lab.paths, tmp_path_factory.mktemp("plugin") / "kuryr")


@pytest.fixture
def plugin(lab: Lab, host: Host, bundle: Path) -> Iterator[ManagedPlugin]:
    with installed(lab, host, bundle) as plugin:
        yield plugin


@pytest.fixture
def user(plugin: ManagedPlugin, user: User) -> User:
    """Tidies up while the plugin is still there."""
    return user


def test_containers_by_the_managed_plugin(user: User, host: Host, plugin: ManagedPlugin) -> None:
    """The bundle would lack a right, a folder or a module, and its networks work nowhere."""
    net = user.network(host, f"--subnet={unique_cidr()}", driver=NAME)
    one, two = user.run(host, net), user.run(host, net)
    user.ping(host, one, user.address(host, two, net))
    port = user.port_of(host, one, net)
    assert (port["status"], port["binding:host_id"]) == ("ACTIVE", host.name)
    assert (plugin.folder / "state" / "kuryr.db").exists()
    for box in (one, two):
        user.rm(host, box)
    user.network_rm(host, net)
    calls = plugin.calls()
    assert "NetworkDriver.CreateEndpoint" in calls
    assert "Plugin.Activate" not in calls  # Docker has the interface types of config.json instead


def test_it_goes_on_after_disable_and_upgrade(
    user: User, lab: Lab, host: Host, plugin: ManagedPlugin, bundle: Path, tmp_path: Path
) -> None:
    """With its state in the plugin's own files an upgrade would forget all networks and leave all ports behind."""
    net = user.network(host, f"--subnet={unique_cidr()}", driver=NAME)
    one, two = user.run(host, net), user.run(host, net)
    plugin.disable()
    plugin.enable()
    user.ping(host, one, user.address(host, two, net))
    user.rm(host, two)
    with registry.running(lab.paths, host, lab.programs) as address:
        newer = f"{address}/kuryr:2"
        plugin.create(_newer(bundle, tmp_path / "newer"), newer)
        host.docker("plugin", "push", newer)
        host.docker("plugin", "rm", newer)
        plugin.disable()
        host.docker("plugin", "upgrade", "--grant-all-permissions", "--skip-remote-check", NAME, newer)
    plugin.settle()
    plugin.enable()
    assert plugin.inspect("{{.Config.Description}}") == "newer"
    three = user.run(host, net)
    user.ping(host, three, user.address(host, one, net))
    network = user.network_of(host, net)
    for box in (one, three):
        user.rm(host, box)
    assert user.ports(network_id=network["id"], device_owner="compute:kuryr") == []
    user.network_rm(host, net)


def _newer(bundle: Path, folder: Path) -> Path:
    shutil.copytree(bundle, folder, symlinks=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "description": "newer"}))
    (folder / "rootfs" / "newer").touch()  # Docker refuses files that it has already under another name
    return folder


def test_a_swarm_of_one_node(user: User, host: Host, plugin: ManagedPlugin) -> None:
    """Swarm takes managed plugins only, makes its networks anew with the same id, and gives ids of another form."""
    with swarm(host):
        host.docker("network", "create", "--config-only", f"--ipam-driver={NAME}", f"--subnet={unique_cidr()}", "plan")
        try:
            _use_swarm(user, host)
        finally:
            host.docker("network", "rm", "plan", check=False)
    assert "NetworkDriver.DeleteNetwork" in plugin.calls()


def _use_swarm(user: User, host: Host) -> None:
    net = "over"
    host.docker("network", "create", "--scope=swarm", "--config-from=plan", "-d", NAME, "--attachable", net)
    service = ("service", "create", "--detach", "--name=web", f"--network={net}", "--no-resolve-image")
    host.docker(*service, "busybox", "sleep", "600")
    assert wait_for(lambda: len(tasks(host, "web")) == 1, 60), host.docker("service", "ps", "--no-trunc", "web").stdout
    box = user.run(host, net)
    _reach(user, host, box)
    host.dockerd.restart()
    assert wait_for(lambda: len(tasks(host, "web")) == 1, 60), host.docker("service", "ps", "--no-trunc", "web").stdout
    user.rm(host, box)
    box = user.run(host, net)
    _reach(user, host, box)
    user.rm(host, box)
    host.docker("service", "rm", "web")
    assert wait_for(lambda: not tasks(host, "web"), 60)
    host.docker("network", "rm", net)


def _reach(user: User, host: Host, box: str) -> None:
    (task,) = tasks(host, "web")
    user.ping(host, box, addresses(host, task)["over"])

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Stops what a lab started, and removes what is left of it.

It also works on the remains of a lab that died with its machine: then no record matches a process, and there are only
files to remove.
"""

import shutil
from collections.abc import Iterable

from lab import broker, network
from lab.paths import HostPaths, LabPaths
from lab.process import Registry, end_all, kill_all
from lab.sriov import lifecycle as sriov_lifecycle

# The reverse order of start. dockerd goes while its network driver can still answer.
_ORDER = (
    "dockerd",
    "kuryr",
    "neutron",
    "keystone",
    "ovn-controller",
    "neutron-dhcp-agent",
    "neutron-openvswitch-agent",
    "neutron-rpc-server",
    "rabbitmq",
    "vswitchd",
    "ovsdb",
    "ovn-northd",
    "ovn-sb",
    "ovn-nb",
    "mariadb",
)


def everything(paths: LabPaths, hosts: list[HostPaths], registry: Registry) -> None:
    """Stop the lab and remove all of it but the logs."""
    sriov_lifecycle.remove(paths, registry)
    programs(hosts, registry, [record.name for record in registry.records()])
    for host in hosts:
        remains_of_host(host)
    end_all(lambda: network.processes_in(paths.netns))
    network.remove(paths.netns)
    for folder in ("mariadb", "ovn", "neutron", "keystone", "template", broker.RABBITMQ):
        shutil.rmtree(paths.state / folder, ignore_errors=True)
    shutil.rmtree(paths.run, ignore_errors=True)


def programs_of_host(host: HostPaths, registry: Registry) -> None:
    """Stop all that runs in a host; its data stays."""
    programs(
        [host], registry, [record.name for record in registry.records() if record.name.startswith(f"{host.name}-")]
    )
    _end_leftovers(host)


def programs(hosts: list[HostPaths], registry: Registry, names: Iterable[str]) -> None:
    """Stop these programs in order, those of one kind on all hosts together."""
    kinds: dict[str, list[str]] = {}
    host_names = {host.name for host in hosts}
    for name in names:
        first, _, rest = name.partition("-")
        kinds.setdefault(rest if first in host_names else name, []).append(name)
    if "dockerd" in kinds:
        # dockerd would first ask each container to end, and wait for it.
        for host in hosts:
            kill_all(network.processes_of_containers(host.cgroup))
    for kind in sorted(kinds, key=_position):
        registry.stop(kinds[kind])


def _position(kind: str) -> int:
    """The holders of the namespaces come last."""
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def remains_of_host(host: HostPaths) -> None:
    _end_leftovers(host)
    network.remove(host.netns)
    network.remove_cgroups(host.cgroup)
    shutil.rmtree(host.state, ignore_errors=True)
    shutil.rmtree(host.run, ignore_errors=True)


def _end_leftovers(host: HostPaths) -> None:
    # containerd and its shims are dockerd's children, not ours, so no record names them.
    end_all(lambda: network.processes_of_containers(host.cgroup) + network.processes_in(host.netns))

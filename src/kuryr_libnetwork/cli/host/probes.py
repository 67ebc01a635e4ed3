# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What ``kuryr doctor`` asks besides devices and journal: the kernel, the service's socket, Neutron."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kuryr_libnetwork.cli.service_client import call, docker_version
from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.errors import HostError
from kuryr_libnetwork.host.link_dump import link_with
from kuryr_libnetwork.host.ovsdb import OvsDatabase
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.links import Link
from kuryr_libnetwork.model.settings import Settings
from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.session import build_adapter
from kuryr_libnetwork.rules.discovery import SOCKET_FOLDERS

SECONDS = 5.0


@dataclass(frozen=True)
class Probes:
    """``neutron`` raises :class:`~kuryr_libnetwork.errors.ConfigError`; ``plugin`` returns what is wrong, or "".

    ``bridges``: of Open vSwitch; raises :class:`~kuryr_libnetwork.errors.KuryrError`. ``docker``: the engine's version,
    or "". ``ovs_settings``: Open vSwitch's ``external_ids``, and ``link_with``: the interface that has an IP address;
    both raise as ``bridges`` does.
    """

    neutron: Callable[[], Neutron]
    plugin: Callable[[], str]
    bridges: Callable[[], list[str]]
    ovs_settings: Callable[[], Mapping[str, str]]
    link_with: Callable[[str], Link | None]
    docker: Callable[[], str]
    kernel: str
    iommu: bool


def real_probes(words: Sequence[str], settings: Settings) -> Probes:
    engine = settings.plugin.docker_socket
    ovs = OvsDatabase(settings.ovs.ovsdb_connection, min(SECONDS, settings.ovs.ovsdb_timeout))
    return Probes(
        neutron=partial(connect_to_neutron, words),
        plugin=partial(ask_plugin, settings.plugin.socket_path),
        bridges=ovs.bridges,
        ovs_settings=ovs.settings,
        link_with=partial(link_with, task="find the interface of the tunnels"),
        docker=partial(docker_version, engine) if engine else str,
        kernel=os.uname().release,
        iommu=any(Path("/sys/kernel/iommu_groups").glob("*")),
    )


def connect_to_neutron(words: Sequence[str]) -> Neutron:
    found = config.read(words)
    chosen = found.settings.neutron
    adapter = partial(
        build_adapter,
        found.conf,
        region_name=chosen.region_name,
        endpoint_type=chosen.endpoint_type,
        timeout=chosen.timeout,
    )
    return NeutronClient(adapter, chosen.timeout)


def ask_plugin(path: Path, folders: Sequence[str] = SOCKET_FOLDERS, seconds: float = SECONDS) -> str:
    """Call what Docker calls first; returns what is wrong, or ""."""
    if str(path.parent) not in folders:
        return f"Docker does not look for plugins in {path.parent}: socket_path has to be in {folders[0]}"
    try:
        served = call(path, "/Plugin.Activate", seconds=seconds).get("Implements", [])
    except HostError as error:
        return str(error)
    return "" if "NetworkDriver" in served else f"what answers at {path} is not a network plugin: it serves {served}"

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr``: the operators' command."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from importlib.metadata import version
from typing import TextIO

from cliff.command import Command

from kuryr_libnetwork.cli import docker_plugin
from kuryr_libnetwork.cli.application import Application, MakeHost
from kuryr_libnetwork.cli.host import (
    devices,
    doctor,
    page,
    pool_commands,
    service_state,
    settings_commands,
    support,
    top,
)
from kuryr_libnetwork.cli.host.inventory import Host
from kuryr_libnetwork.cli.host.probes import real_probes
from kuryr_libnetwork.cli.service_client import AdminClient, call
from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.docker.engine import DockerEngine
from kuryr_libnetwork.host.journal import JOURNAL_FILE, SqliteJournal
from kuryr_libnetwork.host.journal_view import look, service_runs
from kuryr_libnetwork.host.netdevs import KernelNetdevs
from kuryr_libnetwork.host.sysfs import SysfsPci
from kuryr_libnetwork.host.vf_control import KernelVfControl

COMMANDS: Mapping[str, type[Command]] = {
    "status": service_state.Status,
    "top": top.Top,
    "network list": service_state.NetworkList,
    "network show": service_state.NetworkShow,
    "endpoint list": service_state.EndpointList,
    "endpoint show": service_state.EndpointShow,
    "page": page.ShowPage,
    "reconcile": service_state.Reconcile,
    "log level": service_state.SetLogLevel,
    "pool list": pool_commands.PoolList,
    "pool drain": pool_commands.PoolDrain,
    "pool orphans": pool_commands.PoolOrphans,
    "pf list": devices.PfList,
    "vf list": devices.VfList,
    "vf create": devices.VfCreate,
    "vf repair": devices.VfRepair,
    "vf release": devices.VfRelease,
    "doctor": doctor.Doctor,
    "support-bundle": support.SupportBundle,
    "config kuryr": settings_commands.ConfigKuryr,
    "config sriov-agent": settings_commands.ConfigAgent,
    "config neutron-server": settings_commands.ConfigServer,
    "config docker-plugin": docker_plugin.ConfigDockerPlugin,
}


def real_host(words: Sequence[str]) -> Host:
    """The machine this runs on, with the service's configuration."""
    settings = config.read(words, login=False).settings
    path = settings.plugin.state_path / JOURNAL_FILE
    return Host(
        pci=SysfsPci(),
        control=KernelVfControl(),
        netdevs=KernelNetdevs(),
        settings=settings,
        look=partial(look, path),
        service_runs=partial(service_runs, path),
        journal=lambda: closing(SqliteJournal(path)),
        ask=partial(call, settings.plugin.socket_path),
        admin=AdminClient(settings.admin.socket),
        probes=real_probes(words, settings),
        engine=DockerEngine(settings.plugin.docker_socket) if settings.plugin.docker_socket else None,
        program=os.path.abspath(sys.argv[0]),
        config_words=tuple(words),
    )


def main(
    argv: Sequence[str] | None = None,
    make_host: MakeHost = real_host,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Run ``kuryr``; returns the exit code. Tests pass a host and streams of their own."""
    words = list(sys.argv[1:] if argv is None else argv)
    application = Application(COMMANDS, make_host, version("kuryr-libnetwork"), stdout, stderr)
    return application.run(words or ["help"])

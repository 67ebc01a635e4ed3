# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The cloud: OVN's central databases with northd, and Neutron's API."""

import os
import signal
from pathlib import Path

from lab import network, neutron_config, openstack, people
from lab.backend import Backend
from lab.paths import LabPaths
from lab.process import Place, Program, Registry, end_all, run, wait_until
from lab.releases import Release

OVN_SCHEMAS = Path("/usr/share/ovn")


def start_ovn_central(paths: LabPaths, registry: Registry) -> None:
    place = Place(paths.netns)
    for database, socket in (("nb", paths.nb_socket), ("sb", paths.sb_socket)):
        start_ovsdb(
            registry,
            place,
            name=f"ovn-{database}",
            schema=OVN_SCHEMAS / f"ovn-{database}.ovsschema",
            data=paths.state / "ovn" / f"{database}.db",
            socket=socket,
            log=paths.log(f"ovn-{database}"),
        )
    if not registry.running("ovn-northd"):
        argv = (
            "ovn-northd",
            f"--ovnnb-db=unix:{paths.nb_socket}",
            f"--ovnsb-db=unix:{paths.sb_socket}",
            f"--unixctl={paths.ovn_run}/northd.ctl",
            "-vconsole:info",
        )
        program = Program("ovn-northd", argv, place, paths.log("ovn-northd"), {"OVN_RUNDIR": str(paths.ovn_run)})
        record = registry.start(program)
        wait_until(lambda: _northd_works(paths), record, 20)


def _northd_works(paths: LabPaths) -> bool:
    """The daemon notes its version in the southbound database once it is connected to both."""
    command = ["ovn-sbctl", f"--db=unix:{paths.sb_socket}", "--bare", "--columns=options", "list", "SB_Global"]
    return "northd_internal_version" in run(command)


def start_ovsdb(
    registry: Registry, place: Place, *, name: str, schema: Path, data: Path, socket: Path, log: Path
) -> None:
    """One OVSDB server on a unix socket, with a fresh database if there is none."""
    if registry.running(name):
        return
    data.parent.mkdir(parents=True, exist_ok=True)
    socket.parent.mkdir(parents=True, exist_ok=True)
    if not data.exists():
        run(["ovsdb-tool", "create", str(data), str(schema)])
    argv = (
        "ovsdb-server",
        str(data),
        f"--remote=punix:{socket}",
        f"--unixctl={socket.with_suffix('.ctl')}",
        "--no-chdir",
        "-vconsole:info",
    )
    socket.unlink(missing_ok=True)  # left by one that was killed
    record = registry.start(Program(name, argv, place, log))
    wait_until(socket.is_socket, record, 20)


def start_neutron(paths: LabPaths, registry: Registry, backend: Backend, release: Release, transport_url: str) -> None:
    if not registry.running("neutron"):
        _end_orphans(paths, registry)
        neutron_config.write(
            paths,
            conf=paths.neutron_conf,
            mysql_socket=paths.mysql_socket,
            transport_url=transport_url,
            backend=backend,
            release=release,
        )
        argv, env = neutron_config.command(paths, release)
        log = paths.log("neutron")
        # An orderly shutdown takes seconds, and the database is deleted anyway.
        registry.start(Program("neutron", argv, Place(paths.netns), log, env, signal.SIGKILL))
    record = registry.running("neutron") or registry.get("neutron")
    if record is not None:
        admin = openstack.session(paths.netns, people.ADMIN)
        wait_until(lambda: admin.answers("/v2.0/extensions"), record, 90)


def stop_neutron(paths: LabPaths, registry: Registry) -> None:
    """Returns when the port is free."""
    record = registry.running("neutron")
    if record is not None:
        record.send(signal.SIGKILL)
        _end_orphans(paths, registry)
    registry.stop(["neutron"], sudden=True)


def _end_orphans(paths: LabPaths, registry: Registry) -> None:
    """If only uWSGI's master was killed, its workers still hold the port."""
    old = registry.get("neutron")
    if old is not None:
        end_all(lambda: [pid for pid in network.processes_in(paths.netns) if _group(pid) == old.pid])


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None

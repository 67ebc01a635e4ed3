# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker on a host of the lab, of whatever release its engine is (`lab.engines`)."""

import signal
from pathlib import Path

from lab import engines, http, image
from lab.errors import LabError
from lab.host import place
from lab.paths import HostPaths, LabPaths
from lab.process import Place, Program, Registry, start_time, wait_for, wait_until

# Programs of another release, and those that they call, need that release's libraries. All of it is in /usr, and they
# can do with this machine's /etc. Everything else in the host (such as Python) keeps this machine's /usr.
_HOLDER = """\
set -eu
mount --bind {tree}/usr /usr
: > {run}/docker-ready
exec sleep infinity
"""


def start(paths: LabPaths, host: HostPaths, registry: Registry) -> None:
    name = f"{host.name}-dockerd"
    if not registry.running(name):
        argv = (
            "dockerd",
            f"--data-root={host.state}/docker",
            f"--host=unix://{host.docker_socket}",
            f"--pidfile={host.run}/docker.pid",
            f"--cgroup-parent={host.cgroup}",
            # Otherwise dockerd would ask systemd, if the machine runs it, to manage the containers' cgroups.
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--iptables=false",
            "--ip6tables=false",
            "--shutdown-timeout=2",
        )
        where = _place(paths, host, registry)
        _forget_containerd(host)
        registry.start(Program(name, argv, where, paths.log(name), grace=4.0))
    record = registry.get(name)
    if record is not None:
        wait_until(lambda: http.answers(http.unix(host.docker_socket), "GET", "/_ping"), record, 60)
        image.load(http.unix(host.docker_socket))


def _place(paths: LabPaths, host: HostPaths, registry: Registry) -> Place:
    """Where dockerd runs: in the host, and for an engine with a tree in a mount namespace that has the tree's /usr.

    A process holds that namespace, so that a restarted dockerd finds what the last one mounted there.
    """
    engine = engines.of(host)
    if engine is None:
        msg = f"{host.name} has no Docker Engine; run ./dev up"
        raise LabError(msg)
    where = place(host, registry)
    if not engine.tree:
        return where
    name = f"{host.name}-docker-holder"
    record = registry.running(name)
    if record is None:
        ready = host.run / "docker-ready"
        ready.unlink(missing_ok=True)
        script = host.run / "docker-holder.sh"
        script.write_text(_HOLDER.format(tree=engine.tree, run=host.run))
        argv = ("unshare", "--mount", "--propagation", "unchanged", "sh", str(script))
        record = registry.start(Program(name, argv, where, paths.log(name), stop_signal=signal.SIGKILL))
        wait_until(ready.exists, record, 20)
    return Place(host.netns, record.pid)


def _forget_containerd(host: HostPaths) -> None:
    """Remove the pid files of a dockerd that was killed.

    dockerd takes a zombie for a running containerd and waits for it in vain; zombies stay until the machine's first
    process reaps them.
    """
    (host.run / "docker.pid").unlink(missing_ok=True)
    file: Path = host.run / "run-docker" / "containerd" / "containerd.pid"
    if file.exists():
        pid = int(file.read_text())
        wait_for(lambda: start_time(pid) is None, 5)
        if start_time(pid) is None:
            file.unlink()

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The networks between the namespaces of a lab.

One namespace for the cloud with two bridges, `mgmt` (Neutron's API) and `data` (geneve between the hosts, and the
provider network), and one namespace for each Docker host with a leg on both. Nothing leads to the machine's own
network: every link is made inside the lab's namespaces.
"""

import os
from contextlib import suppress
from pathlib import Path

from lab.paths import CLOUD_ADDRESS, HostPaths, LabPaths
from lab.process import run

NETNS = Path("/run/netns")


def exists(netns: str) -> bool:
    return (NETNS / netns).exists()


def make_cloud(paths: LabPaths) -> None:
    if exists(paths.netns):
        return
    run(["ip", "netns", "add", paths.netns])
    run(["ip", "-n", paths.netns, "link", "set", "lo", "up"])
    for bridge in ("mgmt", "data"):
        run(["ip", "-n", paths.netns, "link", "add", bridge, "type", "bridge"])
        run(["ip", "-n", paths.netns, "link", "set", bridge, "up"])
    run(["ip", "-n", paths.netns, "addr", "add", f"{CLOUD_ADDRESS}/24", "dev", "mgmt"])


def make_host(paths: LabPaths, host: HostPaths) -> None:
    if exists(host.netns):
        return
    run(["ip", "netns", "add", host.netns])
    run(["ip", "-n", host.netns, "link", "set", "lo", "up"])
    for bridge in ("mgmt", "data"):
        # Both ends are created in their namespaces, so they never appear in the machine's own.
        leg, port = f"{bridge}0", f"{bridge}-{host.name}"
        run(["ip", "-n", paths.netns, "link", "add", port, "type", "veth", "peer", "name", leg, "netns", host.netns])
        run(["ip", "-n", paths.netns, "link", "set", port, "master", bridge, "up"])
        run(["ip", "-n", host.netns, "link", "set", leg, "up"])
    run(["ip", "-n", host.netns, "addr", "add", f"{host.address}/24", "dev", "mgmt0"])


def remove(netns: str) -> None:
    if exists(netns):
        run(["ip", "netns", "del", netns])


def processes_in(netns: str) -> list[int]:
    """Everything that runs in a namespace of the lab, e.g. containerd and its shims, which dockerd starts itself."""
    if not exists(netns):
        return []
    wanted = (NETNS / netns).stat()
    ourselves = _ourselves()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended while we looked
            seen = (folder / "ns" / "net").stat()
            if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(int(folder.name))
    return [pid for pid in found if pid not in ourselves]


def _ourselves() -> set[int]:
    """Ids of this process and its ancestors: `down` may be run from a shell inside the lab."""
    pids, pid = set(), os.getpid()
    while pid > 1:
        pids.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pids


def cgroups(name: str) -> list[Path]:
    """The folders of one cgroup, in every hierarchy of version 1 or in the one of version 2."""
    root = Path("/sys/fs/cgroup")
    return [folder for folder in (root / name, *root.glob(f"*/{name}")) if folder.is_dir()]


def processes_of_containers(name: str) -> list[int]:
    files = [file for folder in cgroups(name) for file in folder.rglob("cgroup.procs")]
    pids: set[int] = set()
    for file in files:
        with suppress(OSError):  # the container ended while we looked
            pids.update(int(line) for line in file.read_text().split())
    return sorted(pids)


def remove_cgroups(name: str) -> None:
    for folder in cgroups(name):
        for child in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
            with suppress(OSError):  # gone, or not yet empty: the next `up` reuses it
                child.rmdir()
        with suppress(OSError):
            folder.rmdir()

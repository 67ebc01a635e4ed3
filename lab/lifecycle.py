# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Bringing a lab up, taking it down, telling what runs.

`up` starts only what is missing, so it also repairs. If it fails, whatever this run started is stopped again.
"""

import fcntl
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import cloud, database, host, network
from lab.errors import LabError
from lab.paths import RUN_ROOT, HostPaths, LabPaths
from lab.process import Record, Registry, boot_id, wait_for
from lab.progress import say, step

LOG_GENERATIONS = 3


@dataclass(frozen=True)
class Owner:
    """Who made the lab of this name: names are the machine's, check-outs may be many."""

    folder: str
    boot: str
    hosts: int


def registry_of(paths: LabPaths) -> Registry:
    return Registry(paths.run / "processes")


def owner_of(paths: LabPaths) -> Owner | None:
    try:
        return Owner(**json.loads((paths.run / "owner.json").read_text()))
    except FileNotFoundError:
        return None


def hosts_of(paths: LabPaths) -> list[HostPaths]:
    owner = owner_of(paths)
    return [paths.host(number) for number in range(1, (owner.hosts if owner else 0) + 1)]


def names() -> list[str]:
    """Every lab on this machine that has a record, whatever its state."""
    return sorted(file.parent.name for file in RUN_ROOT.glob("*/owner.json"))


def up(paths: LabPaths, hosts: int, *, with_kuryr: bool = True) -> None:
    with _alone(paths):
        registry = registry_of(paths)
        _refuse_foreign(paths, registry)
        fresh = not any(record.alive() for record in registry.records())
        if fresh:
            _clean(paths, registry)
            _rotate_logs(paths)
        hosts = max(hosts, len(hosts_of(paths)))
        _own(paths, hosts)
        try:
            _start(paths, registry, hosts, with_kuryr=with_kuryr)
        except BaseException:
            # Ctrl-C too must leave nothing half-started behind.
            say("undoing what this run started")
            _undo(paths, registry, fresh=fresh)
            raise


def down(paths: LabPaths) -> None:
    with _alone(paths):
        registry = registry_of(paths)
        _refuse_foreign(paths, registry)
        _clean(paths, registry)


@contextmanager
def _alone(paths: LabPaths) -> Iterator[None]:
    RUN_ROOT.mkdir(parents=True, exist_ok=True)
    with paths.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"somebody is just starting or stopping the lab {paths.name!r}; try again later"
            raise LabError(msg) from None
        yield


def _refuse_foreign(paths: LabPaths, registry: Registry) -> None:
    owner = owner_of(paths)
    if owner is None or owner.folder == str(paths.repo) or not any(record.alive() for record in registry.records()):
        return
    msg = f"the lab {paths.name!r} is running from {owner.folder}; choose another name with --name, or run ./dev down there"
    raise LabError(msg)


def _own(paths: LabPaths, hosts: int) -> None:
    paths.run.mkdir(parents=True, exist_ok=True)
    owner = Owner(str(paths.repo), boot_id(), hosts)
    (paths.run / "owner.json").write_text(json.dumps(asdict(owner)))


def _start(paths: LabPaths, registry: Registry, hosts: int, *, with_kuryr: bool) -> None:
    all_hosts = [paths.host(number) for number in range(1, hosts + 1)]
    with step("namespaces and links"):
        network.make_cloud(paths)
        for each in all_hosts:
            network.make_host(paths, each)
    branches: list[Callable[[], None]] = [lambda: _start_neutron(paths, registry)]
    branches.extend(_host_branch(paths, each, registry) for each in all_hosts)
    with step("OVN databases and northd"):
        cloud.start_ovn_central(paths, registry)
    _side_by_side(branches)
    if with_kuryr and paths.kuryr_server.exists():
        _side_by_side([_kuryr_branch(paths, each, registry) for each in all_hosts])
    elif with_kuryr:
        say(f"          kuryr-server is not installed in {paths.venv}: not started")


def _side_by_side(branches: list[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(len(branches)) as pool:
        futures = [pool.submit(branch) for branch in branches]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()


def _start_neutron(paths: LabPaths, registry: Registry) -> None:
    with step("MariaDB"):
        database.start(paths, registry)
    with step("Neutron API"):
        cloud.start_neutron(paths, registry)


def _host_branch(paths: LabPaths, each: HostPaths, registry: Registry) -> Callable[[], None]:
    def branch() -> None:
        with step(f"{each.name}: Open vSwitch and OVN chassis"):
            host.start_holder(paths, each, registry)
            host.write_kuryr_conf(paths, each)
            host.start_ovs(paths, each, registry)
            host.wait_for_chassis(paths, each, registry)
        with step(f"{each.name}: Docker and the image busybox"):
            host.start_docker(paths, each, registry)

    return branch


def _kuryr_branch(paths: LabPaths, each: HostPaths, registry: Registry) -> Callable[[], None]:
    def branch() -> None:
        with step(f"{each.name}: kuryr-server"):
            host.start_kuryr(paths, each, registry)

    return branch


def _undo(paths: LabPaths, registry: Registry, *, fresh: bool) -> None:
    if fresh:
        _clean(paths, registry)
    else:
        for name in reversed(registry.started):
            registry.stop([name])


def _clean(paths: LabPaths, registry: Registry) -> None:
    """Stop everything and remove all but logs; of a lab that died with its machine, only the remains."""
    _stop_programs(paths, registry)
    for each in hosts_of(paths):
        _kill(lambda each=each: network.processes_of_containers(each.cgroup) + network.processes_in(each.netns))  # type: ignore[misc]
        network.remove(each.netns)
        network.remove_cgroups(each.cgroup)
        shutil.rmtree(each.state, ignore_errors=True)
    _kill(lambda: network.processes_in(paths.netns))
    network.remove(paths.netns)
    for folder in ("mariadb", "ovn", "neutron", "template"):
        shutil.rmtree(paths.state / folder, ignore_errors=True)
    shutil.rmtree(paths.run, ignore_errors=True)


def _stop_programs(paths: LabPaths, registry: Registry) -> None:
    """In reverse order of start, the hosts' programs of one kind together."""
    kinds: dict[str, list[str]] = {}
    for record in registry.records():
        kinds.setdefault(record.name.partition("-")[2] or record.name, []).append(record.name)
    # Containers first: dockerd would give each of them ten seconds. Then dockerd, while its network driver still answers.
    for each in hosts_of(paths):
        for pid in network.processes_of_containers(each.cgroup):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for kind in sorted(kinds, key=_stop_order):
        registry.stop(kinds[kind])


def _stop_order(kind: str) -> int:
    order = ["dockerd", "kuryr", "neutron", "ovn-controller", "vswitchd", "ovsdb", "ovn-northd", "mariadb"]
    if kind == "holder":
        return len(order) + 1
    return order.index(kind) if kind in order else len(order)


def _kill(find: Callable[[], list[int]]) -> None:
    """End what the recorded programs started in our namespaces and left behind."""

    def gone() -> bool:
        left = find()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_for(gone, 5.0)


def _rotate_logs(paths: LabPaths) -> None:
    def generation(number: int) -> Path:
        return paths.logs.with_name(f"logs.{number}") if number else paths.logs

    shutil.rmtree(generation(LOG_GENERATIONS), ignore_errors=True)
    for number in range(LOG_GENERATIONS - 1, -1, -1):
        if generation(number).exists():
            generation(number).rename(generation(number + 1))
    paths.logs.mkdir(parents=True)


def status(paths: LabPaths) -> dict[str, Record | None]:
    """Program -> record if it runs, None if it should but does not."""
    registry = registry_of(paths)
    return {record.name: record if record.alive() else None for record in registry.records()}

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Starts and stops a lab, and tells what runs.

`up` starts only what is missing, so it also repairs. If it fails, whatever this run started is stopped again.
"""

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import (
    agents,
    broker,
    cloud,
    database,
    dockerd,
    engines,
    host,
    keystone,
    network,
    neutron_config,
    people,
    releases,
    teardown,
)
from lab.backend import OVN, Backend, named
from lab.errors import LabError
from lab.paths import RUN_ROOT, HostPaths, LabPaths
from lab.people import Person
from lab.process import Record, Registry, boot_id
from lab.progress import say, step
from lab.releases import Release
from lab.sriov import lifecycle as sriov_lifecycle, machine as sriov_machine
from lab.sriov.machine import Fleet

LOG_GENERATIONS = 3


@dataclass(frozen=True)
class Owner:
    """Which checkout a lab belongs to: names are shared by all checkouts on the machine."""

    folder: str
    boot: str
    hosts: int
    role: str = releases.NEWEST.role  # who its kuryr-servers are, by `people.KURYR_BY_ROLE`
    backend: str = OVN.name  # one of `lab.backend`
    neutron: str = releases.NEWEST.name  # one of `lab.releases`


def registry_of(paths: LabPaths) -> Registry:
    return Registry(paths.run / "processes")


def owner_of(paths: LabPaths) -> Owner | None:
    try:
        return Owner(**json.loads((paths.run / "owner.json").read_text()))
    except FileNotFoundError:
        return None


def backend_of(paths: LabPaths) -> Backend:
    owner = owner_of(paths)
    return named(owner.backend) if owner else OVN


def release_of(paths: LabPaths) -> Release:
    owner = owner_of(paths)
    return releases.named(owner.neutron) if owner else releases.NEWEST


def hosts_of(paths: LabPaths) -> list[HostPaths]:
    owner = owner_of(paths)
    return [paths.host(number) for number in range(1, (owner.hosts if owner else 0) + 1)]


def names() -> list[str]:
    """Every lab on this machine that has a record, whatever its state."""
    return sorted(file.parent.name for file in RUN_ROOT.glob("*/owner.json"))


def up(
    paths: LabPaths,
    hosts: int,
    *,
    with_kuryr: bool = True,
    fleet: Fleet | None = None,
    engine: Sequence[str] = (engines.OWN,),
    role: str | None = None,
    backend: str | None = None,
    neutron: str | None = None,
) -> None:
    """Start what is missing.

    `engine`: what `--engine` names, one for all new hosts or one for each host. `role`: who its kuryr-servers are, by
    `people.KURYR_BY_ROLE`; without one they stay who they are; in a new lab the release decides. `backend`: one of
    `lab.backend`; without one it is what the lab has, and OVN in a new one. `neutron`: likewise one of `lab.releases`,
    and the newest in a new lab.
    """
    with _alone(paths):
        registry = registry_of(paths)
        _refuse_foreign(paths, registry)
        fresh = not any(record.alive() for record in registry.records())
        if fresh:
            if owner_of(paths) is not None:
                teardown.everything(paths, hosts_of(paths), registry)
            _refuse_used_namespaces(paths, hosts)
            _rotate_logs(paths)
        before, fleet_before, owner = hosts_of(paths), sriov_machine.fleet_of(paths), owner_of(paths)
        carrier, release = _backend(paths, backend, fresh=fresh), _release(paths, neutron, fresh=fresh)
        role_before = owner.role if owner else release.role
        role = role or role_before
        hosts = max(hosts, len(before))
        fleet = sriov_lifecycle.grow(paths, fleet or fleet_before)
        _own(paths, Owner(str(paths.repo), boot_id(), hosts, role, carrier.name, release.name))
        sriov_machine.note_fleet(paths, fleet)
        try:
            engines.give_all([paths.host(number) for number in range(1, hosts + 1)], engine, paths.cache)
            _start(paths, registry, hosts, fleet, people.KURYR_BY_ROLE[role], carrier, release, with_kuryr=with_kuryr)
        except BaseException:
            # Ctrl-C, too, must leave nothing half-started.
            say("stopping what this run started")
            if fresh:
                teardown.everything(paths, hosts_of(paths), registry)
            else:
                teardown.programs([paths.host(number) for number in range(1, hosts + 1)], registry, registry.started)
                for added in hosts_of(paths)[len(before) :]:
                    teardown.remains_of_host(added)
                _own(paths, Owner(str(paths.repo), boot_id(), len(before), role_before, carrier.name, release.name))
                sriov_lifecycle.shrink(paths, fleet_before)
            raise


def down(paths: LabPaths) -> None:
    with _alone(paths):
        registry = registry_of(paths)
        _refuse_foreign(paths, registry)
        teardown.everything(paths, hosts_of(paths), registry)


@contextmanager
def _alone(paths: LabPaths) -> Iterator[None]:
    RUN_ROOT.mkdir(parents=True, exist_ok=True)
    with paths.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"the lab {paths.name!r} is just being started or stopped; try again later"
            raise LabError(msg) from None
        yield


def _refuse_foreign(paths: LabPaths, registry: Registry) -> None:
    owner = owner_of(paths)
    if owner is None or owner.folder == str(paths.repo) or not any(record.alive() for record in registry.records()):
        return
    msg = (
        f"the lab {paths.name!r} is running from {owner.folder}; choose another name with --name, or run ./dev down "
        "there"
    )
    raise LabError(msg)


def _refuse_used_namespaces(paths: LabPaths, hosts: int) -> None:
    """Remove a namespace with our name but without our record, unless a process is in it."""
    for netns in (paths.netns, *(paths.host(number).netns for number in range(1, hosts + 1))):
        pids = network.processes_in(netns)
        if pids:
            msg = (
                f"the network namespace {netns} is in use by process {pids[0]}, which no lab started; choose another "
                "--name"
            )
            raise LabError(msg)
        network.remove(netns)


def _backend(paths: LabPaths, wanted: str | None, *, fresh: bool) -> Backend:
    has = backend_of(paths)
    if fresh:
        return named(wanted) if wanted else OVN
    if wanted not in {None, has.name}:
        msg = f"the lab {paths.name!r} runs with the backend {has.name}; run ./dev down first"
        raise LabError(msg)
    return has


def _release(paths: LabPaths, wanted: str | None, *, fresh: bool) -> Release:
    has = release_of(paths)
    if fresh:
        return releases.named(wanted) if wanted else releases.NEWEST
    if wanted not in {None, has.name}:
        msg = f"the lab {paths.name!r} has {has}; run ./dev down first"
        raise LabError(msg)
    return has


def _own(paths: LabPaths, owner: Owner) -> None:
    paths.run.mkdir(parents=True, exist_ok=True)
    (paths.run / "owner.json").write_text(json.dumps(asdict(owner)))


def _start(
    paths: LabPaths,
    registry: Registry,
    hosts: int,
    fleet: Fleet,
    person: Person,
    backend: Backend,
    release: Release,
    *,
    with_kuryr: bool,
) -> None:
    all_hosts = [paths.host(number) for number in range(1, hosts + 1)]
    with_broker = bool(fleet.machines) or not backend.is_ovn
    with step("namespaces and links"):
        network.make_cloud(paths)
        for each in all_hosts:
            network.make_host(paths, each)
    if with_broker:
        _stop_neutron_without_broker(paths, registry)
    branches: list[Callable[[], None]] = [
        lambda: _start_neutron(paths, registry, backend, release, with_broker=with_broker),
        lambda: _start_keystone(paths, registry),
    ]
    if with_broker:
        branches.append(lambda: _start_broker(paths, registry))
    branches.extend(_host_branch(paths, each, registry, person, backend) for each in all_hosts)
    branches.extend(sriov_lifecycle.branches(paths, registry, fleet, person))
    if backend.is_ovn:
        with step("OVN databases and northd"):
            cloud.start_ovn_central(paths, registry)
    _side_by_side(branches, registry)
    if not backend.is_ovn:
        _side_by_side([_agent_branch(paths, each, registry, backend, release) for each in all_hosts], registry)
    host.acquaint(all_hosts, registry)
    if with_kuryr and paths.kuryr_server.exists():
        _side_by_side(
            [
                *(_kuryr_branch(paths, each, registry) for each in all_hosts),
                *sriov_lifecycle.kuryr_branches(paths, fleet),
            ],
            registry,
        )
    elif with_kuryr:
        say(f"          kuryr-server is not installed in {paths.venv}: not started")


def _stop_neutron_without_broker(paths: LabPaths, registry: Registry) -> None:
    """Before the first SR-IOV machine is added to a running lab, restart its Neutron with a broker."""
    if registry.running("neutron") and neutron_config.NO_BROKER in paths.neutron_conf.read_text():
        cloud.stop_neutron(paths, registry)


def _start_broker(paths: LabPaths, registry: Registry) -> None:
    with step("RabbitMQ"):
        broker.start_rabbitmq(paths, registry)


def _side_by_side(branches: list[Callable[[], None]], registry: Registry) -> None:
    with ThreadPoolExecutor(len(branches)) as pool:
        futures = [pool.submit(branch) for branch in branches]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            # The other branches wait for programs that are not needed any more, and end as soon as those do.
            registry.stop(list(registry.started), sudden=True)
            raise


def _start_neutron(
    paths: LabPaths, registry: Registry, backend: Backend, release: Release, *, with_broker: bool
) -> None:
    with step("MariaDB"):
        database.start(paths, registry, release)
    with step(f"{release} API"):
        url = broker.transport_url() if with_broker else neutron_config.NO_BROKER
        cloud.start_neutron(paths, registry, backend, release, url)
    if with_broker:
        broker.start_rpc_server(paths, registry, release)


def _start_keystone(paths: LabPaths, registry: Registry) -> None:
    with step("Keystone"):
        keystone.start(paths, registry)


def _host_branch(
    paths: LabPaths, each: HostPaths, registry: Registry, person: Person, backend: Backend
) -> Callable[[], None]:
    def branch() -> None:
        with step(f"{each.name}: Open vSwitch{' and OVN chassis' if backend.is_ovn else ''}"):
            if registry.running(f"{each.name}-holder") is None:
                # Whatever still runs there is in namespaces that cannot be entered any more.
                teardown.programs_of_host(each, registry)
            host.start_holder(paths, each, registry)
            host.write_kuryr_conf(each, person, registry)
            host.start_ovs(paths, each, registry, backend)
            if backend.is_ovn:
                host.wait_for_chassis(paths, each, registry)
        with step(f"{each.name}: {engines.of(each)} and the image busybox"):
            dockerd.start(paths, each, registry)

    return branch


def _agent_branch(
    paths: LabPaths, each: HostPaths, registry: Registry, backend: Backend, release: Release
) -> Callable[[], None]:
    def branch() -> None:
        names = ", ".join(agent.kind for agent in agents.of(each, backend))
        with step(f"{each.name}: {names} (firewall: {backend.firewall})"):
            agents.start(paths, each, registry, backend, release)

    return branch


def _kuryr_branch(paths: LabPaths, each: HostPaths, registry: Registry) -> Callable[[], None]:
    def branch() -> None:
        with step(f"{each.name}: kuryr-server"):
            host.start_kuryr(paths, each, registry)

    return branch


def _rotate_logs(paths: LabPaths) -> None:
    def generation(number: int) -> Path:
        return paths.logs.with_name(f"logs.{number}") if number else paths.logs

    shutil.rmtree(generation(LOG_GENERATIONS), ignore_errors=True)
    for number in range(LOG_GENERATIONS - 1, -1, -1):
        if generation(number).exists():
            generation(number).rename(generation(number + 1))
    paths.logs.mkdir(parents=True)


def status(paths: LabPaths) -> dict[str, Record | None]:
    """By program: its record if it runs, None if it should but does not."""
    registry = registry_of(paths)
    return {record.name: record if record.alive() else None for record in registry.records()}

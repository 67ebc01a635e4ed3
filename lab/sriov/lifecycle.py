# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Starts and stops a lab's SR-IOV machines."""

from collections.abc import Callable
from functools import partial

from lab.errors import LabError
from lab.paths import LabPaths
from lab.people import Person
from lab.process import Registry
from lab.progress import step
from lab.sriov import guest as sriov_guest, image as sriov_image, machine as sriov_machine
from lab.sriov.machine import Fleet, MachinePaths


def grow(paths: LabPaths, fleet: Fleet) -> Fleet:
    """The machines that the lab has from now on; existing ones are kept."""
    before = sriov_machine.fleet_of(paths)
    if before.machines and before.release != fleet.release:
        msg = f"the SR-IOV machines of the lab {paths.name!r} are Debian {before.release}; run ./dev down first"
        raise LabError(msg)
    if before.machines == 1 and fleet.machines > 1:
        msg = "a second SR-IOV machine needs a wire to the first from its start; run ./dev down first"
        raise LabError(msg)
    return Fleet(max(before.machines, fleet.machines), fleet.release)


def shrink(paths: LabPaths, fleet: Fleet) -> None:
    """Restore the former list of machines; those added since have been stopped."""
    for each in sriov_machine.fleet_of(paths).paths(paths)[fleet.machines :]:
        sriov_machine.remove(each)
    sriov_machine.note_fleet(paths, fleet)


def branches(paths: LabPaths, registry: Registry, fleet: Fleet, person: Person) -> list[Callable[[], None]]:
    """The part of the start that can run in parallel to the cloud and the other hosts. `person`: the service's user."""
    return [partial(_start_machine, paths, registry, fleet, person, each) for each in fleet.paths(paths)]


def _start_machine(paths: LabPaths, registry: Registry, fleet: Fleet, person: Person, each: MachinePaths) -> None:
    with step(f"{each.name}: the image of the SR-IOV machine"):
        sriov_image.image(paths, fleet.release)
    with step(f"{each.name}: boot"):
        sriov_machine.boot(paths, each, fleet, registry)
    sriov_guest.launch_docker(each)
    with step(f"{each.name}: Virtual Functions"):
        sriov_guest.make_vfs(each)
    sriov_guest.write_conf(each, person)
    sriov_guest.log_in_as(each, person)
    sriov_guest.start_agent(each)
    with step(f"{each.name}: Docker and the image busybox"):
        sriov_guest.start_docker(each)


def kuryr_branches(paths: LabPaths, fleet: Fleet) -> list[Callable[[], None]]:
    return [partial(_start_kuryr, paths, fleet, each) for each in fleet.paths(paths)]


def _start_kuryr(paths: LabPaths, fleet: Fleet, each: MachinePaths) -> None:
    with step(f"{each.name}: kuryr-server"):
        sriov_guest.start_kuryr(paths, each, sriov_image.image(paths, fleet.release))


def remove(paths: LabPaths, registry: Registry) -> None:
    """Stop the machines first, because they slow down everything else."""
    machines = sriov_machine.fleet_of(paths).paths(paths)
    registry.stop([each.qemu for each in machines], sudden=True)
    for each in machines:
        sriov_machine.remove(each)

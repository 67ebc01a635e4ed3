# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab.paths import LabPaths
from lab.process import run
from lab.release import debian, python, roots, tree
from tests.packages.host import Host
from tests.systemd.machine import booted_release
from tests.systemd.world import cloud_of

LIMIT = 1800
"""Seconds for a test, and the packages that it may have to build first."""


@dataclass(frozen=True)
class Built:
    """What is installed on a host. ``newer``: the package of the next revision. ``wheels``: for pip."""

    release: str
    package: Path
    newer: Path
    wheels: Path

    @property
    def folder(self) -> Path:
        return self.package.parent


@pytest.fixture(scope="session", params=list(roots.RELEASES))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """KURYR_RELEASES: only these releases. KURYR_PACKAGES: a folder with a folder for each, built by an earlier run and
    used again.
    """
    release = str(request.param)
    if release not in os.environ.get("KURYR_RELEASES", release).split(","):
        pytest.skip(f"KURYR_RELEASES does not name {release}")
    top = os.environ.get("KURYR_PACKAGES")
    folder = Path(top, release) if top else tmp_path_factory.mktemp(release) / "build"
    if not list(folder.glob("kuryr-libnetwork_*.deb")):
        build(release, folder)
    package = next(folder.glob("kuryr-libnetwork_*.deb"))
    return Built(release, package, next_revision(package), folder / "source" / "debian" / "wheels")


def build(release: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with TemporaryDirectory() as name:
        debian.build(LabPaths("release"), release, python.wheel_alone(Path(name)), folder, tree.epoch())


def next_revision(package: Path) -> Path:
    """The same package under a higher version."""
    folder = package.parent / "newer"
    shutil.rmtree(folder, ignore_errors=True)
    run(["dpkg-deb", "--raw-extract", str(package), str(folder)])
    control = folder / "DEBIAN" / "control"
    lines = control.read_text().splitlines(keepends=True)
    told = [f"{line.rstrip()}+1\n" if line.startswith("Version: ") else line for line in lines]
    control.write_text("".join(told))
    target = package.with_name("newer.deb")
    run(["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", str(folder), str(target)])
    return target


@pytest.fixture
def host(built: Built, tmp_path: Path) -> Iterator[Host]:
    """A host that has just been booted, without the package."""
    tree_of_release = roots.host(LabPaths("release"), built.release).tree
    shown = {built.folder: "/packages", built.wheels: "/wheels"}
    with booted_release(tmp_path, tree_of_release, shown) as machine, cloud_of(machine) as world:
        yield Host(machine, world)

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What ``pip`` gets: an sdist and a wheel with all that a host needs, the same bytes each time."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from lab.paths import REPO
from lab.release import bill, python, tree
from lab.release.__main__ import SUMS, version, write_sums

BESIDE = {
    "kuryr-libnetwork/kuryr.conf.sample",
    "kuryr-libnetwork/constraints.txt",
    "kuryr-libnetwork/systemd/kuryr-libnetwork.service",
    "kuryr-libnetwork/systemd/kuryr-libnetwork.socket",
    "kuryr-libnetwork/prometheus/alerts.yml",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Sdist and wheel, of a tree that has a manual page."""
    folder = tmp_path_factory.mktemp("built")
    copied = tree.copy(folder / "tree")
    (copied / "man").mkdir(exist_ok=True)
    (copied / "man" / "kuryr-invented.8").write_text(".TH KURYR-INVENTED 8\n")
    sdist, wheel = python.build(copied, folder / "out", tree.epoch())
    return sdist, wheel


def test_the_sdist_is_the_tree(built: tuple[Path, Path]) -> None:
    """Fails if somebody who packages it lacks a unit, the sample, the licence, a page or a test."""
    with tarfile.open(built[0]) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {str(name) for name in tree.files()} - {".gitignore", ".ci/run"}
    assert wanted - found == set()
    assert "man/kuryr-invented.8" in found


def test_the_wheel_has_what_a_host_needs(built: tuple[Path, Path]) -> None:
    """Fails if a host that is installed from the wheel alone lacks units, sample or licence."""
    with zipfile.ZipFile(built[1]) as archive:
        found = archive.namelist()
    share = {name.partition(".data/data/share/")[2] for name in found}
    assert share >= BESIDE
    assert "man/man8/kuryr-invented.8" in share
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in found)
    assert not [name for name in found if name.startswith(("tests/", "lab/", "bench/"))]


def test_two_builds_are_the_same_bytes(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Fails if nobody can check that a release was built from the tree that it names: another folder, umask, and time
    of the files make no difference.
    """
    copied = tree.copy(tmp_path / "elsewhere" / "tree")
    (copied / "man").mkdir(exist_ok=True)
    (copied / "man" / "kuryr-invented.8").write_text(".TH KURYR-INVENTED 8\n")
    for path in copied.rglob("*.py"):
        os.utime(path, (1e9, 1e9))
    before = os.umask(0o077)
    try:
        again = python.build(copied, tmp_path / "out", tree.epoch())
    finally:
        os.umask(before)
    assert [file.name for file in again] == [file.name for file in built]
    for one, other in zip(built, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_the_wheel_runs_in_an_environment_of_its_own(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Fails if the commands of an installed wheel do not start, or the units are not where the page says.

    The libraries are those of the tests' environment.
    """
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next(venv.glob("lib/python3*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(built[1])], check=True)
    bill.check(venv, version())
    missing = {name for name in BESIDE if not (venv / "share" / name).is_file()}
    assert missing == set()


def test_the_bill_of_materials(tmp_path: Path) -> None:
    """Fails if it lacks the project or a library, or differs from one time to the next."""
    pair = [
        bill.write(Path(sys.prefix), REPO / "pyproject.toml", tmp_path / name, validate=False)
        for name in ("one", "other")
    ]
    one, other = (file.read_text() for file in pair)
    assert one == other
    assert '"pkg:pypi/oslo.config@' in one.lower().replace("oslo-config", "oslo.config")
    assert '"name": "kuryr-libnetwork"' in one


def test_the_checksums(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_text("a")
    write_sums(tmp_path)
    write_sums(tmp_path)  # not of itself
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=tmp_path, check=True)
    assert len((tmp_path / SUMS).read_text().splitlines()) == 1

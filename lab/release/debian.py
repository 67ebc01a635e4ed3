# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The Debian package, built and checked in a root of its release, from the wheel and `packaging/debian`.

The libraries are downloaded first, in the versions of `constraints.txt`; the build itself needs no network.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from lab.paths import LabPaths
from lab.process import run
from lab.progress import step
from lab.release import roots, tree
from lab.release.roots import Root

NAME = "kuryr-libnetwork"
RECIPE = "packaging/debian"
_MAINTAINER = re.compile(r"^Maintainer: (.*)$", re.MULTILINE)
_PRE_RELEASE = re.compile(r"\.?(dev|a|b|rc)(\d+)")


def debian_version(version: str, number: str, revision: int = 1) -> str:
    """A version of Python's as Debian sorts it: before the release what comes before it, and by release of Debian."""
    upstream = _PRE_RELEASE.sub(r"~\1\2", version).replace(".post", "+post")
    return f"{upstream}-{revision}+deb{number}"


def changelog(version: str, release: str, maintainer: str, date: int) -> str:
    day = format_datetime(datetime.fromtimestamp(date, UTC))
    return (
        f"{NAME} ({version}) {release}; urgency=medium\n\n"
        f"  * Built for Debian {roots.RELEASES[release]}; what is new in this version is in changelog.gz.\n\n"
        f" -- {maintainer}  {day}\n"
    )


def build(paths: LabPaths, release: str, wheel: Path, work: Path, date: int) -> Path:
    """The package, in ``work``, a folder of this build's own."""
    root = roots.building(paths, release)
    log = paths.dev / "logs" / f"package-{release}.log"
    log.unlink(missing_ok=True)
    source = _source(wheel, work, root, date)
    with step(f"Debian {release}: libraries"):
        _download(root, source, log)
    with step(f"Debian {release}: the package"):
        _inside(root, work, ["dpkg-buildpackage", "--build=binary", "--no-sign"], source, log, date)
    with step(f"Debian {release}: lintian"):
        _check(root, work, log)
    return next(work.glob("*.deb"))


def _source(wheel: Path, work: Path, root: Root, date: int) -> Path:
    source = tree.copy(work / "source")
    debian = source / "debian"
    shutil.copytree(source / RECIPE, debian)
    version = debian_version(wheel.name.split("-")[1], root.number)
    match = _MAINTAINER.search((debian / "control").read_text())
    assert match is not None
    (debian / "changelog").write_text(changelog(version, root.release, match[1], date))
    (debian / "wheels").mkdir()
    shutil.copy(wheel, debian / "wheels")
    return source


def _download(root: Root, source: Path, log: Path) -> None:
    """Wheels of all libraries; made here if an author publishes none."""
    pip = ["python3", "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    own = next((source / "debian" / "wheels").glob("*.whl")).name
    command = [*pip, "--constraint", "constraints.txt", "--wheel-dir", "debian/wheels", f"debian/wheels/{own}"]
    root.run(command, {source: "build"}, within="/build", log=log)


def _inside(root: Root, work: Path, command: list[str], source: Path, log: Path, date: int) -> None:
    environment = {"SOURCE_DATE_EPOCH": str(date), "DEB_BUILD_OPTIONS": "nocheck"}
    root.run(command, {work: "build"}, within=f"/build/{source.name}", env=environment, log=log)


def _check(root: Root, work: Path, log: Path) -> None:
    """Errors and warnings end the build; what is overridden has its reason beside the override."""
    changes = next(work.glob("*.changes")).name
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", changes]
    root.run(command, {work: "build"}, within="/build", log=log)


def content(package: Path) -> list[str]:
    """The paths of its files, links and folders."""
    lines = run(["dpkg-deb", "--contents", str(package)]).splitlines()
    return [line.split(maxsplit=5)[5].partition(" -> ")[0].removeprefix(".").rstrip("/") for line in lines]


def packages(paths: LabPaths, releases: Sequence[str], wheel: Path, work: Path, out: Path) -> dict[str, Path]:
    """By release."""
    built = {}
    for release in releases:
        folder = work / release
        folder.mkdir(parents=True)
        package = build(paths, roots.check(release), wheel, folder, tree.epoch())
        built[release] = Path(shutil.copy(package, out))
    return built

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""`./dev release`: all that a user can install, with checksums, in one folder."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.errors import LabError
from lab.paths import REPO, LabPaths
from lab.process import run
from lab.progress import say, step
from lab.release import bill, constraints, debian, image, python, roots, tree

SUMS = "SHA256SUMS"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        arguments.verb(arguments)
    except LabError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    whole = verbs.add_parser("release", help=__doc__)
    whole.add_argument("--snapshot", action="store_true", help="of this tree as it is, committed and tagged or not")
    whole.set_defaults(verb=lambda given: release(given.out.absolute(), snapshot=given.snapshot))
    package = verbs.add_parser("package", help="the Debian packages of this tree as it is")
    package.add_argument("release", nargs="*", metavar="RELEASE", help=f"of: {' '.join(roots.RELEASES)} (default: all)")
    package.set_defaults(verb=lambda given: packages(given.release or list(roots.RELEASES), given.out.absolute()))
    picture = verbs.add_parser("image", help="the container image of this tree as it is")
    picture.set_defaults(verb=lambda given: image_alone(given.out.absolute()))
    for each in (whole, package, picture):
        each.add_argument("--out", type=Path, default=REPO / "dist", help="the folder (default: dist)")
    return parser


def version() -> str:
    found: str = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
    return found


def release(out: Path, *, snapshot: bool) -> None:
    if not snapshot:
        tree.check_releasable(version())
    _make_manual()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with TemporaryDirectory(prefix="kuryr-release-") as name:
        work = Path(name)
        with step("sdist and wheel"):
            _, wheel = python.build(tree.copy(work / "source"), out, tree.epoch())
        with step("an installation of the wheel, and its bill of materials"):
            shutil.copy(constraints.FILE, out)
            venv = bill.installed(wheel, constraints.FILE, work / "venv")
            bill.write(venv, REPO / "pyproject.toml", out / f"kuryr-libnetwork-{version()}.cdx.json")
        found = debian.packages(_paths(), list(roots.RELEASES), wheel, work / "debian", out)
        _image(found, work, out)
    write_sums(out)
    say(f"in {out}: {' '.join(sorted(file.name for file in out.iterdir()))}")


def packages(releases: Sequence[str], out: Path) -> None:
    for each in releases:
        roots.check(each)
    _make_manual()
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="kuryr-package-") as name:
        work = Path(name)
        wheel = python.wheel_alone(work)
        for package in debian.packages(_paths(), releases, wheel, work / "debian", out).values():
            say(f"next: apt install {package}   (see docs/packages.md)")


def image_alone(out: Path) -> None:
    _make_manual()
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="kuryr-image-") as name:
        work = Path(name)
        wheel = python.wheel_alone(work)
        (work / "package").mkdir()
        found = debian.packages(_paths(), [image.RELEASE], wheel, work / "debian", work / "package")
        file = _image(found, work, out)
    say(f"next: docker load --input {file}   (see docs/packages.md)")


def _image(built: Mapping[str, Path], work: Path, out: Path) -> Path:
    with step("the container image"):
        return image.build(_paths(), built[image.RELEASE], version(), work, out, tree.epoch())


def write_sums(folder: Path) -> None:
    """As ``sha256sum -c`` reads it."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != SUMS)
    lines = (f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    (folder / SUMS).write_text("".join(lines))


def _paths() -> LabPaths:
    return LabPaths("release")


def _make_manual() -> None:
    if (REPO / "lab" / "docs").is_dir():
        with step("the manual"):
            run([sys.executable, "-m", "lab.docs"], timeout=600)


if __name__ == "__main__":
    sys.exit(main())

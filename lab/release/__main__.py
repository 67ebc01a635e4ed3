# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""`./dev release`: all that a user can install, with checksums, in one folder."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.errors import LabError
from lab.paths import REPO
from lab.progress import say, step
from lab.release import bill, constraints, python, tree

SUMS = "SHA256SUMS"


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        release(arguments.out.absolute(), snapshot=arguments.snapshot)
    except LabError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev release", description=__doc__)
    parser.add_argument("--snapshot", action="store_true", help="of this tree as it is, committed and tagged or not")
    parser.add_argument("--out", type=Path, default=REPO / "dist", help="the folder, made anew (default: dist)")
    return parser


def version() -> str:
    found: str = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
    return found


def release(out: Path, *, snapshot: bool) -> None:
    if not snapshot:
        tree.check_releasable(version())
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with TemporaryDirectory(prefix="kuryr-release-") as name:
        source = tree.copy(Path(name) / "source")
        with step("sdist and wheel"):
            _, wheel = python.build(source, out, tree.epoch())
        with step("an installation of the wheel, and its bill of materials"):
            shutil.copy(constraints.FILE, out)
            venv = bill.installed(wheel, constraints.FILE, Path(name) / "venv")
            bill.write(venv, REPO / "pyproject.toml", out / f"kuryr-libnetwork-{version()}.cdx.json")
    write_sums(out)
    say(f"in {out}: {' '.join(sorted(file.name for file in out.iterdir()))}")


def write_sums(folder: Path) -> None:
    """As ``sha256sum -c`` reads it."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != SUMS)
    lines = (f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    (folder / SUMS).write_text("".join(lines))


if __name__ == "__main__":
    sys.exit(main())

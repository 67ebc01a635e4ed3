# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""sdist and wheel, the same bytes whenever and wherever they are built from the same tree."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tarfile
from pathlib import Path

from lab.errors import LabError
from lab.process import clean_environment
from lab.release import tree


def build(copied: Path, out: Path, date: int) -> list[Path]:
    """The sdist and the wheel of a copied tree, which is written to. ``date``: of all files in them."""
    out.mkdir(parents=True, exist_ok=True)
    # Without isolation: the builder is the one of constraints.txt, and nothing is downloaded.
    command = [sys.executable, "-m", "build", "--no-isolation", "--sdist", "--wheel", "--outdir", str(out), str(copied)]
    environment = {**clean_environment(), "SOURCE_DATE_EPOCH": str(date), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(command, env=environment, umask=0o022, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1]
        msg = f"sdist and wheel cannot be built: {last}"
        raise LabError(msg)
    sdist, wheel = next(out.glob("*.tar.gz")), next(out.glob("*.whl"))
    normalise(sdist, date)
    return [sdist, wheel]


def wheel_alone(work: Path) -> Path:
    """The wheel of this tree as it is, in a folder of a build's own."""
    _, wheel = build(tree.copy(work / "source"), work / "wheel", tree.epoch())
    return wheel


def normalise(file: Path, date: int) -> None:
    """setuptools writes into an sdist when and by whom it was built: replace that."""
    plain = io.BytesIO()
    with (
        tarfile.open(file) as old,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for entry in sorted(old.getmembers(), key=lambda each: each.name):
            content = old.extractfile(entry) if entry.isfile() else None
            entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.pax_headers = date, 0, 0, "", "", {}
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            new.addfile(entry, content)
    file.write_bytes(gzip.compress(plain.getvalue(), mtime=date))

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Prometheus and promtool of this machine's Debian release, unpacked below `.dev/cache`; nothing is installed.

`python3 -m lab.prometheus` downloads them.
"""

import shutil
import sys
from pathlib import Path

from lab.errors import LabError
from lab.paths import LabPaths
from lab.sriov.packages import archive, made_once, own_release

PACKAGE = "prometheus"


def _tree(cache: Path) -> Path:
    return cache / f"prometheus-{own_release()}"


def program(name: str) -> str | None:
    """The path of `prometheus` or `promtool`: the one that `./dev test` has downloaded, or else the machine's own."""
    unpacked = _tree(LabPaths("dev").cache) / "usr" / "bin" / name
    return str(unpacked) if unpacked.exists() else shutil.which(name)


def download(cache: Path) -> None:
    target = _tree(cache)
    with made_once(target, "downloading Prometheus") as draft:
        if draft is not None:
            archive(cache, own_release()).unpack_only([PACKAGE], draft)
            shutil.rmtree(draft / "usr" / "share")  # its web pages and manuals


if __name__ == "__main__":
    try:
        download(LabPaths("dev").cache)
    except LabError as error:
        sys.exit(f"ERROR: {error}")

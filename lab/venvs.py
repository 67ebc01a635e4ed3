# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Python environments that only some labs and tests need: other releases of Neutron, and clients of Docker.

Each is made once below `.dev/cache`, with the versions of a file in `lab/pins`, and made again when that file changes.
"""

import hashlib
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from lab.process import run
from lab.progress import say
from lab.sriov import packages as sriov_packages

PINS = Path(__file__).parent / "pins"
# Debian's: another python3 in PATH may lack venv.
PYTHON = "/usr/bin/python3"
LONGEST = 1200.0
"""Seconds: some packages are compiled, on a machine that does other things as well."""


def environment(cache: Path, name: str, wants: Sequence[str]) -> Path:
    """The folder of an environment with the packages `wants`, whose versions `lab/pins/NAME.txt` has."""
    pins = PINS / f"{name}.txt"
    content = repr((pins.read_text(), tuple(wants), platform.python_version_tuple()[:2]))
    key = hashlib.sha256(content.encode()).hexdigest()[:10]
    # Its commands contain its path, which must hold for everybody who shares the cache.
    folder = cache.resolve() / f"venv-{name}-{key}"
    complete = folder / "complete"
    with sriov_packages.alone(folder.with_name(f"{folder.name}.lock")):
        if not complete.exists():
            say(f"          installing {' '.join(wants)} (once)")
            shutil.rmtree(folder, ignore_errors=True)
            run([PYTHON, "-m", "venv", str(folder)])
            pip = (str(python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            run([*pip, "--constraint", str(pins), *wants], timeout=LONGEST)
            complete.touch()
    return folder


def python(folder: Path) -> Path:
    return folder / "bin" / "python"

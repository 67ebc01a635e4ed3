# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The versions of the libraries that the tests run with, one a line, as ``pip install -c`` wants them.

`./dev` installs its own environment by them, so the file names what the tests have really run with, and a release of a
library that nobody has tried changes nothing until `./dev constraints` takes it up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from lab.lowest import bounds
from lab.paths import REPO

FILE = REPO / "constraints.txt"
BUILDERS = ("setuptools",)
"""What makes the wheel is named in it, so another version makes other bytes."""
_HEAD = """\
# The versions of the libraries with which all tests have passed, and of what builds the wheel:
#   pip install -c constraints.txt kuryr-libnetwork
# Made by: ./dev constraints
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(roots: Iterable[str]) -> dict[str, str]:
    """Name and version of these distributions and all that they need, as this environment has them."""
    found: dict[str, str] = {}
    waiting = [(root, "") for root in roots]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        own = distribution(name)
        found[normal(name)] = own.version
        for line in own.requires or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                wanted = {(need.name, each) for each in ("", *need.extras)} - seen
                seen |= wanted
                waiting += sorted(wanted)
    return found


def written(file: Path = FILE) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    pairs = (line.partition("==") for line in lines if line)
    return {name: version for name, _, version in pairs}


def text() -> str:
    versions = installed((*bounds(), *BUILDERS))
    return _HEAD + "".join(f"{name}=={versions[name]}\n" for name in sorted(versions))


if __name__ == "__main__":
    FILE.write_text(text())

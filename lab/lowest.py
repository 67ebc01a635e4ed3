# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The lowest versions that pyproject.toml allows, one a line, as ``pip install -c`` wants them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_BOUNDS = re.compile(r"(?P<name>[\w.-]+)>=(?P<lowest>[\d.]+),<(?P<beyond>[\d.]+)")


def bounds() -> dict[str, tuple[str, str]]:
    """Lowest version and the first that is not allowed, by the name of the library.

    Raises ``ValueError`` for a dependency that lacks one of them.
    """
    found = {}
    for line in tomllib.loads(PROJECT.read_text())["project"]["dependencies"]:
        match = _BOUNDS.fullmatch(line)
        if match is None:
            raise ValueError(f"{line}: a dependency has two bounds, NAME>=LOWEST,<BEYOND")
        found[match["name"]] = (match["lowest"], match["beyond"])
    return found


if __name__ == "__main__":
    for name, (lowest, _) in bounds().items():
        print(f"{name}=={lowest}")

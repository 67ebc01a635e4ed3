# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of a page, as they stand there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def commands(page: str, heading: str) -> list[str]:
    """The blocks of shell commands below a heading, to the next one of its level, each without its indentation."""
    before, found, after = (ROOT / page).read_text().partition(f"# {heading}\n")
    assert found, heading
    level = before.rpartition("\n")[2] + "#"
    body = after.partition(f"\n{level} ")[0]
    return [textwrap.dedent(block) for _, block in _BLOCK.findall(body)]

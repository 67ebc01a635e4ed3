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
    """The blocks of shell commands below a heading of the second level, each without its indentation."""
    text = (ROOT / page).read_text()
    body = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [textwrap.dedent(block) for _, block in _BLOCK.findall(body)]

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor's findings for a person at a terminal, where a table would break its words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from kuryr_libnetwork.cli.host.findings import Finding

LEAST_WIDTH = 40


def text_of(findings: Iterable[Finding], width: int) -> list[str]:
    """A line or two for each finding: how it is, what was found, and what to do or why it was not checked."""
    found = list(findings)
    margin = max((len(each.status) for each in found), default=0) + 2
    lines = []
    for each in found:
        words = f"{each.link}: {each.found}" if each.found else each.link
        if each.status == "not checked":
            words = f"{each.link}: {each.advice}"
        lines += _wrapped(f"{each.status:<{margin}}{words}", width, " " * margin)
        if each.status == "wrong":
            lines += _wrapped(f"{' ' * margin}-> {each.advice}", width, " " * (margin + 3))
    return lines


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    """Commands and paths are not broken, so that they can be copied."""
    return textwrap.wrap(
        text, max(width, LEAST_WIDTH), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""docs/trouble.md quotes what the service really says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "kuryr_libnetwork"
PAGE = (ROOT / "docs" / "trouble.md").read_text()
HOLE = "…"
PERCENT = re.compile(r"%[dgs]")
NOT_OURS = ("Docker:", "Docker waits")
"""How a row begins that quotes Docker itself."""


def quotes() -> list[str]:
    """What stands in the first column, without commands."""
    cells = re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE)
    spans = [span for cell in cells if not cell.startswith(NOT_OURS) for span in re.findall(r"`([^`]+)`", cell)]
    return [span for span in spans if " " in span and not span.startswith("kuryr ")]


def texts() -> Iterator[str]:
    """Every text of the package, also one of several lines in the source; what is filled in becomes a hole."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield PERCENT.sub(HOLE, node.value)


TEXTS = [text for text in texts() if " " in text]


@pytest.mark.parametrize("quote", quotes())
def test_the_service_says_so(quote: str) -> None:
    """Who searches the page for the error that he reads would not find it."""
    parts = [re.escape(part.strip()) for part in quote.split(HOLE) if part.strip()]
    pattern = re.compile(".*".join(parts), re.DOTALL)
    assert any(pattern.search(text) for text in TEXTS)


def test_quotes_are_found_at_all() -> None:
    """The test above would find nothing wrong because it finds nothing."""
    assert len(quotes()) > 30

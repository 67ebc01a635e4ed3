# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of promises, and of what nobody can do, name tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs" / "compatibility.md").read_text()
CANNOT = (ROOT / "docs" / "security.md").read_text().partition("## What each can do, and cannot")[2]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE + CANNOT)))
HEADS = ("| promise", "| defect", "| cannot", "| client", "| Neutron |")
ROWS = [line for line in (TABLE + CANNOT).splitlines() if line.startswith("| ") and not line.startswith(HEADS)]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_promise_is_held_by_a_test_that_is_there(file: str, name: str) -> None:
    """A promise would be kept by nothing but its row."""
    assert re.search(rf"^ *def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_names_a_test(row: str) -> None:
    """A promise without a test would look as well kept as the others."""
    assert "`tests/" in row.split(" | ")[-1]

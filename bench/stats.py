# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers and how they are shown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


def p95(values: Sequence[float]) -> float:
    """Nearest rank."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def summary(values: Sequence[float]) -> dict[str, Any]:
    """For the JSON file."""
    if not values:
        return {"runs": 0}
    return {
        "runs": len(values),
        "median": round(statistics.median(values), 4),
        "p95": round(p95(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
    }


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def s(seconds: float) -> str:
    return f"{seconds:.2f} s"


@dataclass
class Section:
    """One table for people, and the same for machines."""

    key: str
    title: str
    header: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """GitHub's Markdown, aligned, so that it reads well in a terminal and fits into docs/benchmarks.md."""
        table = [list(self.header), *self.rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(self.header))]
        lines = [self._line(row, widths) for row in table]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join([f"## {self.title}", "", *lines, *(f"\n{note}" for note in self.notes), ""])

    @staticmethod
    def _line(row: Sequence[str], widths: Sequence[int]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

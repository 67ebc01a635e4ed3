# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The plots of docs/benchmarks.md, from the figures of one run; drawn by matplotlib, which only the bench needs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RUN, SHARE = "run-by-endpoints.svg", "share-by-endpoints.svg"


def draw(data: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """``data``: the sections of a run by their keys, as they are in the JSON file."""
    growth = {int(count): found for count, found in data.get("growth", {}).items() if count.isdecimal()}
    if not growth:
        return
    folder.mkdir(parents=True, exist_ok=True)
    levels = {}
    if "commands" in data:
        levels["Docker's bridge, without other containers"] = data["commands"]["docker run -d"]["bridge"]["median"]
    run = {count: found["run"] for count, found in growth.items()}
    yield _plot(folder / RUN, "docker run, seconds", run, levels)
    share = {count: found["share"] * 1000 for count, found in growth.items()}
    yield _plot(folder / SHARE, "our share of run and rm, milliseconds", share, {})


def _plot(file: Path, what: str, values: Mapping[int, float], levels: Mapping[str, float]) -> Path:
    import matplotlib as mpl  # not installed for the tests

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "kuryr"  # the same figures make the same file
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3))
    axes.plot(list(values), list(values.values()), marker="o", label="kuryr")
    for label, level in levels.items():
        axes.axhline(level, linestyle="--", color="grey", label=label)
    axes.set_xscale("log")
    axes.set_xticks(list(values), [f"{count:,}" for count in values])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("endpoints of the host")
    axes.set_ylabel(what)
    axes.legend()
    figure.savefig(file, format="svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    return file


def main() -> None:
    """Draw again from a JSON file: ``python -m bench.plots bench.json docs/images``."""
    for file in draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])):
        print(file)


if __name__ == "__main__":
    main()

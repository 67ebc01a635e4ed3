# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The summary of `./dev test`, read from what checks and tiers left in a folder.

`checks` has a line per check, `<tier>.xml` is pytest's JUnit report, `<tier>.broken` says that pytest (or the lab for
it) did not work at all, `coverage.json` is coverage's report.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

TIERS = (
    "unit",
    "services",
    "drivers",
    "cli",
    "conversation",
    "conversation-faults",
    "adapters",
    "linux",
    "names",
    "cloud",
    "sriov",
)


@dataclass(frozen=True)
class Outcome:
    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    note: str = ""


def tier(folder: Path, name: str) -> Outcome | None:
    broken = folder / f"{name}.broken"
    if broken.exists():
        why = broken.read_text().strip()
        return Outcome(name, failed=1, note="the lab did not start" if why == "lab" else f"pytest ended with {why}")
    report = folder / f"{name}.xml"
    if not report.exists():
        return None
    suites = list(ET.parse(report).getroot().iter("testsuite"))
    ran, failed, skipped = (
        sum(int(suite.get(key, "0")) for suite in suites for key in keys)
        for keys in (("tests",), ("failures", "errors"), ("skipped",))
    )
    seconds = sum(float(suite.get("time", "0")) for suite in suites)
    return Outcome(name, max(ran - failed - skipped, 0), failed, skipped, seconds)


def reports(folder: Path) -> list[str]:
    """The tiers that were run, in their order. Of the cloud there may be one report for each Docker Engine."""
    by_engine = sorted({file.stem for file in folder.glob("cloud-*") if file.suffix in {".xml", ".broken"}})
    at = TIERS.index("cloud") + 1
    return [*TIERS[:at], *by_engine, *TIERS[at:]]


def checks(folder: Path) -> list[Outcome]:
    file = folder / "checks"
    rows = [line.split("\t") for line in file.read_text().splitlines()] if file.exists() else []
    return [
        Outcome(name, failed=int(result != "passed"), seconds=float(took), note=result) for name, result, took in rows
    ]


def line_coverage(folder: Path) -> str | None:
    file = folder / "coverage.json"
    if not file.exists():
        return None
    totals = json.loads(file.read_text())["totals"]
    lines = totals["num_statements"]
    return f"line coverage of src: {100 * totals['covered_lines'] / lines:.1f} % of {lines} lines" if lines else None


def main(folder: Path) -> int:
    tiers = [outcome for outcome in (tier(folder, name) for name in reports(folder)) if outcome is not None]
    all_checks = checks(folder)
    print("\n== summary")
    for check in all_checks:
        print(f"{check.name:26} {check.note:37} {check.seconds:7.1f} s")
    for one in tiers:
        counts = f"{one.passed:4} passed, {one.failed:3} failed, {one.skipped:3} skipped"
        place = "tests/" + one.name.replace("conversation-", "conversation/")
        print(f"{place:26} {counts:37} {one.seconds:7.1f} s  {one.note}".rstrip())
    covered = line_coverage(folder)
    if covered:
        print(covered)
    # A failed check counts as one failure, so that the last line never says "0 failed" of a run that failed.
    failed = sum(outcome.failed for outcome in (*all_checks, *tiers))
    skipped = sum(outcome.skipped for outcome in tiers)
    print(f"{sum(one.passed for one in tiers)} passed, {failed} failed{f', {skipped} skipped' if skipped else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

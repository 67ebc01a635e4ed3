# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The results of checks and tiers, and the summary at the end of a run."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

PASSED, FAILED, NO_TEST = 0, 1, 5
"""The exit codes of a pytest run that completed."""


@dataclass(frozen=True)
class Outcome:
    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    note: str = ""
    is_check: bool = False


def broken(report: str, why: str = "the lab did not start") -> Outcome:
    return Outcome(report, failed=1, note=why)


def left_out(report: str, why: str) -> Outcome:
    return Outcome(report, skipped=1, note=why)


def outcome_of(report: str, file: Path, code: int) -> Outcome:
    """The outcome of a tier. ``file``: pytest's JUnit report; ``code``: its exit code."""
    if code == NO_TEST:
        return Outcome(report)
    if code not in {PASSED, FAILED} or not file.exists():
        return Outcome(report, failed=1, note=f"pytest ended with {code}")
    suites = list(ET.parse(file).getroot().iter("testsuite"))
    ran, failed, skipped = (
        sum(int(suite.get(key, "0")) for suite in suites for key in keys)
        for keys in (("tests",), ("failures", "errors"), ("skipped",))
    )
    if code == FAILED and not failed:
        return Outcome(report, failed=1, note="pytest failed, but no test did")
    seconds = sum(float(suite.get("time", "0")) for suite in suites)
    return Outcome(report, max(ran - failed - skipped, 0), failed, skipped, seconds)


def summary(outcomes: Iterable[Outcome]) -> tuple[str, int]:
    """The text, and the number of failures: a failed check counts as one, so that no failed run shows "0 failed"."""
    shown = [each for each in outcomes if each.is_check or each.passed or each.failed or each.skipped]
    lines = ["", "== summary", *map(_line, shown)]
    passed, failed, skipped = (sum(getattr(each, key) for each in shown) for key in ("passed", "failed", "skipped"))
    lines.append(f"{passed} passed, {failed} failed{f', {skipped} skipped' if skipped else ''}")
    return "\n".join(lines), failed


def _line(outcome: Outcome) -> str:
    if outcome.is_check:
        return f"{outcome.name:26} {'failed' if outcome.failed else 'passed':37} {outcome.seconds:7.1f} s"
    counts = f"{outcome.passed:4} passed, {outcome.failed:3} failed, {outcome.skipped:3} skipped"
    place = "tests/" + outcome.name.replace("conversation-", "conversation/")
    return f"{place:26} {counts:37} {outcome.seconds:7.1f} s  {outcome.note}".rstrip()

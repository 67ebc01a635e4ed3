# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The run of all tests: it forgets no folder, never says that all is well when it is not, and ends what it began."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from threading import Thread

import pytest

from lab.errors import LabError
from lab.paths import REPO
from lab.process import wait_for
from lab.suite.__main__ import parsed
from lab.suite.children import Children
from lab.suite.results import Outcome, broken, left_out, outcome_of, summary
from lab.suite.runner import Runner
from lab.suite.tiers import TIERS, Needs, chosen, needs

JUNIT = '<testsuites><testsuite tests="5" failures="{}" errors="1" skipped="1" time="2.5"/></testsuites>'


def test_every_folder_with_tests_is_a_tier() -> None:
    """One that nobody runs would be believed in."""
    folders = {tier.folder for tier in TIERS}
    for file in (REPO / "tests").rglob("test_*.py"):
        above = {str(folder.relative_to(REPO)) for folder in file.parents if folder.is_relative_to(REPO)}
        assert above & folders, f"{file} is in no tier"


def test_the_whole_run_is_all_but_what_takes_long() -> None:
    assert {tier.name for tier in TIERS} - {tier.name for tier in chosen(None)} == {"clients", "packages", "sriov"}
    assert needs(chosen(None)) is Needs.LAB


def test_one_tier_comes_with_its_parts() -> None:
    assert {tier.name for tier in chosen("conversation")} == {"conversation", "conversation/faults"}
    assert needs(chosen("conversation")) is Needs.PROJECT


def test_a_tier_that_is_not_there() -> None:
    """A wrong name must not run nothing and say that nothing failed."""
    with pytest.raises(LabError, match=r"there is no test tier untit; tiers: .*unit"):
        chosen("untit")


@pytest.mark.parametrize(
    ("code", "failures", "expected"),
    [(0, 0, (3, 1)), (1, 1, (2, 2)), (2, 0, (0, 1)), (-9, 0, (0, 1)), (130, 0, (0, 1))],
)
def test_a_report_counts_only_if_pytest_came_to_its_end(
    tmp_path: Path, code: int, failures: int, expected: tuple[int, int]
) -> None:
    report = tmp_path / "unit.xml"
    report.write_text(JUNIT.format(failures))
    outcome = outcome_of("unit", report, code)
    assert (outcome.passed, outcome.failed) == expected


def test_a_tier_without_a_report_has_failed(tmp_path: Path) -> None:
    assert outcome_of("unit", tmp_path / "none.xml", 0).failed == 1


def test_a_tier_in_which_no_test_was_selected(tmp_path: Path) -> None:
    """With -k, most tiers are."""
    assert outcome_of("unit", tmp_path / "none.xml", 5).failed == 0


def test_the_summary_ends_in_one_line_that_counts_failed_checks() -> None:
    text, failed = summary([Outcome("mypy", failed=1, is_check=True), Outcome("unit", passed=3, skipped=1)])
    assert failed == 1
    assert text.splitlines()[-1] == "3 passed, 1 failed, 1 skipped"


def test_what_cannot_be_had_here_is_one_line_with_its_reason() -> None:
    text, failed = summary([Outcome("unit", passed=3), left_out("sriov-guide", "no SR-IOV machine: too little disk")])
    assert failed == 0
    (line,) = [line for line in text.splitlines() if "sriov-guide" in line]
    assert "1 skipped" in line
    assert line.endswith("no SR-IOV machine: too little disk")
    assert text.splitlines()[-1] == "3 passed, 0 failed, 1 skipped"


def test_what_runs_beside_the_tiers_counts_as_well() -> None:
    """A failure on a lab beside them would end in a run that says "0 failed"."""
    with Runner().meanwhile(lambda runner: [broken("cloud-ovs")]) as beside:
        outcomes = [Outcome("unit", passed=3)]
    assert summary(outcomes + beside)[1] == 1


def test_what_runs_beside_the_tiers_ends_with_them() -> None:
    """After Ctrl-C a lab would go on without anybody who takes it down."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as the suite has it; else ignored below nohup
    runner, codes = Runner(), list[int]()

    def job(runner: Runner) -> list[Outcome]:
        codes.append(runner.children.run(["sleep", "60"]))  # which may be interrupted from its first moment on
        return []

    with pytest.raises(KeyboardInterrupt), runner.meanwhile(job):
        raise KeyboardInterrupt
    assert codes in ([130], [-signal.SIGINT])


def test_an_interrupted_run_leaves_no_program_behind(tmp_path: Path) -> None:
    """A pytest that went on would use a lab that is being taken down."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as the suite has it; else ignored below nohup
    children, codes = Children(), []
    script = "import time; print('begun', flush=True); time.sleep(60)"
    log = tmp_path / "log"
    thread = Thread(target=lambda: codes.append(children.run([sys.executable, "-c", script], log=log)))
    thread.start()
    assert wait_for(lambda: log.exists() and "begun" in log.read_text(), 20)
    children.end()
    thread.join(20)
    assert codes == [-signal.SIGINT]
    assert children.run([sys.executable, "-c", script]) == 130


@pytest.mark.parametrize(
    ("words", "tier", "engines", "for_pytest"),
    [
        ([], None, False, []),
        (["unit"], "unit", False, []),
        (["-k", "unit"], None, False, ["-k", "unit"]),
        (["cloud", "--engines", "-x", "-k", "ping"], "cloud", True, ["-x", "-k", "ping"]),
        (["cloud", "--backend", "ovs", "-k", "ping"], "cloud", False, ["-k", "ping"]),
        (["cloud", "-k", "ping", "--backend=ovs"], "cloud", False, ["-k", "ping"]),
        (["cloud", "--neutron", "24", "-k", "ping"], "cloud", False, ["-k", "ping"]),
    ],
)
def test_the_word_after_an_option_of_pytest_is_no_tier(
    words: list[str], tier: str | None, engines: bool, for_pytest: list[str]
) -> None:
    arguments, rest = parsed(words)
    assert (arguments.tier, arguments.engines, rest) == (tier, engines, for_pytest)
    assert arguments.neutron == ("24" if "--neutron" in words else "29")
    assert arguments.backend == ("ovs" if any("--backend" in word for word in words) else None)

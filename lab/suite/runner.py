# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Runs checks and tiers, each with a report or an exit code that becomes an `Outcome`."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from lab.paths import REPO
from lab.progress import say
from lab.suite.children import Children
from lab.suite.results import NO_TEST, Outcome, outcome_of
from lab.suite.tiers import TIERS, Tier, checks

RESULTS = REPO / ".dev" / "results"
BIN = REPO / ".dev" / "venv" / "bin"
SIDE_BY_SIDE = 2
T = TypeVar("T")


@dataclass
class Runner:
    """``arguments``: pytest's. ``live``: show output as it comes; only one program runs at a time then."""

    arguments: tuple[str, ...] = ()
    live: bool = False
    children: Children = field(default_factory=Children)

    def checks(self) -> list[Outcome]:
        return self.together([partial(self.check, name, argv) for name, argv in checks().items()])

    def checks_and_tiers(self, tiers: Sequence[Tier]) -> list[Outcome]:
        """All that needs no lab. The slowest check and the slowest tier are begun first."""
        slowest, *others = [partial(self.check, name, argv) for name, argv in checks().items()]
        jobs: list[Callable[[], Outcome]] = [slowest, *self._jobs(tiers), *others]
        found = self.together(jobs)
        return sorted(found, key=lambda outcome: not outcome.is_check)

    def tiers(self, tiers: Sequence[Tier]) -> list[Outcome]:
        return self.together(self._jobs(tiers))

    def _jobs(self, tiers: Sequence[Tier]) -> list[Callable[[], Outcome]]:
        return [partial(self.tier, tier, tier.report) for tier in tiers]

    def together(self, jobs: Sequence[Callable[[], T]], at_once: int = 0) -> list[T]:
        """``at_once``: how many; 0: as many as there are processors, or one whose output is shown as it comes."""
        with ThreadPoolExecutor(at_once or (1 if self.live else SIDE_BY_SIDE)) as pool:
            try:
                return list(pool.map(lambda job: job(), jobs))
            except BaseException:  # otherwise Ctrl-C would wait for the pool, and that for what runs
                self.children.end()
                raise

    @contextmanager
    def meanwhile(self, job: Callable[["Runner"], list[Outcome]] | None) -> Iterator[list[Outcome]]:
        """What the job found is in the list when the block has ended."""
        found: list[Outcome] = []
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(job, self) if job else None
            try:
                yield found
                found += future.result() if future else []
            except BaseException:
                self.children.end()
                raise

    def tier(
        self,
        tier: Tier,
        report: str,
        more: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        only: Sequence[str] = (),
    ) -> Outcome:
        """``more``: arguments of pytest beside those for all tiers. ``only``: these of the tier's files."""
        file = RESULTS / f"{report}.xml"
        measure = ["-m", "coverage", "run"] if tier.measured else []
        # A tier in a folder of another one, such as tests/conversation/faults, is run by itself.
        others = [f"--ignore={other.folder}" for other in TIERS if other.folder.startswith(f"{tier.folder}/")]
        where = [f"{tier.folder}/{name}" for name in only] or [tier.folder]
        argv = ["python", *measure, "-m", "pytest", *where, *others, f"--junitxml={file}", *more, *self.arguments]
        code = self._program(" ".join(where), argv, RESULTS / f"{report}.log", env)
        return outcome_of(report, file, code)

    def count(self, tier: Tier) -> int:
        """How many tests the arguments ask for."""
        log = RESULTS / f"{tier.report}.collected"
        argv = ["python", "-m", "pytest", tier.folder, "--collect-only", "--quiet", *self.arguments]
        if self.run(argv, log=log) == NO_TEST:
            return 0
        # A collection error is reported when the tests are run.
        return max(1, sum("::" in line for line in log.read_text(errors="replace").splitlines()))

    def measured(self) -> bool:
        """Put the measurements together; answers whether there are any."""
        return self.run(("coverage", "combine"), log=RESULTS / "coverage.log") == 0

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: Path | None = None) -> int:
        """A program of the project's environment; answers its exit code."""
        env = {"COVERAGE_FILE": str(RESULTS / ".coverage"), **(env or {})}
        return self.children.run([str(BIN / argv[0]), *argv[1:]], env=env, log=log)

    def check(self, name: str, argv: Sequence[str]) -> Outcome:
        """Run a check, a program that succeeds or fails."""
        begin = time.monotonic()
        code = self._program(name, argv, RESULTS / f"{name.replace(' ', '-')}.log")
        return Outcome(
            name, passed=int(code == 0), failed=int(code != 0), seconds=time.monotonic() - begin, is_check=True
        )

    def _program(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> int:
        """Shows the output at the end, because lines of two programs would mix."""
        say(f"== {name}")
        if self.live:
            return self.run(argv, env=env)
        code = self.run(argv, env=env, log=log)
        say(f"== {name}: the output\n{log.read_text(errors='replace').rstrip()}")
        return code

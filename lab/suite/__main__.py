# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""`./dev check` and `./dev test`; `needs` tells `dev` what to install before."""

import argparse
import fcntl
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lab import releases
from lab.backend import BACKENDS, DESCRIPTION, OVN
from lab.errors import LabError
from lab.paths import REPO
from lab.suite import labs, tiers
from lab.suite.results import Outcome, summary
from lab.suite.runner import RESULTS, Runner

BACKEND = "--backend"
NEUTRON = "--neutron"
WITH_VALUE = (BACKEND, NEUTRON)
OPTIONS = (*WITH_VALUE, "--engines", "-h", "--help")


def main(argv: list[str]) -> int:
    # On SIGTERM it cleans up as after Ctrl-C. SIGINT: a shell makes its background jobs ignore it, and the programs
    # started here would inherit that.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    verb, *rest = argv
    arguments, for_pytest = parsed(rest)
    try:
        chosen = tiers.chosen(arguments.tier)
        if verb == "needs":
            print(tiers.needs(chosen).value)
            return 0
        with _alone() as runner:
            runner.arguments = tuple(for_pytest)
            if verb == "check":
                return _tell(runner.checks())
            return _test(runner, chosen, arguments)
    except LabError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dev: interrupted", file=sys.stderr)
        return 130


def parsed(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own arguments (``tier``: a name or None, ``engines``, ``backend``, ``neutron``), and those for pytest, of the
    words after the verb.
    """
    ours: list[str] = []
    for_pytest: list[str] = []
    for place, word in enumerate(words):
        # A tier is the first word or none: the word after a -k is pytest's.
        tier = place == 0 and not word.startswith("-")
        value = place > 0 and words[place - 1] in WITH_VALUE
        own = tier or value or word.partition("=")[0] in OPTIONS
        (ours if own else for_pytest).append(word)
    return _parser().parse_args(ours), for_pytest


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev test",
        description="Every check and every test tier, of sriov and clients a quick part; or one tier. "
        "Further options are pytest's, such as -k.",
        allow_abbrev=False,
    )
    names = dict.fromkeys(tier.asked_for for tier in tiers.TIERS)
    parser.add_argument("tier", nargs="?", help=f"one of: {' '.join(names)}")
    parser.add_argument(
        BACKEND,
        choices=BACKENDS,
        help=f"tests/cloud on a lab with this backend: {DESCRIPTION} (default: ovn)",
    )
    parser.add_argument(
        NEUTRON,
        choices=releases.RELEASES,
        default=releases.NEWEST.name,
        help=f"tests/cloud and tests/clients with this release of Neutron (default: {releases.NEWEST.name})",
    )
    parser.add_argument("--engines", action="store_true", help="tests/cloud on every Docker Engine that can be had")
    return parser


@contextmanager
def _alone() -> Iterator[Runner]:
    """Allows one run at a time: two would overwrite each other's reports. No program of a run outlives it."""
    runner = Runner()
    with (REPO / ".dev" / "test.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"another ./dev check or ./dev test is running in {REPO}"
            raise LabError(msg) from None
        shutil.rmtree(RESULTS, ignore_errors=True)
        RESULTS.mkdir(parents=True)
        try:
            yield runner
        finally:
            runner.children.end()


def _test(runner: Runner, chosen: tuple[tiers.Tier, ...], arguments: argparse.Namespace) -> int:
    whole = arguments.tier is None
    runner.live = len(chosen) == 1
    # What was chosen by pytest's options is found in the tiers themselves.
    with runner.meanwhile(labs.beside if whole and not runner.arguments else None) as found_beside:
        outcomes = _tiers(runner, chosen, arguments)
    outcomes += found_beside
    if not any(each.passed or each.failed or each.skipped for each in outcomes if not each.is_check):
        msg = f"no test matches {' '.join(runner.arguments)}"
        raise LabError(msg)
    # The rules are pure decisions: every branch of them must have been taken with values alone.
    if not runner.arguments and any(tier.measured for tier in chosen) and runner.measured():
        outcomes.append(runner.check("branch coverage of rules", tiers.COVERAGE_OF_RULES))
    return _tell(outcomes)


def _tiers(runner: Runner, chosen: tuple[tiers.Tier, ...], arguments: argparse.Namespace) -> list[Outcome]:
    without_lab = [tier for tier in chosen if tier.name not in tiers.IN_A_LAB]
    outcomes = runner.checks_and_tiers(without_lab) if arguments.tier is None else runner.tiers(without_lab)
    for tier in chosen:
        if tier.name == "cloud":
            has = labs.Cloud(arguments.backend or OVN.name, arguments.neutron)
            outcomes += labs.cloud(runner, tier, has, every_engine=arguments.engines)
        elif tier.name == "clients":
            outcomes += labs.clients(runner, tier, labs.Cloud(neutron=arguments.neutron))
        elif tier.name == "sriov":
            outcomes += labs.sriov(runner, tier)
    return outcomes


def _tell(outcomes: list[Outcome]) -> int:
    text, failed = summary(outcomes)
    print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

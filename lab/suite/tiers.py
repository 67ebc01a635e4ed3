# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The checks and the test tiers, and what each needs."""

from dataclasses import dataclass
from enum import StrEnum

from lab.errors import LabError
from lab.paths import REPO


class Needs(StrEnum):
    """What `dev` installs before a tier can run; each includes the one before."""

    PROJECT = "project"
    """The project and its tools."""
    LAB = "lab"
    """Open vSwitch, Docker, Neutron …"""
    SRIOV = "sriov"
    """Machines in QEMU."""


@dataclass(frozen=True)
class Tier:
    """One folder of tests.

    ``part_of``: the tier under whose name it is run, if another one. ``measured``: whether its branch coverage is
    measured. ``whole``: whether it is part of the whole run.
    """

    name: str
    needs: Needs = Needs.PROJECT
    part_of: str = ""
    measured: bool = False
    whole: bool = True

    @property
    def asked_for(self) -> str:
        return self.part_of or self.name

    @property
    def folder(self) -> str:
        return f"tests/{self.name}"

    @property
    def report(self) -> str:
        """The name of its files below ``.dev/results``."""
        return self.name.replace("/", "-")


# The longest first: the others run in parallel to it.
TIERS = (
    Tier("conversation/faults", part_of="conversation"),
    Tier("adapters", Needs.LAB),
    Tier("linux", Needs.LAB),
    Tier("conversation"),
    Tier("unit", measured=True),
    Tier("services"),
    Tier("drivers"),
    Tier("cli"),
    Tier("page"),
    Tier("names"),
    Tier("release"),
    Tier("systemd", Needs.LAB),
    Tier("packages", Needs.LAB, whole=False),
    Tier("cloud", Needs.LAB),
    Tier("clients", Needs.LAB, whole=False),
    Tier("sriov", Needs.SRIOV, whole=False),
)
IN_A_LAB = ("cloud", "clients", "sriov")

COVERAGE_OF_RULES = ("coverage", "report", "--include=*/kuryr_libnetwork/rules/*", "--fail-under=100")
_FOLDERS = ("src", "lab", "tests", "bench")


def checks() -> dict[str, tuple[str, ...]]:
    """Name and command line, below the project's environment, of every check of the code itself."""
    folders = tuple(folder for folder in _FOLDERS if (REPO / folder).is_dir())
    return {
        "mypy --strict": ("mypy", "--strict", *folders),
        "ruff check": ("ruff", "check", *folders),
        "ruff format": ("ruff", "format", "--check", *folders),
        "import contracts": ("lint-imports",),
    }


def chosen(name: str | None) -> tuple[Tier, ...]:
    """The tiers of this name; without one, those of the whole run. Raises `LabError` with the names there are."""
    if name is None:
        return tuple(tier for tier in TIERS if tier.whole)
    found = tuple(tier for tier in TIERS if tier.asked_for == name)
    if not found:
        names = " ".join(dict.fromkeys(tier.asked_for for tier in TIERS))
        msg = f"there is no test tier {name}; tiers: {names}"
        raise LabError(msg)
    return found


def needs(tiers: tuple[Tier, ...]) -> Needs:
    order = list(Needs)
    return max((tier.needs for tier in tiers), key=order.index)

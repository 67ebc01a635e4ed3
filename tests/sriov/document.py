# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/sriov.md, as they stand there, with a lab's names in place of the examples'."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sriov.md"
CREATE_VFS = "Step 1: create Virtual Functions (compute host)"
SERVER = "Step 2: configure neutron-server (controller)"
AGENT = "Step 3: enable neutron-sriov-nic-agent (compute host)"
SERVICE = "Step 4: configure kuryr-libnetwork (compute host)"
NETWORK = "Launch containers with SR-IOV ports"
COMMANDS = "The four commands"
AUTOMATIC = "Without typing an address"
VFIO_HOST = "DPDK: a VF for a program (compute host)"
VFIO_RUN = "DPDK: the container"
FOLLOWED = (CREATE_VFS, SERVER, AGENT, SERVICE, NETWORK, COMMANDS, AUTOMATIC, VFIO_HOST, VFIO_RUN)
"""The sections that tests/sriov carries out, in the order of the page."""

PLACEHOLDERS = (
    "enp3s0f0",
    "enp3s0f1",
    "compute1",
    "physnet2",
    "150",
    "net04",
    "net04-subnet",
    "net05",
    "10.10.0.0/24",
    "10.10.0.1",
    "10.10.0.5",
    "10.20.0.0/24",
    "10.20.0.1",
    "8086:10ca",
    "0000:01:10.2",
    "0000:01:10.4",
    "/dev/vfio/13",
    "kuryr_net",
    "fast",
    "sriov_port",
    "-it",
    "ubuntu",
    "nginx",
    "dpdk",
)
"""Placeholders that a reader replaces; everything else in a command is typed literally."""

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """``commands``: one shell command each, its lines joined. ``settings``: the lines for a file."""

    commands: tuple[str, ...]
    settings: str


def sections(text: str) -> dict[str, Section]:
    """By heading, in the order of the page; those without a block are there as well."""
    parts = _HEADING.split(text)
    return {title: _section(body) for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def _section(body: str) -> Section:
    blocks = _FENCE.findall(body)
    scripts = "\n".join(block for language, block in blocks if language == "sh").replace("\\\n", " ")
    settings = "\n".join(block for language, block in blocks if language == "ini")
    return Section(tuple(re.sub(r" {2,}", " ", line) for line in scripts.splitlines() if line.strip()), settings)


def page() -> dict[str, Section]:
    return sections(PAGE.read_text())


def filled(command: str, values: Mapping[str, str]) -> str:
    """Each placeholder replaced by the value for it, all at once; a placeholder without a value is an error."""
    return _PLACEHOLDER.sub(lambda found: values[found[0]], command)


def named(commands: Sequence[str]) -> set[str]:
    """The placeholders that stand in these commands."""
    return {found[0] for command in commands for found in _PLACEHOLDER.finditer(command)}


# The longest first, and only whole words: net04 must not match in net04-subnet, nor 10.10.0.1 in 10.10.0.15.
_PLACEHOLDER = re.compile(
    r"(?<![\w.:-])(?:"
    + "|".join(re.escape(word) for word in sorted(PLACEHOLDERS, key=len, reverse=True))
    + r")(?![\w.:-])"
)

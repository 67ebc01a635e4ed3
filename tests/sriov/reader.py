# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Somebody who does what docs/sriov.md says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

from lab.sriov.api import Machine
from tests.cloud.machine import with_settings
from tests.sriov import document

RESTART = "systemctl restart kuryr-libnetwork.service"
_MARK = "== the next command"
_ON_THE_HOST = ("kuryr ", "systemctl ", "modprobe ", "basename ")


class Reader:
    """``values``: what he takes for the examples of the page. The machine's commands are typed in it, others
    outside.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.values = {
            **{name: name for name in document.PLACEHOLDERS},
            "enp3s0f0": machine.pfs[0],
            "enp3s0f1": machine.pfs[1],
            "compute1": machine.name,
            "physnet2": machine.physical_network,
            "-it": "-d",
            "ubuntu": "busybox",
            "nginx": "busybox",
            "dpdk": "busybox",
        }

    def follow(self, title: str, **other_values: str) -> list[str]:
        """Run the commands of a section; answers the output of each."""
        commands = document.page()[title].commands
        said: list[str] = []
        for inside, group in groupby(commands, self._is_inside):
            typed = [document.filled(command, {**self.values, **other_values}) for command in group]
            said += [self._inside(command) for command in typed] if inside else self._outside(typed)
        return said

    def write_settings(self, title: str, path: str) -> None:
        """Put the settings of a section into a file of the machine, and keep its other contents."""
        add_settings(self.machine, path, document.page()[title].settings)

    @staticmethod
    def _is_inside(command: str) -> bool:
        return command.startswith(_ON_THE_HOST)

    def _inside(self, command: str) -> str:
        if command == RESTART:  # the machine has no systemd
            self.machine.kuryr.restart()
            return ""
        return self.machine.shell(command, timeout=240)

    def _outside(self, commands: list[str]) -> list[str]:
        """One shell for all: a later command may use a variable of an earlier one."""
        said = self.machine.user(f"\necho '{_MARK}'\n".join(commands))
        return [each.strip() for each in said.split(_MARK)]


def add_settings(machine: Machine, path: str, more: str) -> None:
    machine.write(path, with_settings(machine.read(path), more))


@contextmanager
def operated_with(machine: Machine, more: str) -> Iterator[Machine]:
    """Run the service with more settings in its file; restores the former ones at the end."""
    before = machine.read(machine.kuryr_conf)
    try:
        add_settings(machine, machine.kuryr_conf, more)
        machine.kuryr.restart()
        yield machine
    finally:
        machine.write(machine.kuryr_conf, before)
        machine.kuryr.restart()

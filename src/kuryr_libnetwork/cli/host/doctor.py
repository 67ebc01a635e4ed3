# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr doctor``."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

from kuryr_libnetwork.cli.application import Table
from kuryr_libnetwork.cli.host.doctor_facts import gather_facts
from kuryr_libnetwork.cli.host.doctor_links import judge_chain
from kuryr_libnetwork.cli.host.doctor_text import text_of
from kuryr_libnetwork.cli.host.findings import exit_code

COLUMNS = ("Link", "Status", "Found", "What to do")


class Doctor(Table):
    """Check each link of the chain that containers need: ok, wrong or not checked, and what to do. Exit code 1: wrong.

    VFs are checked if kuryr.conf asks for them.

    Asks Neutron; changes nothing.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Any]]:  # noqa: ARG002
        self._findings = judge_chain(gather_facts(self.host))
        return COLUMNS, [(each.link, each.status, each.found, each.advice) for each in self._findings]

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Sequence[Any]]
    ) -> int:
        """A table, or what else was asked for; at a terminal lines that fit it."""
        if parsed_args.formatter != "table" or parsed_args.columns or not self.app.stdout.isatty():
            return super().produce_output(parsed_args, column_names, data)
        width = shutil.get_terminal_size().columns
        self.app.stdout.write("".join(f"{line}\n" for line in text_of(self._findings, width)))
        return 0

    def run(self, parsed_args: argparse.Namespace) -> int:
        return super().run(parsed_args) or exit_code(self._findings)

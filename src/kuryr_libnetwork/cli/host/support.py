# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr support-bundle``: the command."""

from __future__ import annotations

import argparse
from pathlib import Path

from kuryr_libnetwork.cli.application import Action
from kuryr_libnetwork.cli.host import bundle
from kuryr_libnetwork.cli.host.doctor_facts import gather_facts
from kuryr_libnetwork.cli.host.doctor_links import judge_chain
from kuryr_libnetwork.errors import HostError


class SupportBundle(Action):
    """Write all that a bug report needs into one tar file, without secrets.

    It has versions, options, the journal, the service's state and log, doctor's findings, Open vSwitch, the kernel,
    devices and Docker. Read it before you send it: names and addresses are in it.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="FILE", help="To be made, as /root/kuryr-support.tar.gz.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        path, count = Path(parsed_args.file), 0

        def say(_: str) -> None:
            nonlocal count
            count += 1

        wanted = bundle.parts(self.host, lambda: judge_chain(gather_facts(self.host)), bundle.run_program)
        try:
            bundle.write(path, wanted, say)
        except OSError as error:
            raise HostError(f"{path} cannot be written: {error.strerror or error}") from None
        self.say(f"{path} has {count} files; read it before you send it: names and addresses of this host are in it")
        return 0

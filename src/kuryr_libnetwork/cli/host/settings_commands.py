# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr config …``: what this host needs for steps 2 to 4 of the SR-IOV guide, and whether a file has it."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable

from kuryr_libnetwork.cli.application import Action
from kuryr_libnetwork.cli.host import advice
from kuryr_libnetwork.cli.host.advice import ConfigFacts, Get
from kuryr_libnetwork.cli.host.findings import Finding, exit_code
from kuryr_libnetwork.cli.host.inventory import Host, gather
from kuryr_libnetwork.config.sources import Sources


def facts_of(host: Host) -> ConfigFacts:
    """What the settings depend on. ``unmapped`` leaves out PFs that carry a default route."""
    sriov = host.settings.sriov
    mapped = {device for devices in sriov.mappings.values() for device in devices}
    found = [each.pf.netdevs[0] for each in gather(host) if each.pf.netdevs and not each.default_route]
    return ConfigFacts(
        host=host.settings.plugin.host,
        hostname=socket.gethostname(),
        mappings=sriov.mappings,
        exclusions=sriov.exclusions,
        unmapped=tuple(name for name in found if name not in mapped),
    )


class _Config(Action):
    settings: Callable[[ConfigFacts], list[str]]
    check: Callable[[ConfigFacts, Get], list[Finding]]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--check", metavar="FILE", help="Say what is missing in this file, or contradicts.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        kind, facts = type(self), facts_of(self.host)
        if not parsed_args.check:
            for line in kind.settings(facts):
                self.say(line)
            return 0
        sources = Sources([parsed_args.check], ())

        def get(section: str, option: str) -> str | None:
            origin = sources.set_in_files(section, option)
            return origin.value if origin else None

        findings = kind.check(facts, get)
        for each in findings:
            self.say(f"{each.status}: {each.link}: {each.found}" + (f": {each.advice}" if each.advice else ""))
        return exit_code(findings)


class ConfigKuryr(_Config):
    """Print what kuryr.conf needs for SR-IOV on this host (step 4 of the guide), or check a kuryr.conf."""

    settings = staticmethod(advice.kuryr_settings)
    check = staticmethod(advice.check_kuryr)


class ConfigAgent(_Config):
    """Print what Neutron's SR-IOV agent needs on this host (step 3 of the guide), or check its file."""

    settings = staticmethod(advice.agent_settings)
    check = staticmethod(advice.check_agent)


class ConfigServer(_Config):
    """Print what neutron-server needs for the networks of this host (step 2 of the guide), or check its file."""

    settings = staticmethod(advice.server_settings)
    check = staticmethod(advice.check_server)

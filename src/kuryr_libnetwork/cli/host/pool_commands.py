# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr pool list``, ``drain`` and ``orphans``: the ports that are ready before their containers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kuryr_libnetwork.cli.application import Action, Table, Words
from kuryr_libnetwork.cli.host.service_state import Asking, Id, Seconds, understood
from kuryr_libnetwork.errors import HostError, NeutronError, NeutronNotFound
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.overview import Drained, SpareRow
from kuryr_libnetwork.rules.identity import SPARE_NAME
from kuryr_libnetwork.rules.ownership import OwnProject
from kuryr_libnetwork.rules.pool_orphans import Orphan, of_dead_hosts, of_host

COLUMNS = ("Docker network", "Port", "State", "For", "Addresses", "MAC", "Security groups")
ORPHAN_COLUMNS = ("Host", "Docker network", "Port", "Addresses", "Deleted")


class PoolList(Asking, Table):
    """List the ports of port pools, with their states and security groups."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Any]]:  # noqa: ARG002
        return COLUMNS, [
            (
                Id(row.docker_network_id),
                row.port_id,
                row.state,
                Seconds(row.seconds),
                Words(row.addresses),
                row.mac_address,
                Words(row.security_groups),
            )
            for row in self.rows("port-pools", SpareRow)
        ]


class PoolDrain(Asking, Action):
    """Have the service delete the ports of port pools that no container has, and make none for two minutes."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "network", metavar="NETWORK", nargs="?", default="", help="As network list shows it; without: all."
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        told = understood(self.host.admin.post("/v1/drain", {"network": parsed_args.network}), Drained)
        ports = "1 port is" if told.ports == 1 else f"{told.ports} ports are"
        self.say(f"{ports} being deleted; none are made for two minutes")
        return 0


class PoolOrphans(Table):
    """List the ports of port pools of other hosts that are gone; with --delete, delete them.

    A host is gone if none of its agents is alive, which Neutron shows to the role admin, or if you name it. One that is
    only cut off may have started containers that Neutron has not been told of, and these would lose their ports.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--host", default="", help="Those of this host, whatever its agents say.")
        parser.add_argument("--delete", action="store_true", help="Delete what is listed.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Any]]:
        neutron = self.host.probes.neutron()
        found = self._found(neutron, parsed_args.host)
        deleted = {each.port.id: _delete(neutron, each) if parsed_args.delete else "no" for each in found}
        return ORPHAN_COLUMNS, [
            (
                each.host,
                Id(each.docker_network_id),
                each.port.id,
                Words(tuple(ip.ip_address for ip in each.port.fixed_ips)),
                deleted[each.port.id],
            )
            for each in found
        ]

    def _found(self, neutron: Neutron, host: str) -> list[Orphan]:
        project, here = OwnProject(id=neutron.project_id()), self.host.settings.plugin.host
        if host == here:
            raise HostError(f"{host} is this host, whose pools the service looks after: kuryr pool drain")
        agents = [] if host else neutron.find_agents()
        if not host and not agents:
            raise HostError(
                "Neutron shows no agents, so it is not known which hosts are gone: give the service's user the role "
                "admin, or name a host that is gone with --host"
            )
        ports = [own for own in map(project.port, neutron.find_ports(name=SPARE_NAME, **project.query)) if own]
        return of_host(ports, host) if host else of_dead_hosts(ports, agents, here)


def _delete(neutron: Neutron, orphan: Orphan) -> str:
    """Whether it is deleted now, in a word, or why not: the others are tried all the same."""
    try:
        with suppress(NeutronNotFound):
            neutron.delete_port(orphan.port.id)
    except NeutronError as error:
        return f"no: {error}"
    return "yes"

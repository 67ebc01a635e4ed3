# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr status``, ``network``, ``endpoint``, ``reconcile`` and ``log level``: they ask the running service."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from cliff.columns import FormattableColumn
from cliff.show import ShowOne

from kuryr_libnetwork.cli.application import Action, OnHost, Table, Words
from kuryr_libnetwork.errors import ConfigError, DeviceError, HostError, KuryrError
from kuryr_libnetwork.model.overview import (
    DeviceRow,
    EndpointRow,
    NetworkRow,
    RoundRow,
    SubnetRow,
    SuspectRow,
    Wellbeing,
)
from kuryr_libnetwork.rules.status import Seen, judge

T = TypeVar("T")
SHORT = 12
"""Characters of an id, as Docker shows them."""
LOOK_SECONDS = 120.0
"""Seconds for a look of the background, which may wait for Neutron."""
PAUSE = 0.2
NETWORK_COLUMNS = ("Docker network", "Neutron network", "Subnets", "MTU", "Endpoints", "State")
ENDPOINT_COLUMNS = ("Endpoint", "Container", "Docker network", "Addresses", "MAC", "Port", "Interface", "VF", "State")
SUSPECT_COLUMNS = ("Kind", "Id", "Why", "Suspected for", "Removed in", "Trouble")


class Id(FormattableColumn[str]):
    """An id of Docker's: its beginning for people, the whole for programs."""

    def human_readable(self) -> str:
        return self._value[:SHORT] if len(self._value) > 2 * SHORT and "-" not in self._value else self._value

    def machine_readable(self) -> str:
        return self._value


class Seconds(FormattableColumn[float]):
    def human_readable(self) -> str:
        minutes, seconds = divmod(round(self._value), 60)
        return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"

    def machine_readable(self) -> float:
        return self._value


class Subnets(FormattableColumn[tuple[SubnetRow, ...]]):
    def human_readable(self) -> str:
        return ", ".join(subnet.cidr for subnet in self._value)

    def machine_readable(self) -> Any:
        return msgspec.to_builtins(self._value)


class Asking(OnHost):
    """A command that asks the running service."""

    def rows(self, page: str, kind: type[T]) -> list[T]:
        return understood(self.host.admin.get(f"/v1/{page}").get(page), list[kind])  # type: ignore[valid-type]

    def rounds(self) -> RoundRow:
        return understood(self.host.admin.get("/v1/rounds").get("rounds"), RoundRow)


class _AskingOfEndpoints(Asking):
    def endpoints(self) -> list[EndpointRow]:
        """With the containers' present names, if Docker answers."""
        names = self.host.containers()
        return [
            msgspec.structs.replace(row, container=names.get(row.endpoint_id, row.container))
            for row in self.rows("endpoints", EndpointRow)
        ]


def understood(told: object, kind: type[T]) -> T:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise HostError(f"the service's answer is not understood, it may be of another release: {error}") from None


class Status(Asking):
    """Say how the service is: one line if all is well, else what is wrong. Exit code 1: something is wrong."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("-f", "--format", choices=["text", "json"], default="text", help="For people or programs.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        found = judge(
            Seen(
                wellbeing=understood(self.host.admin.get("/healthz"), Wellbeing),
                networks=tuple(self.rows("networks", NetworkRow)),
                endpoints=tuple(self.rows("endpoints", EndpointRow)),
                devices=tuple(self.rows("devices", DeviceRow)),
                suspects=tuple(self.rows("suspects", SuspectRow)),
                rounds=self.rounds(),
            )
        )
        write = self.app.stdout.write
        if parsed_args.format == "json":
            write(json.dumps(msgspec.to_builtins(found)) + "\n")
        elif not found.troubles:
            write(f"ready: {found.counts}\n")
        else:
            state = "hangs" if not found.live else "ready, but" if found.ready else "not ready"
            write(f"{state}: {found.troubles[0]}\n" + "".join(f"{text}\n" for text in found.troubles[1:]))
        return int(bool(found.troubles))


class NetworkList(Asking, Table):
    """List the Docker networks of this host and their Neutron networks."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Any]]:  # noqa: ARG002
        rows = self.rows("networks", NetworkRow)
        return NETWORK_COLUMNS, [
            (Id(row.docker_id), row.network_id, Subnets(row.subnets), row.mtu, row.endpoints, row.state) for row in rows
        ]


class NetworkShow(Asking, ShowOne):
    """Show a Docker network, found by its id or its Neutron network's, or the beginning of either."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("network", metavar="NETWORK", help="As network list shows it.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        rows = self.rows("networks", NetworkRow)
        row = _one("network", parsed_args.network, [(each, (each.docker_id, each.network_id)) for each in rows])
        told = msgspec.structs.asdict(row) | {"subnets": Subnets(row.subnets)}
        return tuple(told), tuple(told.values())


class EndpointList(_AskingOfEndpoints, Table):
    """List the endpoints of this host's containers: address, port, interface or VF."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--network", default="", help="Only those on this Docker network.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Any]]:
        rows, wanted = self.endpoints(), parsed_args.network
        found = [row for row in rows if row.docker_network_id.startswith(wanted) or row.network_id == wanted]
        return ENDPOINT_COLUMNS, [
            (
                Id(row.endpoint_id),
                row.container,
                Id(row.docker_network_id),
                Words(row.addresses),
                row.mac_address,
                row.port_id,
                row.interface,
                row.vf,
                row.state,
            )
            for row in found
        ]


class EndpointShow(_AskingOfEndpoints, ShowOne):
    """Show one endpoint, with its port's status from Neutron.

    It is found by the container's name, the id of endpoint or port or its beginning, an address or a MAC.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("endpoint", metavar="ENDPOINT", help="As endpoint list shows it.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        rows = self.endpoints()
        names = [(row, (row.endpoint_id, row.port_id, row.container, row.mac_address, *row.addresses)) for row in rows]
        row = _one("endpoint", parsed_args.endpoint, names)
        told = msgspec.structs.asdict(row) | {"addresses": Words(row.addresses)}
        told["status_in_neutron"] = self._status(row.port_id)
        return tuple(told), tuple(told.values())

    def _status(self, port_id: str) -> str:
        try:
            found = self.host.probes.neutron().find_ports(id=port_id)
        except (ConfigError, KuryrError) as error:
            return f"not known: {error}"
        return found[0].status if found else "Neutron has no such port"


def _one(what: str, wanted: str, names: Sequence[tuple[T, tuple[str, ...]]]) -> T:
    """The only match; whole names come before their beginnings. Raises
    :class:`~kuryr_libnetwork.errors.DeviceError` for none or several.
    """
    whole = [row for row, known in names if wanted in known]
    found = whole or [row for row, known in names if wanted and any(name.startswith(wanted) for name in known)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DeviceError(f"{wanted!r} may be any of {len(found)} {what}s; kuryr {what} list shows them")
    raise DeviceError(f"there is no {what} {wanted!r} on this host; kuryr {what} list shows them")


class Reconcile(Asking, Table):
    """Have the service look for leftovers now, and list what it still suspects. With --dry-run: list only.

    What nobody seems to use is removed once that has been so in every look for reconcile_grace seconds.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--dry-run", action="store_true", help="What the last look found, why, for how long; do nothing."
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Any]]:
        if not parsed_args.dry_run:
            before = {(row.kind, row.key) for row in self.rows("suspects", SuspectRow)}
            self._look()
            after = {(row.kind, row.key) for row in self.rows("suspects", SuspectRow)}
            self.app.LOG.warning("looked; %d gone, %d suspected", len(before - after), len(after))
        elif not self.rows("suspects", SuspectRow):
            self.app.LOG.warning("nothing is suspected")
        return SUSPECT_COLUMNS, [
            (row.kind, Id(row.key), row.reason, Seconds(row.seconds), Seconds(row.due_in), row.trouble)
            for row in self.rows("suspects", SuspectRow)
        ]

    def _look(self) -> None:
        asked = understood(self.host.admin.post("/v1/reconcile", {}), RoundRow)
        end = time.monotonic() + LOOK_SECONDS
        while self.rounds().rounds <= asked.begun:
            if time.monotonic() > end:
                raise HostError(f"the look has not ended within {LOOK_SECONDS:g} s; it goes on, kuryr status says more")
            time.sleep(PAUSE)


class SetLogLevel(Action):
    """Have the running service log more or less, until its next start: debug, info or warning."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("level", choices=["debug", "info", "warning"])
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        self.host.admin.post("/v1/log-level", {"level": parsed_args.level})
        self.say(f"the log level is {parsed_args.level} until the next start; [DEFAULT] debug is for good")
        return 0

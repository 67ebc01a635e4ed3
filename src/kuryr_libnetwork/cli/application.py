# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The program ``kuryr`` without its commands: its global options, one line for each error, and the host that the
commands work on.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

import msgspec
from cliff.app import App
from cliff.columns import FormattableColumn
from cliff.command import Command
from cliff.commandmanager import CommandManager
from cliff.lister import Lister

from kuryr_libnetwork.cli.host.inventory import Host
from kuryr_libnetwork.model.sriov import VfSettings
from kuryr_libnetwork.model.value import Value

DESCRIPTION = (
    "What the service has on this host, and the host's SR-IOV devices, for operators of kuryr-libnetwork. Begin with: "
    "kuryr status. Options of the service are read from kuryr.conf; no command needs the cloud unless it says so."
)
MakeHost = Callable[[Sequence[str]], Host]


class Application(App):
    """``make_host``: makes the host from the arguments that name configuration files; tests pass their own."""

    NAME = "kuryr"
    LOG = logging.getLogger("kuryr.command")

    def __init__(
        self,
        commands: Mapping[str, type[Command]],
        make_host: MakeHost,
        version: str,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        manager = CommandManager("kuryr.cli")
        for name, command in commands.items():
            manager.add_command(name, command)
        super().__init__(DESCRIPTION, version, manager, stdout=stdout, stderr=stderr, deferred_help=False)
        self._make_host = make_host
        self._host: Host | None = None

    def build_option_parser(
        self, description: str | None, version: str | None, argparse_kwargs: dict[str, Any] | None = None
    ) -> argparse.ArgumentParser:
        parser = super().build_option_parser(description, version, argparse_kwargs)
        for name in ("file", "dir"):
            parser.add_argument(
                f"--config-{name}", action="append", default=[], metavar=name.upper(), help="As for kuryr-server."
            )
        return parser

    def configure_logging(self) -> None:
        """Write errors to stderr, one line each; the root logger is left alone."""
        handler = logging.StreamHandler(self.stderr)
        handler.setFormatter(logging.Formatter("kuryr: %(message)s"))
        self.LOG.handlers = [handler]
        self.LOG.propagate = False

    @property
    def host(self) -> Host:
        if self._host is None:
            self._host = self._make_host(self.config_words)
        return self._host

    @property
    def config_words(self) -> tuple[str, ...]:
        """The arguments that name configuration files, with absolute paths: they may get into a systemd unit."""
        given = {"--config-file": self.options.config_file, "--config-dir": self.options.config_dir}
        return tuple(word for flag, names in given.items() for name in names for word in (flag, os.path.abspath(name)))


class OnHost(Command):
    """A command about this host."""

    @property
    def host(self) -> Host:
        assert isinstance(self.app, Application)
        return self.app.host


class Action(OnHost):
    """A command that does something and reports it."""

    def say(self, text: str) -> None:
        self.app.stdout.write(text + "\n")


class Table(OnHost, Lister):
    """A command that prints a list. At a terminal that is too narrow for a table each row gets lines of its own: broken
    ids and addresses could not be copied.
    """

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Sequence[Any]]
    ) -> int:
        rows = [*data]
        chosen = parsed_args.columns or parsed_args.max_width or parsed_args.fit_width
        if parsed_args.formatter == "table" and not chosen and self.app.stdout.isatty():
            texts = [[_human(cell) for cell in row] for row in rows]
            if table_width(column_names, texts) > shutil.get_terminal_size().columns:
                self.app.stdout.write("\n".join(record(column_names, row) for row in texts))
                return 0
        return super().produce_output(parsed_args, column_names, rows)


def _human(cell: Any) -> str:
    return str(cell.human_readable() if isinstance(cell, FormattableColumn) else cell)


def table_width(names: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Columns of a terminal that a table takes, with its frame."""
    widths = (max(map(len, column)) for column in zip(names, *rows, strict=True))
    return sum(width + 3 for width in widths) + 1


def record(names: Sequence[str], row: Sequence[str]) -> str:
    """A line for each column of a row that is not empty."""
    margin = max(map(len, names)) + 2
    return "".join(f"{name:<{margin}}{text}\n" for name, text in zip(names, row, strict=True) if text)


class Settings(FormattableColumn[VfSettings | None]):
    """VF settings: short for people, complete for programs."""

    def human_readable(self) -> str:
        if self._value is None:
            return ""
        told = {name: value for name, value in msgspec.structs.asdict(self._value).items() if value is not None}
        return " ".join(f"{name}={str(value).lower()}" for name, value in told.items())

    def machine_readable(self) -> Any:
        return msgspec.to_builtins(self._value)


class Words(FormattableColumn[tuple[str, ...]]):
    def human_readable(self) -> str:
        return ", ".join(self._value)

    def machine_readable(self) -> Any:
        return list(self._value)


def cells(row: Value) -> tuple[Any, ...]:
    """A row's members as cliff shows them."""
    return tuple(_cell(value) for value in msgspec.structs.astuple(row))


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, VfSettings):
        return Settings(value)
    return Words(value) if isinstance(value, tuple) else value

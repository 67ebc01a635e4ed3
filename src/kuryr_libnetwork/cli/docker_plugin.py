# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr config docker-plugin``: the file by which Docker finds the service, if not by its socket."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from kuryr_libnetwork.cli.application import Action
from kuryr_libnetwork.errors import ConfigError, Conflict
from kuryr_libnetwork.host.files import write_whole
from kuryr_libnetwork.rules.discovery import ClientFiles, PluginFile, looked_at, plugin_file, sockets


class ConfigDockerPlugin(Action):
    """Print the .spec or .json file by which Docker finds the service at kuryr_uri, or write it.

    With the default, a Unix socket in Docker's own folder, no file is needed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--plugin", default="kuryr", metavar="NAME", help="Its name in Docker (default: kuryr).")
        parser.add_argument("--ca", default="", metavar="FILE", help="TLS: the authority of the service's certificate.")
        parser.add_argument("--cert", default="", metavar="FILE", help="TLS: the certificate that Docker shows.")
        parser.add_argument("--key", default="", metavar="FILE", help="TLS: its key.")
        parser.add_argument("--write", action="store_true", help="Write it to where Docker looks.")
        parser.add_argument("--force", action="store_true", help="... in place of files that say something else.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        files = {name: _absolute(name, getattr(parsed_args, name)) for name in ("ca", "cert", "key")}
        name: str = parsed_args.plugin
        plugin = self.host.settings.plugin
        wanted = plugin_file(plugin.socket_path, plugin.tcp, name, ClientFiles(**files))
        if wanted is None:
            self.say(f"no file is needed: Docker finds the plugin {name} at {plugin.socket_path}")
        elif parsed_args.write:
            self._write(name, wanted, force=parsed_args.force)
        else:
            self.app.stdout.write(wanted.text)
        return 0

    def _write(self, name: str, wanted: PluginFile, *, force: bool) -> None:
        target, others = self._places(name, wanted)
        try:
            known = {path: path.read_text(errors="replace") for path in (*others, target) if path.exists()}
            for path, text in known.items():
                if not force and (path != target or text != wanted.text):
                    raise Conflict(f"{path} says something else: {_short(text)}; --force replaces it")
            if known == {target: wanted.text}:
                self.say(f"{target} is right as it is")
            else:
                write_whole(target, wanted.text)
                self.say(f"wrote {target}")
            for path in others:
                if path in known:
                    path.unlink()
                    self.say(f"removed {path}, which Docker would have read instead")
        except OSError as error:
            raise ConfigError(f"{error.filename or target}: {error.strerror}") from None
        for path in sockets(name):
            if self.host.at(path).is_socket():
                self.say(f"note: as long as {path} is there, Docker uses that and does not look at the file")

    def _places(self, name: str, wanted: PluginFile) -> tuple[Path, list[Path]]:
        """The path of the file, and the paths that Docker would read instead of it."""
        order = looked_at(name)
        at = next(number for number, path in enumerate(order) if path.suffix == wanted.suffix)
        return self.host.at(order[at]), [self.host.at(path) for path in order[:at]]


def _absolute(option: str, path: str) -> str:
    """The absolute path: Docker's working folder is not ours. Checked now, as Docker reads the file at first use."""
    if not path:
        return ""
    if not os.access(path, os.R_OK) or not os.path.isfile(path):
        raise ConfigError(f"--{option} {path}: no such file, or not readable")
    return os.path.abspath(path)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:60]}…"

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr-status upgrade check``: what an old installation needs; output and exit codes are oslo.upgradecheck's."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple, TextIO

from kuryr_libnetwork.app import driver_names
from kuryr_libnetwork.cli.upgrade_checks import Result, UpgradeFacts, judge, worst
from kuryr_libnetwork.cli.upgrade_cloud import Doors, ask_cloud
from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.config.sources import Sources, config_files
from kuryr_libnetwork.errors import ConfigError, UnsafePath
from kuryr_libnetwork.host.files import Folder, check_program
from kuryr_libnetwork.port_driver.registry import check_names
from kuryr_libnetwork.rules.discovery import FOLDERS
from kuryr_libnetwork.rules.parsing import truthy

PROJECT, SERVER = "kuryr", "kuryr-server"
TITLE = "Upgrade Check Results"
WIDTH = 76
DISTRIBUTIONS = frozenset({"kuryr-lib", "kuryr-libnetwork"})
DEFAULT_BINDIR, DEFAULT_SOCKET = "/usr/libexec/kuryr", "/run/docker/plugins/kuryr.sock"
DEFAULT_STATE = "/var/lib/kuryr"
IDLE = ": without effect"


class Places(NamedTuple):
    """Where to look; tests pass their own. ``packages``: folders of Python packages; the rest: defaults of options.

    ``doors``: how to reach the cloud and Docker.
    """

    specs: Sequence[Path] = FOLDERS
    packages: Sequence[str] | None = None
    bindir: str = DEFAULT_BINDIR
    state: str = DEFAULT_STATE
    doors: Doors = Doors()


def main(argv: Sequence[str] | None = None, stdout: TextIO | None = None, places: Places | None = None) -> int:
    """Run ``kuryr-status``; returns the exit code: 0 nothing to do, 1 something to look at, 2 would not start."""
    words, rest = _config_words(sys.argv[1:] if argv is None else argv)
    wanted = option_parser().parse_args(rest)
    results = judge(gather(words, places or Places()))
    show = as_json if wanted.json else as_table
    print(show(results), file=stdout or sys.stdout)
    return int(worst(results))


def _config_words(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments that name configuration files, which may come before or after the command, and the others."""
    flags = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("file", "dir"):
        flags.add_argument(f"--config-{name}", action="append", default=[])
    found, rest = flags.parse_known_args(list(argv))
    given = {"--config-file": found.config_file, "--config-dir": found.config_dir}
    return [word for flag, names in given.items() for name in names for word in (flag, name)], rest


def option_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kuryr-status", epilog="--config-file FILE and --config-dir DIR are as for kuryr-server."
    )
    parser.add_argument("--version", action="version", version=metadata.version("kuryr-libnetwork"))
    commands = parser.add_subparsers(required=True, metavar="upgrade")
    upgrade = commands.add_parser("upgrade", help="upgrade check: what an installation of upstream's service needs")
    check = upgrade.add_subparsers(required=True, metavar="check").add_parser("check")
    check.add_argument("--json", action="store_true", help="for programs")
    return parser


# -- looking -----------------------------------------------------------------------------------------------------


def gather(words: Sequence[str], places: Places) -> UpgradeFacts:
    try:
        sources = Sources(config_files(words, PROJECT, SERVER), words)
    except ConfigError as error:
        sources = Sources([], words)
        told = UpgradeFacts(error=str(error))
    else:
        told = _configured(words, places.doors)
    bindir = _written(sources, "bindir", places.bindir)
    executables = _executables(Path(bindir))
    return UpgradeFacts(
        error=told.error,
        strange=told.strange,
        idle=told.idle,
        drivers=told.drivers,
        distributions=_distributions(places.packages),
        uri=_written(sources, "kuryr_uri"),
        tls=truthy(_written(sources, "enable_ssl")),
        certified=bool(_written(sources, "ssl_ca_file")),
        state=_unsafe(Path(_written(sources, "state_path", places.state))),
        socket=_written(sources, "socket_path", DEFAULT_SOCKET),
        specs=tuple(_plugin_files(places.specs)),
        bindir=bindir,
        scripts=tuple(path.name for path in executables),
        open_scripts=tuple(filter(None, map(_changeable, executables))),
        script_vif_types=told.script_vif_types,
        cloud=told.cloud,
    )


def _unsafe(folder: Path) -> str:
    """Why the service would refuse the folder for its state; "" also if it does not exist, or cannot be examined."""
    try:
        with Folder(folder, make=False):
            return ""
    except UnsafePath as error:
        return str(error)
    except OSError:
        return ""


def _changeable(script: Path) -> str:
    try:
        check_program(script)
    except UnsafePath as error:
        return str(error)
    return ""


def _configured(words: Sequence[str], doors: Doors) -> UpgradeFacts:
    """What the service would say about its configuration, and the cloud about the service's user."""
    try:
        found = config.read(words, prog=SERVER)
    except ConfigError as error:
        return UpgradeFacts(error=str(error))
    texts = [notice.text for notice in found.notices]
    idle = tuple(text for text in texts if IDLE in text)
    try:
        check_names(driver_names(found.settings))
    except ConfigError as error:
        wrong = str(error)
    else:
        wrong = ""
    strange = tuple(text for text in texts if text not in idle)
    script_vif_types = tuple(found.settings.binding.script_vif_types)
    cloud = ask_cloud(words, found.settings, doors)
    return UpgradeFacts(strange=strange, idle=idle, drivers=wrong, script_vif_types=script_vif_types, cloud=cloud)


def _written(sources: Sources, option: str, default: str = "") -> str:
    origin = sources.origin("DEFAULT", (option,))
    return default if origin is None else origin.value.strip()


def _distributions(folders: Sequence[str] | None) -> tuple[tuple[str, str], ...]:
    """Name and version of all distributions, including those that hide one another."""
    found = metadata.distributions(path=list(sys.path if folders is None else folders))
    named = [(each.metadata["Name"].lower().replace("_", "-"), each.version) for each in found]
    return tuple(sorted({each for each in named if each[0] in DISTRIBUTIONS}))


def _plugin_files(folders: Sequence[Path]) -> Iterable[tuple[str, str]]:
    for folder in folders:
        for name in ("kuryr.spec", "kuryr/kuryr.spec", "kuryr.json", "kuryr/kuryr.json"):
            path = folder / name
            if path.is_file():
                yield str(path), _address(path)


def _address(path: Path) -> str:
    try:
        text = path.read_text(errors="replace").strip()
        return str(json.loads(text).get("Addr", "")) if path.suffix == ".json" else text
    except (OSError, ValueError, AttributeError) as error:
        return f"not readable: {error}"


def _executables(folder: Path) -> list[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in found if path.is_file() and os.access(path, os.X_OK)]


# -- showing -----------------------------------------------------------------------------------------------------


def as_json(results: Iterable[Result]) -> str:
    checks = [{"check": each.check, "result": int(each.code), "details": each.details or None} for each in results]
    return json.dumps({"name": TITLE, "checks": checks})


def as_table(results: Iterable[Result]) -> str:
    border = f"+{'-' * (WIDTH + 2)}+"
    text = [border]
    for block in ([TITLE], *(_lines(result) for result in results)):
        text += [*(f"| {line:<{WIDTH}} |" for line in block), border]
    return "\n".join(text)


def _lines(result: Result) -> list[str]:
    lines = [f"Check: {result.check}", f"Result: {result.code.name.capitalize()}"]
    lines += f"Details: {result.details or 'None'}".split("\n")
    return [part for line in lines for part in textwrap.wrap(line, WIDTH, subsequent_indent="  ")]

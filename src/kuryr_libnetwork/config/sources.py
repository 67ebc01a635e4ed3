# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Where each value was configured, and which options in the files are unknown, for lines that people can act on.

oslo.config tells neither (its errors name no section, and it skips unknown options), so the files are read once more
with its own parser.
"""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from oslo_config import cfg

from kuryr_libnetwork.errors import ConfigError

# Defaults that upstream takes from the environment (beside oslo.config's own OS_<SECTION>__<OPTION>).
LEGACY_ENVIRONMENT = {"kuryr_uri": "OS_KURYR_URI", "capability_scope": "CAPABILITY_SCOPE"}


class Assignment(NamedTuple):
    """One ``option = value`` of a file, with names normalised as oslo.config does."""

    file: str
    section: str
    option: str
    value: str


class Origin(NamedTuple):
    """``place``: a file, "command line" or an environment variable, with the section where that has one."""

    place: str
    option: str
    value: str


def config_files(argv: Sequence[str], project: str, prog: str) -> list[str]:
    """The files that oslo.config will read, in its order (later ones win)."""
    flags = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    flags.add_argument("--config-file", action="append")
    flags.add_argument("--config-dir", action="append")
    given, _ = flags.parse_known_args(argv)
    if not given.config_file:
        check_searchable(Path("/etc", project))
    files = [Path(name) for name in given.config_file or cfg.find_config_files(project, prog)]
    for folder in given.config_dir or cfg.find_config_dirs(project, prog):
        files += sorted(Path(folder).expanduser().glob("*.conf"))
    return [str(name.expanduser().absolute()) for name in files]


def check_searchable(folder: Path) -> None:
    """Refuses a folder that we may not search: oslo.config would silently treat its files as missing."""
    if folder.is_dir() and not os.access(folder, os.X_OK):
        raise ConfigError(f"{folder / folder.name}.conf cannot be read: permission denied for the folder {folder}")


class Sources:
    """Everything that configures this run: files, command line, environment."""

    def __init__(self, files: Sequence[str], argv: Sequence[str]) -> None:
        self.files = files
        self._argv = argv
        self._assignments = [entry for name in files for entry in _assignments(name)]

    def origin(self, section: str, names: Collection[str]) -> Origin | None:
        """Where the option was set, in oslo.config's order: command line, then environment, then the last file."""
        return (
            self._on_command_line(section, names)
            or self._in_environment(section, names)
            or self._in_files(section, names)
            or self._in_legacy_environment(section, names)
        )

    def set_in_files(self, section: str, option: str) -> Origin | None:
        return self._in_files(section, (option,))

    def options_of(self, section: str) -> dict[str, str]:
        """The options that the files set in a section, with the last file that sets each."""
        return {entry.option: entry.file for entry in self._assignments if entry.section == section}

    def sections(self) -> dict[str, str]:
        return {entry.section: entry.file for entry in self._assignments}

    def _on_command_line(self, section: str, names: Collection[str]) -> Origin | None:
        if section != "DEFAULT":
            return None
        for flag in (f"--{name.replace('_', '-')}" for name in names):
            for position, word in enumerate(self._argv):
                if word == flag and position + 1 < len(self._argv):
                    return Origin("command line", flag, self._argv[position + 1])
                if word.startswith(flag + "="):
                    return Origin("command line", flag, word.partition("=")[2])
        return None

    def _in_environment(self, section: str, names: Collection[str]) -> Origin | None:
        for name in names:
            variable = f"OS_{section.upper()}__{name.upper()}"
            if variable in os.environ:
                return Origin("environment", variable, os.environ[variable])
        return None

    def _in_legacy_environment(self, section: str, names: Collection[str]) -> Origin | None:
        for name in names:
            variable = LEGACY_ENVIRONMENT.get(name, "")
            if section == "DEFAULT" and variable in os.environ:
                return Origin("environment", variable, os.environ[variable])
        return None

    def _in_files(self, section: str, names: Collection[str]) -> Origin | None:
        found = [entry for entry in self._assignments if entry.section == section and entry.option in names]
        if not found:
            return None
        last = found[-1]
        return Origin(f"{last.file}: [{section}]", last.option, last.value)


def _assignments(name: str) -> Iterator[Assignment]:
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(name, sections).parse()
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from error
    except (cfg.ParseError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: {' '.join(str(error).split())}") from error
    for section, options in sections.items():
        known = section if section == "DEFAULT" else section.lower()
        for option, values in options.items():
            yield Assignment(name, known, option.replace("-", "_"), values[-1])


def unknown_options(sources: Sources, section: str, known: Collection[str]) -> Iterator[str]:
    """A line for each unknown option of a section."""
    for option, file in sources.options_of(section).items():
        if option not in known:
            near = difflib.get_close_matches(option, sorted(known), n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"{file}: [{section}] {option}: unknown option, ignored{hint}"


def unknown_sections(sources: Sources, known: Collection[str]) -> Iterator[str]:
    """A line for each section that looks misspelt. Others belong to other programs and are ignored."""
    for section, file in sources.sections().items():
        near = difflib.get_close_matches(section.lower(), [name.lower() for name in known], n=1, cutoff=0.8)
        if section not in known and near:
            yield f"{file}: [{section}]: unknown section, ignored; did you mean [{_spelt(near[0])}]?"


def _spelt(section: str) -> str:
    return section.upper() if section == "default" else section


def without_effect(sources: Sources, table: Mapping[tuple[str, str], str]) -> Iterator[str]:
    for (section, option), reason in table.items():
        origin = sources.set_in_files(section, option)
        if origin is not None:
            yield f"{origin.place} {option}: without effect ({reason})"

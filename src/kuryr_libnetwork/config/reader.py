# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Reads options. A wrong value becomes one line: file, section, option, value, what is allowed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from oslo_config import cfg, types

from kuryr_libnetwork.config.sources import Origin, Sources
from kuryr_libnetwork.errors import ConfigError


class Notice(NamedTuple):
    """A line about the configuration, to be logged once logging is set up."""

    level: int
    text: str


class Options(cfg.ConfigOpts):
    """A ``ConfigOpts`` that can tell which options it has."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], cfg.Opt] = {}
        super().__init__()

    def register_opt(
        self, opt: cfg.Opt, group: cfg.OptGroup | str | None = None, cli: bool = False, **more: Any
    ) -> bool:
        section = group.name if isinstance(group, cfg.OptGroup) else group
        self.known[section or "DEFAULT", opt.dest] = opt
        return bool(super().register_opt(opt, group, cli, **more))


class Reader:
    """Options by name. ``notices`` collects what is odd but not an error."""

    def __init__(self, conf: Options, sources: Sources) -> None:
        self.conf = conf
        self.sources = sources
        self.notices: list[Notice] = []

    def get(self, name: str, section: str = "DEFAULT") -> Any:
        group = self.conf if section == "DEFAULT" else self.conf[section]
        try:
            return group[name]
        except (cfg.TemplateSubstitutionError, cfg.NoSuchOptError, cfg.NoSuchGroupError):
            self.refuse(name, section, "write $$ for a $ in a value")
        except ValueError:
            self.refuse(name, section, allowed(self.conf.known[section, name]))

    def check(self, section: str) -> None:
        """Read every option of a section."""
        for where, name in list(self.conf.known):
            if where == section:
                self.get(name, section)

    def check_as_written(self) -> None:
        """Check the files without oslo.config, which stops at a wrong value of an option that is also a flag."""
        for (section, name), option in self.conf.known.items():
            where = self.sources.origin(section, spellings(option))
            if where is not None:
                try:
                    option.type(where.value)
                except ValueError:
                    self.refuse(name, section, allowed(option))

    def names(self, section: str) -> set[str]:
        """Every name, old or new, under which an option of the section may be written."""
        return {
            name for (where, _), option in self.conf.known.items() if where == section for name in spellings(option)
        }

    def origin(self, name: str, section: str = "DEFAULT") -> Origin | None:
        option = self.conf.known[section, name]
        found = self.sources.origin(section, spellings(option))
        return found._replace(value="***") if found and option.secret else found

    def refuse(self, name: str, section: str, text: str) -> NoReturn:
        where = self.origin(name, section)
        if where is None:
            raise ConfigError(f"{self.place()}: [{section}] {name} is not set: {text}")
        raise ConfigError(f"{where.place} {where.option} = {' '.join(where.value.split())}: {text}")

    def place(self) -> str:
        """Where an option that is not set should have been."""
        return ", ".join(self.sources.files) or "no configuration file found"

    def warn(self, text: str) -> None:
        self.notices.append(Notice(logging.WARNING, text))

    def readable(self, name: str, section: str) -> Path:
        """The path in an option; refuses one that is not a readable file."""
        path = Path(self.get(name, section))
        if not path.is_file():
            self._refuse_path(name, section, path, "no such file")
        if not os.access(path, os.R_OK):
            self._refuse_path(name, section, path, "the file is not readable by this user")
        return path

    def _refuse_path(self, name: str, section: str, path: Path, text: str) -> NoReturn:
        if self.origin(name, section) is None:
            raise ConfigError(f"{self.place()}: [{section}] {name} is not set and its default {path}: {text}")
        self.refuse(name, section, text)


def spellings(option: cfg.Opt) -> set[str]:
    old = {entry.name for entry in option.deprecated_opts if entry.name}
    return {name.replace("-", "_") for name in (option.dest, option.name, *old)}


def allowed(option: cfg.Opt) -> str:
    """The values that an option accepts, in words."""
    kind = option.type
    if isinstance(kind, types.List):
        kind = kind.item_type
        return f"must be a list, each {_words(kind)}"
    return f"must be {_words(kind)}"


def _words(kind: Any) -> str:
    words = getattr(kind, "allowed", None)
    if words:
        return str(words)
    if isinstance(kind, types.Boolean):
        return "true or false"
    if isinstance(kind, types.Number):
        return ("a whole number" if isinstance(kind, types.Integer) else "a number") + _range(kind.min, kind.max)
    choices: Iterable[object] | None = getattr(kind, "choices", None)
    if choices:
        return "one of " + ", ".join(str(choice) for choice in choices)
    return f"a {getattr(kind, 'type_name', 'valid value')}"


def _range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f" of at least {low}"
    return f" from {low} to {high}" if low is not None else f" of at most {high}"

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Sphinx and its extensions lack for this project's pages."""

import os
import re
import shutil
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from cliff.app import App
from cliff.sphinxext import AutoprogramCliffDirective
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from kuryr_libnetwork.cli import server, status
from kuryr_libnetwork.cli.application import Application
from kuryr_libnetwork.cli.kuryr import COMMANDS, real_host
from kuryr_libnetwork.config import read as config

INDEX = "docs/index"
PICTURES = "docs/pictures"
_ENTRY = re.compile(r"^\* \[([^\]]+)\]\(([\w./-]+)\.md\)", re.MULTILINE)
_FORWARD = """\
<!DOCTYPE html>
<meta charset="utf-8">
<title>kuryr-libnetwork</title>
<meta http-equiv="refresh" content="0; url={page}.html">
<a href="{page}.html">kuryr-libnetwork</a>
"""


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("program-options", ProgramOptions)
    app.connect("source-read", _add_toctrees)
    app.connect("build-finished", _add_front_door)
    app.connect("build-finished", _add_pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def toctrees(index: str) -> str:
    """The table of contents that Sphinx wants, from the lists of links that everybody reads, one for each heading."""
    sections = re.split(r"^## (.+)$", index, flags=re.MULTILINE)[1:]
    found = zip(sections[::2], map(_ENTRY.findall, sections[1::2]), strict=True)
    return "".join(_toctree(caption, entries) for caption, entries in found if entries)


def _toctree(caption: str, entries: list[tuple[str, str]]) -> str:
    pages = [f"{title} <{page}>" for title, page in entries]
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])


def _add_toctrees(_app: Sphinx, page: str, source: list[str]) -> None:
    if page == INDEX:
        source[0] += toctrees(source[0])


def _add_front_door(app: Sphinx, error: Exception | None) -> None:
    """The site is opened at its folder, and its first page is where it is in the repository."""
    if error is None and app.builder.format == "html":
        Path(app.outdir, "index.html").write_text(_FORWARD.format(page=INDEX))


def _add_pictures(app: Sphinx, error: Exception | None) -> None:
    """Pictures in HTML, one for light pages and one for dark ones, are looked for where they are in the repository."""
    if error is None and app.builder.format == "html":
        shutil.copytree(Path(app.srcdir, PICTURES), Path(app.outdir, PICTURES), dirs_exist_ok=True)


class ProgramOptions(AutoprogramCliffDirective):
    """``program-options:: PROGRAM [COMMAND...]``: options, from the parser; of ``kuryr`` those of its commands too."""

    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env = self.state.document.settings.env
        name = self.arguments[0]
        program = cast("App", SimpleNamespace(parser=_parser_of(*name.split())))
        found = self._generate_app_node(program, name)
        return found + (self._generate_command_nodes(dict(COMMANDS), name) if name == "kuryr" else [])


def _parser_of(program: str, *commands: str) -> ArgumentParser:
    parsers: dict[str, Callable[[], ArgumentParser]] = {
        "kuryr": lambda: Application(COMMANDS, real_host, version("kuryr-libnetwork")).parser,
        "kuryr-server": _server_parser,
        "kuryr-status": status.option_parser,
    }
    parser = parsers[program]()
    for command in commands:
        parser = next(action.choices[command] for action in parser._actions if isinstance(action.choices, dict))
    for action in parser._actions:
        if action.help and action.help != SUPPRESS:
            action.help = action.help % {**vars(action), "prog": program}
    return parser


def _server_parser() -> ArgumentParser:
    found = config.read(["--config-file", os.devnull], prog=server.PROG, description=server.DESCRIPTION, login=False)
    parser = cast("ArgumentParser", found.conf._oparser)  # oslo.config shows it in --help alone
    parser.set_defaults(config_file="the files named above")  # what it finds on the machine that builds the pages
    return parser

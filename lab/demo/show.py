# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's output: numbered steps, aligned tables, colours on a terminal only."""

import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from lab.api import NeutronCall
from lab.progress import say

BOLD, DIM, GREEN = "1", "2", "32"
INDENT = "   "
_WHY = {
    "GET subnetpools": "is there an address pool for it?",
    "POST subnetpools": "no: make it",
    "GET subnets": "is there such a subnet already?",
    "GET networks": "the network that the user named",
    "POST networks": "make the network",
    "PUT networks tags": "mark it with Docker's id",
    "POST networks tags": "mark it with Docker's id",
    "POST subnets": "make its subnet",
    "PUT subnets tags": "mark that as well",
    "POST subnets tags": "mark that as well",
    "GET extensions": "what can this Neutron do? (asked once)",
    "POST ports": "make a port on this host: Neutron chooses address and MAC",
    "PUT ports": "say which container has it; nobody waits for that",
}
# Keystone writes its ids without dashes.
_LONG_ID = re.compile(r"\b([0-9a-f]{8})(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\b")


def paint(text: str, code: str) -> str:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\033[{code}m{text}\033[0m"


def heading(text: str) -> None:
    say("")
    say(paint(text, BOLD))


def line(text: str, code: str = "") -> None:
    for each in text.splitlines():
        say(INDENT + (paint(each, code) if code else each))


def command(words: str) -> None:
    """A command, wrapped with backslashes if it is too long."""
    parts = textwrap.wrap(f"$ {words}", 90, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False)
    line(" \\\n".join(parts), GREEN)


def paragraph(text: str) -> None:
    line(textwrap.fill(text, 96, break_on_hyphens=False))


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> Iterator[str]:
    """Aligned lines; the columns whose numbers are in `right` are aligned to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    first, *others = table([header, *rows], right=right)
    line(first, BOLD)
    for each in others:
        line(each)


def show_calls(calls: Sequence[NeutronCall]) -> None:
    rows = [[call.method, _short(call.uri), f"{call.milliseconds} ms", _why(call)] for call in calls]
    for each in table(rows, right=[2]) if rows else ():
        line(f"{INDENT}{each}", DIM)


def _short(uri: str) -> str:
    """`ports/1234abcd...`: the first eight digits are enough to recognise a resource."""
    return _LONG_ID.sub(r"\1...", unquote(uri)).removeprefix("/v2.0/")


def _why(call: NeutronCall) -> str:
    path = call.uri.partition("?")[0].removeprefix("/v2.0/").split("/")
    about = "tags" if "tags" in path else ""
    return _WHY.get(f"{call.method} {path[0]} {about}".strip(), "")

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The files of the page for people, which are part of the package and need nothing from elsewhere.

The page asks ``healthz`` and ``v1/wiring`` by relative addresses, so it may be served below any path.
"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from importlib.resources import files as resources

from kuryr_libnetwork.admin.pages import Page

START = "page.html"
KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@cache
def files() -> dict[str, Page]:
    """By path; read once, so that the page is shown while the disk hangs."""
    found = {}
    for entry in (resources(__package__) / "web").iterdir():
        ending = entry.name.rpartition(".")[2]
        if ending in KINDS:
            path = "/" if entry.name == START else f"/{entry.name}"
            found[path] = Page(HTTPStatus.OK, entry.read_bytes(), KINDS[ending])
    return found

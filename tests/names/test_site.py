# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The pages as a site and as manual pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kuryr_libnetwork.cli.kuryr import COMMANDS
from kuryr_libnetwork.config.options import list_opts
from lab.docs import picture
from lab.docs.build import MANUAL, SITE, sphinx
from lab.docs.extension import toctrees


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fails if a link within the pages leads nowhere, or a page is in no list of docs/index.md."""
    out = tmp_path_factory.mktemp("docs")
    assert [sphinx(builder, out) for builder in (SITE, MANUAL)] == [0, 0]
    return out


def manual(built: Path, name: str) -> str:
    """Without what troff wants written before a hyphen or a full stop."""
    return re.sub(r"\\&|\\(?=-)|\\f[BIPR]", "", (built / MANUAL / name).read_text())


def test_the_site_has_a_front_door(built: Path) -> None:
    """Who opens the site's folder would see a list of files."""
    site = built / SITE
    target = re.findall(r'url=([^"]+)"', (site / "index.html").read_text())
    assert [(site / page).is_file() for page in target] == [True]


def test_pictures_are_there(built: Path) -> None:
    """A reader of the site would see an empty frame."""
    shown = [
        (page, name)
        for page in (built / SITE).rglob("*.html")
        for name in re.findall(r'<(?:img|source)[^>]+src(?:set)?="([^":?]+)"', page.read_text())
    ]
    assert len(shown) > 1
    assert [f"{page.name}: {name}" for page, name in shown if not (page.parent / name).is_file()] == []


def test_every_option_is_in_the_manual(built: Path) -> None:
    """An operator would look for an option in vain."""
    text = manual(built, "kuryr.conf.5")
    assert [option.dest for _, options in list_opts() for option in options if option.dest not in text] == []


def test_every_command_is_in_the_manual(built: Path) -> None:
    """An operator would not learn that there is such a command."""
    text = manual(built, "kuryr.8")
    assert [name for name in COMMANDS if f"kuryr {name}" not in text] == []


@pytest.mark.parametrize(("page", "option"), [("kuryr-server.8", "--config-file"), ("kuryr-status.8", "--json")])
def test_the_options_of_a_program_are_in_the_manual(built: Path, page: str, option: str) -> None:
    """The page would have nothing but what somebody wrote once."""
    assert option in manual(built, page)


def test_the_table_of_contents_is_the_index() -> None:
    """A page would be missing in the site's navigation, or be in another place than in the index."""
    lists = [
        "## Begin",
        "* [One](one.md): a\n* [Two](../TWO.md), b\n* [x](x.svg)",
        "## Words",
        "## End",
        "* [X](x/y.md)",
    ]
    assert re.findall(r":caption: (.*)\n\n((?:.+\n)+?)```", toctrees("\n\n".join(["# Title", *lists]))) == [
        ("Begin", "One <one>\nTwo <../TWO>\n"),
        ("End", "X <x/y>\n"),
    ]


def test_the_picture_is_current() -> None:
    """The picture would show what its source no longer says: run python3 -m lab.docs.picture."""
    assert picture.FILE.read_text() == picture.picture()

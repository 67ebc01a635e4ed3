# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What pages, comments and docstrings refer to can be opened by whoever has this repository.

A fact is cited by page and heading: ``docs/notes/docker-plugin.md, "Order of calls"``; a defect of upstream by page and
row: ``docs/compatibility.md, B2``.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "kuryr_libnetwork"
SECTION_SIGN = "\N{SECTION SIGN}"
FILE_PATH = re.compile(r"[\w.-]+(?:/[\w.*-]+)*/?")
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")
"""``port_driver/drivers/NAME.py`` means any of them."""
PAGE_IN_CODE = re.compile(r"(?<![\w/.-])docs/[\w/.-]*\w\.md\b")
CITED_HEADING = re.compile(r'(?<![\w/.-])([\w./-]+\.md)[`)]{0,2},\s("[^"]+"(?:(?:,| and| or) "[^"]+")*)')
CITED_ROW = re.compile(r"docs/compatibility\.md, (B\d+)")
LINK = re.compile(r"\[(?:[^\[\]`]|`[^`]*`)*\]\(([^()\s]+)\)")
WEB_LINK = re.compile(r"\[(?:[^\[\]`]|`[^`]*`)*\]\(https?://[^()\s]+\)")


def _files() -> list[Path]:
    """The text files of this repository that git knows, or would take up."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = sorted({ROOT / name for name in listed.split("\0") if name})
    return [file for file in files if file.is_file() and b"\0" not in file.read_bytes()]


FILES = _files()
PAGES = [file for file in FILES if file.suffix == ".md"]
CODE = [file for file in FILES if file.suffix != ".md"]


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@cache
def _text(file: Path) -> str:
    return file.read_text()


@cache
def _running_text(file: Path) -> str:
    """In one line: a citation may be broken anywhere, also between two strings of Python, or two lines of a comment."""
    joined = re.sub(r"""["']\s*\n\s*f?["']""", "", _text(file))
    return re.sub(r"\s*\n\s*(?:#:? ?)?", " ", joined).replace("\\", "")


def _prose(page: Path) -> str:
    """Without blocks of code: a picture may stand there, or a file of somebody else's."""
    return re.sub(r"^ *```.*?^ *```$", "", _text(page), flags=re.MULTILINE | re.DOTALL)


@cache
def _headings(page: Path) -> list[str]:
    return [line.lstrip("# ").replace("`", "") for line in _prose(page).splitlines() if re.match(r"#+ ", line)]


def _anchor(heading: str) -> str:
    """As forges make it of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _bases(page: Path) -> tuple[Path, Path, Path]:
    """What a path in a page may be relative to."""
    return ROOT, PACKAGE, page.parent


def _is_there(path: str, page: Path) -> bool:
    pattern = PLACEHOLDER.sub("*", path.rstrip("/"))
    return any(next(base.glob(pattern), None) is not None for base in _bases(page))


def _is_ours(path: str, page: Path) -> bool:
    """Whether a word means a file or folder of this repository: Markdown, Python, or below a folder that is here."""
    first, slash, _ = path.partition("/")
    return path.endswith((".py", ".md")) or bool(slash and any((base / first).is_dir() for base in _bases(page)))


def _paths(page: Path) -> set[str]:
    spans = re.findall(r"`([^`\n]+)`", WEB_LINK.sub("", _prose(page)))
    words = {word.partition("::")[0].removeprefix("./") for span in spans for word in re.split(r"[\s,]+", span)}
    made_here = {word for word in words if word.startswith(".dev")}
    return {word for word in words - made_here if FILE_PATH.fullmatch(word) and _is_ours(word, page)}


def _page_of(cited: str, file: Path) -> Path:
    """A page is cited from the root, or from where the file is."""
    return next((base / cited for base in (file.parent, ROOT) if (base / cited).is_file()), ROOT / cited)


def test_nothing_cites_a_document_by_its_section_sign() -> None:
    """A reader would be sent to a document that he has not got."""
    lines = [f"{_name(file)}: {line}" for file in FILES for line in _text(file).splitlines() if SECTION_SIGN in line]
    assert lines == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_paths_in_pages_are_there(page: Path) -> None:
    """Who wants to change something would look for a file that has moved."""
    assert sorted(path for path in _paths(page) if not _is_there(path, page)) == []


def test_paths_are_looked_for_at_all() -> None:
    """The test above would find nothing wrong because it finds nothing."""
    assert {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/security.md"} <= {_name(page) for page in PAGES}
    assert "rules/ownership.py" in _paths(ROOT / "ARCHITECTURE.md")
    assert "tests/fakes" in _paths(ROOT / "tests" / "world" / "README.md")


@pytest.mark.parametrize("file", [file for file in CODE if PAGE_IN_CODE.search(_text(file))], ids=_name)
def test_pages_named_in_code_are_there(file: Path) -> None:
    """A comment, or a message to an operator, would send him to a page that is not there."""
    assert [page for page in PAGE_IN_CODE.findall(_text(file)) if not (ROOT / page).is_file()] == []


@pytest.mark.parametrize("file", [file for file in FILES if CITED_HEADING.search(_running_text(file))], ids=_name)
def test_headings_that_are_cited_are_there(file: Path) -> None:
    """A citation would end at the top of a page of two hundred lines."""
    cited = [
        (_page_of(page, file), heading)
        for page, headings in CITED_HEADING.findall(_running_text(file))
        for heading in re.findall(r'"([^"]+)"', headings)
    ]
    missing = [f"{_name(page)}, {title}" for page, title in cited if not page.is_file() or title not in _headings(page)]
    assert missing == []


def test_defects_that_are_cited_are_there() -> None:
    """A test would name a defect of upstream that the table has not."""
    rows = set(re.findall(r"^\| (B\d+) ", _text(ROOT / "docs" / "compatibility.md"), re.MULTILINE))
    assert {row for file in FILES for row in CITED_ROW.findall(_running_text(file))} <= rows


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A click would end nowhere."""
    broken = []
    for target in LINK.findall(_prose(page)):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in map(_anchor, _headings(there))):
            broken.append(target)
    assert broken == []

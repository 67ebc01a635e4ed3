# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the paths of the admin socket answer, and to whom."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kuryr_libnetwork.admin.pages import Pages, Slow, is_local
from kuryr_libnetwork.admin.web import files
from kuryr_libnetwork.errors import JournalError
from kuryr_libnetwork.model.overview import RoundRow, Wellbeing
from lab.process import wait_for

WELL = Wellbeing(live=True, ready=True)
AWAY = Wellbeing(live=True, ready=False, reasons=("Neutron has not answered yet",))
HANGS = Wellbeing(live=False, ready=False, reasons=("the journal has not answered for 90 s",))
LIMIT = 10


class Asked:
    """One question to the application, without a server."""

    def __init__(self, pages: Pages, path: str, method: str = "GET", host: str = "localhost", known: str = "") -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": host, "HTTP_IF_NONE_MATCH": known}
        self.body = b"".join(pages(environ, self._start))
        is_json = self.headers.get("Content-Type") == "application/json"
        self.told: Any = json.loads(self.body) if self.body and is_json else None

    def _start(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = int(status[:3]), dict(headers)


def pages_of(
    wellbeing: Wellbeing = WELL,
    rows: Callable[[], object] = RoundRow,
    *,
    local_only: bool = False,
    slow: Slow | None = None,
) -> Pages:
    return Pages(lambda: wellbeing, {"rounds": rows}, slow=slow or Slow(), local_only=local_only, files=files())


@pytest.mark.parametrize(("found", "live", "ready"), [(WELL, 200, 200), (AWAY, 200, 503), (HANGS, 503, 503)])
def test_how_the_service_is(found: Wellbeing, live: int, ready: int) -> None:
    """A supervisor would restart a service that waits for Neutron, or leave one that hangs."""
    pages = pages_of(found)
    assert (Asked(pages, "/healthz").status, Asked(pages, "/readyz").status) == (live, ready)
    assert Asked(pages, "/healthz").told == {
        "live": found.live,
        "ready": found.ready,
        "reasons": list(found.reasons),
    }


def test_lists() -> None:
    """Nothing could be read by a program."""
    asked = Asked(pages_of(rows=lambda: RoundRow(rounds=3)), "/v1/rounds")
    assert (asked.status, asked.headers["Content-Type"]) == (200, "application/json")
    assert asked.told["rounds"]["rounds"] == 3
    assert asked.headers["Content-Length"] == str(len(asked.body))


def test_what_is_not_served() -> None:
    """A wrong word would be answered without saying which are right; a command would be taken for a question."""
    asked = Asked(pages_of(), "/v1/\nnothing")
    assert asked.status == 404
    assert asked.told["error"] == r"/v1/\nnothing is not served; there are: /healthz, /readyz, /metrics, /v1/rounds"
    asked = Asked(pages_of(), "/v1/rounds", "DELETE")
    assert (asked.status, asked.headers["Allow"]) == (405, "GET, HEAD")
    assert Asked(pages_of(), "/v1/rounds", "HEAD").body == b""


def test_what_has_not_changed_is_not_sent_again() -> None:
    """A page that is looked at from far away would fetch all wires of a large host every two seconds."""
    rounds = RoundRow(rounds=3)
    pages = pages_of(rows=lambda: rounds)
    first = Asked(pages, "/v1/rounds")
    again = Asked(pages, "/v1/rounds", known=first.headers["ETag"])
    assert (again.status, again.body, "Content-Length" in again.headers) == (304, b"", False)
    assert "Content-Security-Policy" in again.headers
    rounds = RoundRow(rounds=4)
    assert Asked(pages, "/v1/rounds", known=first.headers["ETag"]).told["rounds"]["rounds"] == 4
    sick = pages_of(HANGS)
    assert Asked(sick, "/healthz", known=Asked(sick, "/healthz").headers["ETag"]).status == 503


def raising(error: Exception) -> Callable[[], object]:
    def rows() -> object:
        raise error

    return rows


def test_an_error_has_one_line_and_no_secret() -> None:
    """An exception would end the server's thread, or show what only the log may say."""
    asked = Asked(pages_of(rows=raising(JournalError("the journal is damaged"))), "/v1/rounds")
    assert (asked.status, asked.told["error"]) == (500, "the journal is damaged")
    asked = Asked(pages_of(rows=raising(ValueError("pass phrase"))), "/v1/rounds")
    assert (asked.status, "pass phrase" in asked.told["error"]) == (500, False)


def test_a_journal_that_hangs_holds_up_nothing_else() -> None:
    """The page that says what hangs would hang with it, or each question leave a thread behind."""
    gate = threading.Event()
    slow = Slow(seconds=0.01, most=2)
    pages = pages_of(HANGS, gate.wait, slow=slow)
    try:
        assert [Asked(pages, "/v1/rounds").status for _ in range(5)] == [503] * 5
        assert "earlier questions" in Asked(pages, "/v1/rounds").told["error"]
        assert Asked(pages, "/healthz").status == 503
        assert sum(thread.name == "bounded" for thread in threading.enumerate()) <= 2
    finally:
        gate.set()
    assert wait_for(lambda: Asked(pages, "/v1/rounds").status == 200, LIMIT)


def test_many_questions_at_a_time_are_all_answered() -> None:
    """Two scrapes and an operator in the same moment would see gaps, and think that the disk hangs."""
    pages = pages_of(rows=lambda: RoundRow(rounds=3))
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: Asked(pages, "/v1/rounds").status, range(200)))
    assert found == [200] * 200


def test_slow_gives_its_place_back() -> None:
    """After two errors nothing would be answered any more."""
    slow = Slow(most=1)
    for _ in range(3):
        with pytest.raises(JournalError):
            slow.run(raising(JournalError("x")))
    assert slow.run(lambda: 7) == 7


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost:9697", True),
        ("127.0.0.1:9697", True),
        ("[::1]:9697", True),
        ("[::1]", True),
        ("", True),
        ("kuryr.example.org:9697", False),
        ("127.0.0.1.example.org", False),
        ("10.0.0.5", False),
        (":::9697", False),
    ],
)
def test_no_other_site_reads_it_through_a_browser(host: str, local: bool) -> None:
    """A page of the internet whose name leads to 127.0.0.1 would read what runs on this host."""
    assert is_local(host) is local
    asked = Asked(pages_of(local_only=True), "/v1/rounds", host=host)
    assert asked.status == (200 if local else 403)
    assert Asked(pages_of(), "/v1/rounds", host=host).status == 200


def test_the_files_of_the_page() -> None:
    """A browser would refuse the page's own scripts, or the page would lead to files that are not there."""
    pages = pages_of()
    start = Asked(pages, "/")
    assert (start.status, start.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "html": "text/html"}
    for path, page in files().items():
        asked = Asked(pages, path)
        assert (asked.status, asked.body) == (200, page.body)
        if path != "/":
            assert asked.headers["Content-Type"].startswith(kinds[path.rpartition(".")[2]])
    named = re.findall(r'(?:src|href)="([^"#]+)"', start.body.decode())
    named += [name for page in files().values() for name in re.findall(r'from "\./([^"]+)"', page.body.decode())]
    assert named
    assert {f"/{name}" for name in named} <= set(files())
    assert Asked(pages, "/", "POST").status == 405
    assert Asked(pages, "/../page.html").status == 404


@pytest.mark.parametrize("path", ["/", "/page.js", "/v1/rounds", "/healthz", "/nothing"])
def test_what_a_browser_may_do_with_an_answer(path: str) -> None:
    """Another site could show the page in a frame, read it, or have it run a script."""
    headers = Asked(pages_of(), path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[kind] for kind in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    assert {policy[kind] for kind in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert (policy["require-trusted-types-for"], policy["trusted-types"]) == ("'script'", "'none'")
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not any(name.startswith("Access-Control") for name in headers)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """At night, without internet, the page would stay empty."""
    for path, page in files().items():
        text = page.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"^\s*//.*$|\s// .*$", "", text, flags=re.MULTILINE), path
        assert not re.search(r"\bon[a-z]+=|innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(", text), path

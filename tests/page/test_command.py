# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr page``: the page over the admin socket, for the operator alone."""

from __future__ import annotations

import http.client
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuryr_libnetwork.admin.assembly import lists
from kuryr_libnetwork.admin.pages import Pages, Slow
from kuryr_libnetwork.admin.server import AdminServer, Place
from kuryr_libnetwork.admin.web import files
from kuryr_libnetwork.docker.listeners import unix_listener
from kuryr_libnetwork.health import Health
from lab.process import wait_for
from tests.page.command import LIMIT, Running, running, words
from tests.page.hosts import World, small
from tests.page.viewer import Viewer


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("p")


def configured(folder: Path, more: str = "") -> Path:
    conf = folder / "kuryr.conf"
    conf.write_text(f"[admin]\nsocket = {folder}/admin.sock\n{more}")
    return conf


@pytest.fixture
def served(folder: Path, world: World) -> Iterator[Path]:
    """A service with its admin socket."""
    small(world)
    listener = unix_listener(folder / "admin.sock", "[admin] socket")
    pages = Pages(lambda: world.wellbeing, lists(world.overview), slow=Slow(), files=files())
    server = AdminServer([Place(listener.socket, listener.name, pages, listener.remove)], Health())
    server.start()
    yield folder
    server.stop()


def asked(run: Running, path: str, method: str = "GET", host: str = "") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", run.port, timeout=LIMIT)
    try:
        connection.request(method, path, headers={"Host": host or f"127.0.0.1:{run.port}"})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_the_page_for_an_operator(viewer: Viewer, served: Path, world: World) -> None:
    """Fails if the command, its address or its end does not work for root at a terminal."""
    with running(configured(served)) as run:
        viewer.open(run.address)
        assert len(viewer.items(".wire")) == 3
        assert viewer.complaints() == []
        run.process.send_signal(signal.SIGINT)
        _, errors = run.process.communicate(timeout=LIMIT)
        assert (run.process.returncode, errors) == (0, "")
        assert f"ssh -L {run.port}:127.0.0.1:{run.port} HOST" in run.hint
    with pytest.raises(ConnectionRefusedError):
        asked(run, "/")


def test_who_has_not_the_address_reads_nothing(served: Path) -> None:
    """Fails if another user of the host, or another site in root's browser, can read what runs here."""
    with running(configured(served)) as run:
        right = run.start
        assert asked(run, right)[0] == 200
        assert asked(run, right, host=f"localhost:{run.port}")[0] == 200
        for path in ("/", "/v1/wiring", f"{right[:-2]}/", f"/x{right[1:]}v1/wiring", right.upper()):
            status, _, body = asked(run, path)
            assert (path, status, b"compute" in body) == (path, 403, False)
        for host in ("evil.example", f"evil.example:{run.port}", "127.0.0.1", f"127.0.0.1.evil.example:{run.port}"):
            assert (host, asked(run, f"{right}v1/wiring", host=host)[0]) == (host, 403)


def test_nothing_but_the_page_and_nothing_can_be_changed(served: Path) -> None:
    """Fails if the way to the page is a way to the commands of the admin socket."""
    with running(configured(served)) as run:
        for path in ("v1/networks", "metrics", "v1/reconcile", "../healthz", "/healthz", "page.js%0a", "v1/wiring/"):
            assert (path, asked(run, run.start + path)[0]) == (path, 404)
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            status, headers, _ = asked(run, f"{run.start}v1/wiring", method)
            assert (method, status, headers["Allow"]) == (method, 405, "GET, HEAD")
            assert not any(name.startswith("Access-Control") for name in headers)
        status, headers, body = asked(run, f"{run.start}page.js")
        assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert body == files()["/page.js"].body
        assert asked(run, f"{run.start}page.js", "HEAD")[2] == b""


def test_a_service_that_ends_is_told_on_the_page(viewer: Viewer, folder: Path, world: World) -> None:
    """Fails if the page shows the past as the present."""
    listener = unix_listener(folder / "admin.sock", "[admin] socket")
    small(world)
    pages = Pages(lambda: world.wellbeing, lists(world.overview), slow=Slow(), files=files())
    server = AdminServer([Place(listener.socket, listener.name, pages, listener.remove)], Health())
    server.start()
    with running(configured(folder)) as run:
        viewer.open(run.address)
        server.stop()
        viewer.sooner(lambda: "is it running?" in viewer.one("#stale").text)


def test_where_the_service_serves_it_itself(folder: Path, world: World) -> None:
    """Fails if the address of [admin] listen is not told, or a service that is not there is taken for one."""
    with world.served() as address:
        port = address.rstrip("/").rpartition(":")[2]
        page = words(configured(folder, f"listen = 127.0.0.1:{port}\n"))
        told = subprocess.run(page, capture_output=True, text=True, check=False, timeout=LIMIT)
        assert (told.returncode, told.stdout, told.stderr) == (0, f"{address}\n", "")
    assert wait_for(lambda: subprocess.run(page, capture_output=True, check=False).returncode == 1, LIMIT)
    told = subprocess.run(page, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert told.stderr.startswith(f"kuryr: the service does not answer at [admin] listen = 127.0.0.1:{port}")


def test_without_a_service(folder: Path) -> None:
    """Fails if an address is printed at which nothing is."""
    told = subprocess.run(words(configured(folder)), capture_output=True, text=True, check=False, timeout=LIMIT)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("kuryr: the service does not answer at")
    assert told.stderr.count("\n") == 1
    wrong = subprocess.run([*words(configured(folder)), "--port", "70000"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, "must be a number from 1 to 65535" in wrong.stderr) == (2, True)

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr_libnetwork.server:app``, as OpenStack-Ansible starts it under uWSGI."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from kuryr_libnetwork.server import INSTEAD, app


def test_the_log_of_the_wsgi_server_says_what_to_start() -> None:
    """Fails if an operator gets a traceback, or silence, from a server that cannot serve."""
    code = "from kuryr_libnetwork.server import app; assert callable(app)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == f"{INSTEAD}\n"
    assert "kuryr-server" in INSTEAD
    assert "\n" not in INSTEAD


def test_docker_is_told_the_same() -> None:
    """Fails if the call of Docker ends otherwise than with an error that names the cure."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            """Tests are silent."""

    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/Plugin.Activate"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url, data=b"{}", method="POST"), timeout=30)
        thread.join()
    assert caught.value.code == 503
    assert json.loads(caught.value.read()) == {"Err": INSTEAD}
    caught.value.close()

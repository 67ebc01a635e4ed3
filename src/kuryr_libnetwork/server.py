# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr_libnetwork.server:app``, which kuryr-libnetwork 18 had for uWSGI, says what to start instead.

An answer that Docker does not receive has to be undone, and a WSGI application never learns of it; so there is none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

INSTEAD = (
    "kuryr_libnetwork.server:app serves nothing: stop this WSGI server and start kuryr-server, the unit "
    "kuryr-libnetwork.service, instead (docs/migration.md)"
)


def app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Docker's user reads the line as the reason why his command fails."""
    body = json.dumps({"Err": INSTEAD}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("503 Service Unavailable", headers)
    return [body]


sys.stderr.write(f"{INSTEAD}\n")  # into the WSGI server's log, once in each of its processes

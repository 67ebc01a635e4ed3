# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The access log of a Neutron that is not served by uWSGI, in the form that uWSGI's has in a lab.

A filter of PasteDeploy, which runs inside of Neutron: it may use the standard library only.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def factory(_: Mapping[str, str], *, file: str) -> Callable[[Application], Application]:
    def wrap(application: Application) -> Application:
        def logged(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            begin, statuses = time.time(), list[str]()

            def noted(status: str, *more: Any) -> Any:
                statuses.append(status)
                return start_response(status, *more)

            answer = application(environ, noted)
            # The line is there before the client has the whole answer.
            body = list(answer)
            _write(Path(file), environ, begin, statuses[-1] if statuses else "0")
            return body

        return logged

    return wrap


def _write(file: Path, environ: Mapping[str, Any], begin: float, status: str) -> None:
    path = environ.get("RAW_PATH_INFO") or quote(f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}")
    query = environ.get("QUERY_STRING")
    words = (
        int(begin),
        environ.get("REMOTE_ADDR", ""),
        environ.get("REQUEST_METHOD", ""),
        f"{path}?{query}" if query else path,
        status.partition(" ")[0],
        round((time.time() - begin) * 1000),
        environ.get("HTTP_USER_AGENT", ""),
    )
    # One write each: several processes append to the file.
    with file.open("a") as log:
        log.write("\t".join(map(str, words)) + "\n")

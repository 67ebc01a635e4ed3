# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What root can do on the admin socket, and nobody anywhere else."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from kuryr_libnetwork.admin.commands import commands
from kuryr_libnetwork.admin.pages import LONGEST_BODY, Pages, Slow
from kuryr_libnetwork.model.overview import RoundRow, Wellbeing

WELL = Wellbeing(live=True, ready=True)
DRAINED = {"": 7, "d1": 3}.__getitem__


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    root = logging.getLogger()
    before = root.level
    yield
    root.setLevel(before)


def ask(path: str, body: bytes = b"", method: str = "POST", **more: Any) -> tuple[int, Any, dict[str, str]]:
    pages = Pages(lambda: WELL, {}, slow=Slow(), commands=commands(lambda: RoundRow(begun=3, rounds=2), DRAINED))
    told: dict[str, Any] = {}

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        told["status"], told["headers"] = int(status[:3]), dict(headers)

    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body)}
    environ |= {"CONTENT_LENGTH": str(len(body)), **more}
    found = json.loads(b"".join(pages(environ, start)))
    return told["status"], found, told["headers"]


def test_a_look_now() -> None:
    """The command could not tell when the look that it asked for has ended."""
    status, told, _ = ask("/v1/reconcile")
    assert (status, told["begun"], told["rounds"]) == (200, 3, 2)


@pytest.mark.parametrize(("network", "ports"), [("", 7), ("d1", 3)])
def test_a_pool_is_emptied(network: str, ports: int) -> None:
    """An operator could not free what only a pool holds."""
    assert ask("/v1/drain", json.dumps({"network": network}).encode())[:2] == (200, {"ports": ports})
    assert ask("/v1/drain", b'{"networks": ""}')[0] == 400


@pytest.mark.parametrize(("word", "level"), [("debug", 10), ("info", 20), ("warning", 30)])
def test_log_level(word: str, level: int) -> None:
    """An operator would have to restart the service to see more."""
    assert ask("/v1/log-level", json.dumps({"level": word}).encode())[0] == 200
    assert logging.getLogger().level == level


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"level": 3}', b'{"level": "loud"}', b'{"level": "info", "for": 1}', b"[" * 2000]
)
def test_a_wrong_level_is_refused(body: bytes) -> None:
    """The log would become silent by a slip."""
    before = logging.getLogger().level
    status, told, _ = ask("/v1/log-level", body)
    assert (status, logging.getLogger().level) == (400, before)
    assert told["error"].startswith("log-level: ")
    assert "must be one of debug, info, warning" in ask("/v1/log-level", b'{"level": "loud"}')[1]["error"]


def test_too_much_is_not_read() -> None:
    """Memory would be filled by whoever may ask."""
    assert ask("/v1/log-level", b" " * (LONGEST_BODY + 1))[0] == 400
    assert ask("/v1/log-level", b"{}", CONTENT_LENGTH="-1")[0] == 400


def test_a_question_does_nothing() -> None:
    """A browser or a scrape by the wrong path would change something."""
    status, _, headers = ask("/v1/reconcile", method="GET")
    assert (status, headers["Allow"]) == (405, "POST")

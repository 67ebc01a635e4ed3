# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Other releases of Neutron in a lab: which there are, and the access log of those that uWSGI does not serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from lab import access_log, releases, venvs
from lab.api import parsed_calls
from lab.errors import LabError


def test_a_release_that_is_not_there() -> None:
    """A wrong number must not become a lab with another Neutron."""
    with pytest.raises(LabError, match=r"there is no Neutron '23' for a lab; there are 24, 26, 29"):
        releases.named("23")


@pytest.mark.parametrize("release", [each for each in releases.RELEASES.values() if each.wants], ids=str)
def test_every_release_has_its_versions(release: releases.Release) -> None:
    """Without them pip would take libraries with which it does not start."""
    pins = (venvs.PINS / f"neutron-{release.name}.txt").read_text().splitlines()
    (version,) = [line for line in pins if line.startswith("neutron==")]
    assert version.startswith(f"neutron=={release.name}.")
    assert any(line.startswith("neutron-lib==") for line in pins)


def test_the_access_log_is_read_like_uwsgis(tmp_path: Path) -> None:
    """Tests of what calls cost would see nothing, or miss the last call."""

    def neutron(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("201 Created", [])
        return [b"{}"]

    file = tmp_path / "access.log"
    logged = access_log.factory({}, file=str(file))(neutron)
    environ = {
        "REMOTE_ADDR": "172.31.250.11",
        "REQUEST_METHOD": "GET",
        "RAW_PATH_INFO": "/v2.0/ports%2F",
        "PATH_INFO": "/ports/",
        "QUERY_STRING": "name=a%20b",
        "HTTP_USER_AGENT": "kuryr",
    }
    assert list(logged(environ, lambda *_: None)) == [b"{}"]
    (call,) = parsed_calls(file.read_text())
    assert (call.address, call.method, call.uri) == ("172.31.250.11", "GET", "/v2.0/ports%2F?name=a%20b")
    assert (call.status, call.agent) == (201, "kuryr")

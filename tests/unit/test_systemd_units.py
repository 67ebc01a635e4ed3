# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the shipped units say; ``tests/systemd`` runs them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kuryr_libnetwork.config import admin as config_admin, options as config_opts

UNITS = Path(__file__).parents[2] / "etc" / "systemd"


def lines(name: str) -> set[str]:
    return set((UNITS / name).read_text().splitlines())


def test_socket_is_where_docker_looks() -> None:
    """Fails if systemd makes the socket elsewhere than the service would, or lets others than root use it."""
    default = next(option.default for option in config_opts.service_options() if option.dest == "socket_path")
    assert {f"ListenStream={default}", "SocketMode=0600", "RemoveOnStop=yes"} <= lines("kuryr-libnetwork.socket")


def test_the_admin_socket_has_its_folder() -> None:
    """Fails if the service may not make its socket for operators, or others than root may enter the folder."""
    default = next(option.default for option in config_admin.options() if option.dest == "socket")
    assert default.startswith("/run/kuryr/")
    assert {"RuntimeDirectory=kuryr", "RuntimeDirectoryMode=0700"} <= lines("kuryr-libnetwork.service")


def test_both_units_start_before_docker() -> None:
    """Fails if containers that Docker restarts at boot find no plugin."""
    for name in ("kuryr-libnetwork.socket", "kuryr-libnetwork.service"):
        assert "Before=docker.service" in lines(name)


def test_a_crash_loop_ends_and_restarts_do_not() -> None:
    """Fails if Docker waits for ever at a socket that nobody answers, or if an operator's restarts end both units."""
    service = {"Restart=on-failure", "StartLimitIntervalSec=0", "Requires=kuryr-libnetwork.socket"}
    assert service <= lines("kuryr-libnetwork.service")
    assert {"TriggerLimitIntervalSec=60", "TriggerLimitBurst=20"} <= lines("kuryr-libnetwork.socket")


def test_a_service_that_hangs_is_started_anew_and_leaves_no_core() -> None:
    """Fails if Docker waits for ever for a service that hangs, or if the password of the cloud is in a core
    file then.
    """
    assert {"Type=notify", "WatchdogSec=60", "LimitCORE=0"} <= lines("kuryr-libnetwork.service")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    """Fails if systemd does not know an option or value of the units."""
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/usr/local/bin/kuryr-server", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    words = ["systemd-analyze", "verify", *(str(path) for path in tmp_path.iterdir())]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

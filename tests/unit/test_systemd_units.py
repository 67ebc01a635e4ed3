# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kuryr_libnetwork.config import options as config_opts

UNITS = Path(__file__).parents[2] / "etc" / "systemd"


def lines(name: str) -> set[str]:
    return set((UNITS / name).read_text().splitlines())


def test_socket_is_where_docker_looks() -> None:
    """Fails if systemd makes the socket elsewhere than the service would, or lets others than root use it."""
    default = next(option.default for option in config_opts.service_options() if option.dest == "socket_path")
    assert {f"ListenStream={default}", "SocketMode=0600", "RemoveOnStop=yes"} <= lines("kuryr-libnetwork.socket")


def test_both_units_start_before_docker() -> None:
    """Fails if containers that Docker restarts at boot find no plugin."""
    for name in ("kuryr-libnetwork.socket", "kuryr-libnetwork.service"):
        assert "Before=docker.service" in lines(name)


def test_neighbours_can_be_told() -> None:
    """Fails if the sandbox forbids the packets that tell a physical network where a VF's addresses are now."""
    service = {key: value for key, _, value in (line.partition("=") for line in lines("kuryr-libnetwork.service"))}
    assert "CAP_NET_RAW" in service["CapabilityBoundingSet"].split()
    assert "AF_PACKET" in service["RestrictAddressFamilies"].split()


def test_a_crash_loop_ends() -> None:
    """Fails if the service is restarted for ever, with Docker waiting at a socket that nobody answers."""
    expected = {"Restart=on-failure", "StartLimitBurst=5", "Requires=kuryr-libnetwork.socket"}
    assert expected <= lines("kuryr-libnetwork.service")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    """Fails if systemd does not know an option or value of the units."""
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/usr/local/bin/kuryr-server", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    words = ["systemd-analyze", "verify", *(str(path) for path in tmp_path.iterdir())]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What an operator does with the units: restart, repair, stop, reload; and what systemd's journal then shows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import RemoteDisconnected

import pytest

from kuryr_libnetwork.cli.service_client import get
from tests.systemd.machine import until
from tests.systemd.world import SERVICE, SOCKET, World
from tests.world.dockerside import PluginError

OWN_UNITS = (SERVICE, SOCKET)
WATCHDOG_SECONDS = 3
SHORT_WATCHDOG = f"[Service]\nWatchdogSec={WATCHDOG_SECONDS}\n"
WRONG = "worker_threads = many"


def states(world: World) -> list[str]:
    return [world.state(unit) for unit in OWN_UNITS]


def test_restarts_have_no_limit(world: World) -> None:
    """Fails if both units end up failed when an operator tries one setting after another."""
    for _ in range(12):
        world.machine.systemctl("restart", SERVICE)
    assert states(world) == ["active", "active"]
    world.docker.activate()


def test_a_wrong_configuration_is_told_and_a_mended_one_starts(world: World) -> None:
    """Fails if a call of Docker hangs or ends both units for good while kuryr.conf is wrong, or if more than mending it
    is needed for the next call.
    """
    world.configure(WRONG)
    assert world.machine.try_run("systemctl", "restart", SERVICE).returncode != 0
    for _ in range(8):
        with pytest.raises(PluginError, match=r"kuryr-server does not start: .*\[DEFAULT\] worker_threads = many"):
            world.docker.activate()
    assert world.state(SOCKET) == "active"
    world.configure()
    world.docker.activate()
    assert states(world) == ["active", "active"]


def test_a_broken_program_hangs_no_call(world: World) -> None:
    """Fails if Docker waits for ever for a service whose program cannot run, or if a restart does not bring all
    back.
    """
    world.machine.drop_in(SERVICE, "[Service]\nExecStart=\nExecStart=/bin/false\nRestartSec=100ms\n")
    assert world.machine.try_run("systemctl", "restart", SERVICE).returncode != 0
    with pytest.raises((ConnectionError, RemoteDisconnected)):  # the socket that it waits in goes away
        world.docker.activate()
    world.machine.drop_in(SERVICE, "")
    world.machine.systemctl("restart", SERVICE)
    world.docker.activate()
    assert states(world) == ["active", "active"]


def test_a_killed_service_comes_back(world: World) -> None:
    """Fails if a call that arrives while the service is down is lost."""
    world.machine.run("kill", "-KILL", str(world.main_pid()))
    world.docker.activate()
    assert states(world) == ["active", "active"]


def test_a_frozen_service_is_started_anew(world: World) -> None:
    """Fails if a hung service is not restarted, and every ``docker run`` waits until somebody intervenes."""
    world.machine.drop_in(SERVICE, SHORT_WATCHDOG)
    world.machine.systemctl("restart", SERVICE)
    before = world.main_pid()
    world.machine.run("kill", "-STOP", str(before))
    with suppress(RemoteDisconnected):  # at its end the frozen one may take up the call; Docker repeats it then
        world.docker.activate()
    world.docker.activate()
    assert world.main_pid() != before
    assert states(world) == ["active", "active"]


def test_a_call_that_takes_long_is_left_alone(world: World) -> None:
    """Fails if a slow Neutron makes systemd end the service, in the middle of the call."""
    world.machine.drop_in(SERVICE, SHORT_WATCHDOG)
    world.machine.systemctl("restart", SERVICE)
    world.docker.activate()
    before = world.main_pid()
    world.front.open.clear()
    with ThreadPoolExecutor(1) as pool:
        try:
            begin = world.last_fed()
            call = pool.submit(world.docker.network_create)
            for attempt in until():
                with attempt:
                    assert world.last_fed() > begin + 2 * WATCHDOG_SECONDS
            assert not call.done()
        finally:
            world.front.open.set()
        network = call.result()
    world.docker.network_rm(network)
    assert world.main_pid() == before


def test_stopped_for_good(world: World) -> None:
    """Fails if stopping both units does not last, or if stopping the service alone loses Docker's next call."""
    world.machine.systemctl("stop", SERVICE)
    world.docker.activate()
    assert world.state(SERVICE) == "active"
    world.machine.systemctl("stop", SOCKET, SERVICE)
    with pytest.raises(FileNotFoundError):
        world.docker.activate()
    assert states(world) == ["inactive", "inactive"]


def test_a_reload_takes_over_the_log_level(world: World) -> None:
    """Fails if an operator has to restart the service to see more."""
    before = world.main_pid()
    world.configure("debug = true")
    world.machine.systemctl("reload", SERVICE)
    for attempt in until():
        with attempt:
            assert any("debug taken over" in line for line in world.journal())
    assert world.main_pid() == before


def test_a_report_is_in_the_journal(world: World) -> None:
    """Fails if SIGUSR2 ends the service, or shows nothing."""
    before = world.main_pid()
    world.machine.systemctl("kill", "--kill-whom=main", "--signal=USR2", SERVICE)
    for attempt in until():
        with attempt:
            assert any("Guru Meditation" in line for line in world.journal())
    world.docker.activate()
    assert world.main_pid() == before


def test_operators_are_answered(world: World) -> None:
    """Fails if the sandbox has no place for the admin socket, if others than root get in, or if systemctl status does
    not say how the service is.
    """
    world.machine.drop_in(SERVICE, SHORT_WATCHDOG)
    world.machine.systemctl("restart", SERVICE)
    world.docker.activate()
    found = world.machine.run("stat", "--format=%U %a %n", "/run/kuryr", "/run/kuryr/admin.sock").splitlines()
    assert found == ["root 700 /run/kuryr", "root 600 /run/kuryr/admin.sock"]
    admin = world.machine.root / "run/kuryr/admin.sock"
    for attempt in until():
        with attempt:
            assert get(admin, "/healthz") == {"live": True, "ready": True, "reasons": []}
            assert world.machine.show(SERVICE, "StatusText") == "ready"
    world.machine.systemctl("stop", SERVICE)
    assert world.machine.try_run("test", "-e", "/run/kuryr/admin.sock").returncode != 0


def test_warnings_are_found_by_priority(world: World) -> None:
    """Fails if ``journalctl -p warning`` shows no warning, or shows what is none."""
    world.configure("whatever = 1\nenabled_port_drivers = veth\nport_driver = x")
    world.machine.systemctl("restart", SERVICE)
    world.docker.activate()
    warnings, errors = world.journal("--priority=warning"), world.journal("--priority=err")
    assert [line for line in warnings if not line.startswith("WARNING ")] == []
    assert warnings
    assert errors == []
    assert any(line.startswith("INFO ") for line in world.journal())


def test_why_it_failed_is_an_error(world: World) -> None:
    """Fails if ``journalctl -p err`` does not show why the service does not start."""
    world.configure(WRONG)
    assert world.machine.try_run("systemctl", "restart", SERVICE).returncode != 0
    assert any("worker_threads = many" in line for line in world.journal("--priority=err"))


def test_a_log_file_has_dates(world: World) -> None:
    """Fails if the log folder of the unit cannot be used, or a file's lines have no time."""
    world.configure("log_dir = /var/log/kuryr")
    world.machine.systemctl("restart", SERVICE)
    world.docker.activate()
    for attempt in until():
        with attempt:
            lines = world.machine.run("sh", "-c", "cat /var/log/kuryr/*.log").splitlines()
            assert any("Plugin.Activate ok" in line for line in lines)
    assert [line for line in lines if not line.startswith("20")] == []

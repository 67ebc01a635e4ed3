# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""vif_plugging_is_fatal with a real ovn-controller, and without it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.api import Host
from tests.cloud.user import User, leftovers, unique_cidr

WAIT = 6


@pytest.fixture
def strict(h2: Host) -> Iterator[Host]:
    """A host on which containers wait for their port to be ACTIVE."""
    file = h2.paths.kuryr_conf
    text = file.read_text()
    options = f"vif_plugging_is_fatal = true\nvif_plugging_timeout = {WAIT}\n"
    file.write_text(text.replace("[neutron]\n", f"[neutron]\n{options}"))
    h2.kuryr.restart()
    yield h2
    h2.ovn_controller.start()
    file.write_text(text)
    h2.kuryr.restart()


def test_a_dead_ovn_controller_stops_the_container_and_is_named(user: User, strict: Host) -> None:
    """Upstream waits for ever with the container locked in Docker, and leaves everything plugged (kuryr-compat B9)."""
    net = user.network(strict, f"--subnet={unique_cidr()}")
    box = user.run(strict, net)
    assert user.port_of(strict, box, net)["status"] == "ACTIVE"
    before = leftovers(user.lab)
    strict.ovn_controller.kill()
    said = user.refused(strict, "run", "--rm", "--net", net, "busybox", "true")
    assert f"is DOWN, not ACTIVE, {WAIT} s after it was plugged" in said
    assert "on host 'h2', as far as Neutron knows, OVN Controller agent is" in said
    assert leftovers(user.lab) == before

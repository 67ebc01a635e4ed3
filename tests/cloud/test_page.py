# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The page of who is wired where, in a browser, on a host with real containers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.api import Host, Lab
from tests.cloud.user import User, unique_cidr
from tests.page.command import running
from tests.page.viewer import Viewer


@pytest.fixture
def viewer(lab: Lab) -> Iterator[Viewer]:
    with Viewer(lab.paths.cache) as viewer:
        yield viewer


@pytest.fixture
def by_socket(h1: Host, tmp_path: Path) -> Path:
    """h1's kuryr.conf for a command outside of its network namespace: the loopback address there cannot be reached."""
    lines = h1.paths.kuryr_conf.read_text().splitlines()
    conf = tmp_path / "kuryr.conf"
    conf.write_text("\n".join(line for line in lines if not line.startswith("listen = ")))
    return conf


def test_containers_are_on_the_page_while_they_run(viewer: Viewer, user: User, h1: Host, by_socket: Path) -> None:
    """An operator would look for a container that has gone, or not find one that is there."""
    net = user.network(h1, f"--subnet={unique_cidr()}")
    boxes = [user.run(h1, net), user.run(h1, net)]
    ports = [user.port_of(h1, box, net)["id"] for box in boxes]
    with running(by_socket) as page:
        viewer.open(page.address)

        def shown() -> list[str]:
            return [label for label in viewer.items(".wire") if any(port[:8] in label for port in ports)]

        def all_are_well() -> bool:
            return all(any(label.startswith(f"{box}, ") and " ACTIVE" in label for label in shown()) for box in boxes)

        viewer.until(all_are_well)
        for box, port in zip(boxes, ports, strict=True):
            [label] = [label for label in shown() if port[:8] in label]
            assert f"{box}, {user.address(h1, box, net)}, port {port[:8]} ACTIVE, interface tap{port[:11]}" in label
            assert label.endswith("to bridge br-int")
        assert any(label.startswith(f"Network {net}, ") for label in viewer.items(".network"))
        h1.docker("stop", "--time", "1", boxes[0])
        viewer.until(lambda: len(shown()) == 1)
        assert shown()[0].startswith(f"{boxes[1]}, ")
        assert viewer.complaints() == []
    for box in boxes:
        user.rm(h1, box)
    user.network_rm(h1, net)

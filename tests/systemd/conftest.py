# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.systemd.world import World, running


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("host")) as world:
        yield world


@pytest.fixture
def world(host: World) -> World:
    """The host with the service running; each test starts with the shipped configuration and units."""
    host.reset()
    return host

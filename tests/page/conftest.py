# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One browser for all tests; each test has a host of its own, and a page that was opened anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.paths import LabPaths
from tests.page.hosts import World
from tests.page.viewer import Viewer


@pytest.fixture(scope="session")
def viewer() -> Iterator[Viewer]:
    with Viewer(LabPaths("test").cache) as viewer:
        yield viewer


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("w"))

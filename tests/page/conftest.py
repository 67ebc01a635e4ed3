# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One browser for all tests; each test has a host of its own, and a page that was opened anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.paths import LabPaths
from tests.page.hosts import World
from tests.page.viewer import Viewer

DOWNLOAD = 900
"""Seconds for a test, the first of which may have to download the browser."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(DOWNLOAD))


@pytest.fixture(scope="session")
def viewer() -> Iterator[Viewer]:
    with Viewer(LabPaths("test").cache) as viewer:
        yield viewer


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("w"))

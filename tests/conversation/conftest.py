# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

from tests.fakes.neutron import FakeNeutron
from tests.world.dockerside import Docker
from tests.world.plugin import Plugin, running


@pytest.fixture(autouse=True)
def filters(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether Neutron applies filters: ``heeded`` or ``ignored``; KURYR_FILTERS=ignored applies to the whole tier."""
    usual = os.environ.get("KURYR_FILTERS", "heeded")
    monkeypatch.setattr(FakeNeutron, "ignores_filters", getattr(request, "param", usual) == "ignored")


@pytest.fixture(scope="module")
def uncounted() -> Iterator[None]:
    """Without coverage, which takes as long as the tests: for thousands of trials that cover the same lines."""
    counting = coverage.Coverage.current()
    if counting is None:
        yield
        return
    counting.stop()
    yield
    counting.start()


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    with running(tmp_path) as plugin:
        yield plugin


@pytest.fixture(params=[20, 26, 27, 28, 29])
def docker(request: pytest.FixtureRequest, plugin: Plugin) -> Docker:
    """Engines of each generation, whose calls differ (docs/notes/docker-plugin.md, "What differs by version")."""
    version: int = request.param
    docker = plugin.docker(version)
    docker.activate()
    return docker

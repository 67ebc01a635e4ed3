# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kuryr_libnetwork.neutron.client import NeutronClient
from tests.adapters.neutron_client import without_keystone
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron_http import NeutronFront


@pytest.fixture
def front() -> Iterator[NeutronFront]:
    with NeutronFront(FakeNeutron()) as front:
        yield front


@pytest.fixture
def client(front: NeutronFront) -> NeutronClient:
    return without_keystone(front.url)

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.host import FakeLinks
from tests.linux.inside import Inside
from tests.linux.namespace import namespace


@pytest.fixture(params=["kernel", "fake"])
def links(request: pytest.FixtureRequest) -> Iterator[Inside | FakeLinks]:
    if request.param == "fake":
        yield FakeLinks()
        return
    with namespace() as inside:
        yield Inside(inside)

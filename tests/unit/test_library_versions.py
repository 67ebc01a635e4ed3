# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Each library has a lowest and a highest version, and the tests run with one in between."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from lab.lowest import bounds


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


@pytest.mark.parametrize("name", bounds())
def test_the_installed_version_is_within_the_bounds(name: str) -> None:
    """A release that nobody has tried would be installed, or one be forbidden that all tests run with."""
    lowest, beyond = bounds()[name]
    assert numbers(lowest) <= numbers(version(name)) < numbers(beyond)

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

IN_BOTH = {"test_adoption", "test_reconciler", "test_stories", "test_subnets", "test_tenants", "test_trunk_stories"}
"""The stories of who gets what and what is removed: these run with ignored filters, too."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] in IN_BOTH:
        metafunc.parametrize("filters", ["heeded", "ignored"], indirect=True, ids=["", "filters-ignored"])

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Debian is told about a version; tests/packages builds and installs the packages."""

from __future__ import annotations

import subprocess
from itertools import pairwise

import pytest

from lab.errors import LabError
from lab.release import debian, roots

IN_ORDER = ["19.0.0a1", "19.0.0b2", "19.0.0rc1", "19.0.0", "19.0.0.post1", "19.0.1"]


def test_versions_sort_as_they_do_for_python() -> None:
    """Fails if a release does not replace its candidate, or a newer Debian's package the older one's."""
    versions = [debian.debian_version(version, "12") for version in IN_ORDER]
    versions += [debian.debian_version("19.0.1", "13"), debian.debian_version("19.0.1", "12", revision=2)]
    assert debian.debian_version("19.0.0.dev0", "12") == "19.0.0~dev0-1+deb12"
    for lower, higher in pairwise(versions):
        subprocess.run(["dpkg", "--compare-versions", lower, "lt", higher], check=True)


def test_the_changelog_has_the_date_of_the_commit() -> None:
    text = debian.changelog("19.0.0-1+deb13", "trixie", "Somebody <somebody@example.org>", 1767225600)
    assert text.startswith("kuryr-libnetwork (19.0.0-1+deb13) trixie; urgency=medium\n")
    assert text.endswith(" -- Somebody <somebody@example.org>  Thu, 01 Jan 2026 00:00:00 +0000\n")


def test_a_release_that_there_is_not() -> None:
    with pytest.raises(LabError, match="packages for Debian bookworm and trixie, and not for sid"):
        roots.check("sid")

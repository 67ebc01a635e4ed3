# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker Compose of a Debian release, with the C library that it needs, unpacked below `.dev/cache`."""

from pathlib import Path

from lab.sriov import packages as sriov_packages

PACKAGE = "docker-compose"
# The first release whose Compose passes the options of a service's networks on (docs/options.md).
RELEASE = "forky"


def command(cache: Path, release: str = RELEASE) -> list[str]:
    tree = cache / f"compose-{release}"
    with sriov_packages.made_once(tree, f"downloading Docker Compose of Debian {release}") as draft:
        if draft is not None:
            sriov_packages.archive(cache, release).unpack((PACKAGE,), draft)
    return sriov_packages.command_of(tree, PACKAGE)

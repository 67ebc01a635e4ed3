# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Ansible with its collection for Docker, below `.dev/cache`."""

import zipfile
from pathlib import Path

from lab import venvs
from lab.process import run
from lab.sriov import packages as sriov_packages

NAME = "ansible"
WANTS = ("ansible-core", "docker", "requests")
# The package `ansible` has a hundred collections; these two are a hundredth of it.
_COLLECTIONS = ("community/docker/", "community/library_inventory_filtering_v1/")


def environment(cache: Path) -> Path:
    return venvs.environment(cache, NAME, WANTS)


def collections(cache: Path) -> Path:
    """What `ANSIBLE_COLLECTIONS_PATH` names."""
    folder = environment(cache)
    target = folder / "collections"
    with sriov_packages.made_once(target, "downloading Ansible's collection for Docker") as draft:
        if draft is not None:
            pip = (str(venvs.python(folder)), "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
            pins = ("--constraint", str(venvs.PINS / f"{NAME}.txt"))
            run([*pip, *pins, "--no-deps", "--only-binary", ":all:", "--dest", str(draft), NAME], timeout=venvs.LONGEST)
            (wheel,) = draft.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                wanted = tuple(f"ansible_collections/{each}" for each in _COLLECTIONS)
                archive.extractall(draft, [name for name in archive.namelist() if name.startswith(wanted)])
            wheel.unlink()
    return target

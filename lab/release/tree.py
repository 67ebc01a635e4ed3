# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A copy of the tree that depends on nothing but its content: not on the umask, nor on files that git does not know."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab.errors import LabError
from lab.paths import REPO
from lab.process import run

MANUAL = Path(".dev", "docs", "man")
"""The manual pages, which git does not know, where `./dev docs` makes them. They are taken along if they are there."""


def files(repo: Path = REPO) -> dict[Path, Path]:
    """What git knows, or would take up, and the manual: from the place in the copy to that in the tree."""
    listed = _git(repo, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    known = {Path(name): Path(name) for name in listed.split("\0") if name}
    manual = {Path("man", page.name): page.relative_to(repo) for page in (repo / MANUAL).glob("*.[1-9]")}
    found = {**known, **manual}
    return {name: found[name] for name in sorted(found) if os.path.lexists(repo / found[name])}


def copy(target: Path, repo: Path = REPO) -> Path:
    for name, where in files(repo).items():
        source, own = repo / where, target / name
        own.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, own, follow_symlinks=False)
        if not own.is_symlink():
            own.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
    return target


def epoch(repo: Path = REPO) -> int:
    """When the last commit was made: the date of all files that are built from it."""
    return int(_git(repo, "log", "-1", "--format=%ct"))


def check_releasable(version: str, repo: Path = REPO) -> None:
    """Raises `LabError` unless the tree is exactly what the tag of this version names."""
    changed = _git(repo, "status", "--porcelain").splitlines()
    if changed:
        what = f"{changed[0][3:]} and {len(changed) - 1} more" if len(changed) > 1 else changed[0][3:]
        msg = f"the tree has changes that are not committed ({what}): commit them, or build with --snapshot"
        raise LabError(msg)
    tags = _git(repo, "tag", "--points-at", "HEAD").split()
    if version not in tags:
        msg = (
            f"the commit has no tag {version}, which is the version in pyproject.toml: git tag {version}, or build "
            "with --snapshot"
        )
        raise LabError(msg)


def _git(repo: Path, *words: str) -> str:
    return run(["git", "-C", str(repo), *words])

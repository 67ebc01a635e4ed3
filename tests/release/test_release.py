# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""When a release may be made, and which versions of the libraries it names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.lowest import bounds
from lab.release import constraints, tree

OLDEST_PYTHON = (3, 11)
OWNER = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")


def git(repo: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(repo), *OWNER, *words], check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "one").write_text("1")
    git(tmp_path, "add", "one")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


def test_a_tagged_and_clean_tree_is_released(repo: Path) -> None:
    git(repo, "tag", "19.0.0")
    tree.check_releasable("19.0.0", repo)


def test_an_untagged_tree_is_not(repo: Path) -> None:
    """Fails if two different trees may be released under one version."""
    git(repo, "tag", "18.0.0")
    with pytest.raises(LabError, match=r"no tag 19\.0\.0.*git tag 19\.0\.0.*--snapshot"):
        tree.check_releasable("19.0.0", repo)


def test_a_changed_tree_is_not(repo: Path) -> None:
    """Fails if a release has what nobody can find in git."""
    git(repo, "tag", "19.0.0")
    (repo / "two").write_text("2")
    with pytest.raises(LabError, match=r"not committed \(two\).*--snapshot"):
        tree.check_releasable("19.0.0", repo)


def test_a_copy_has_what_git_would_take_up_and_what_is_generated(
    repo: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Fails if a release has caches of this machine, or lacks the manual pages."""
    (repo / ".gitignore").write_text("*.pyc\n/.dev/\n")
    (repo / "two").write_text("2")
    (repo / "two").chmod(0o700)
    (repo / "left.pyc").write_text("")
    (repo / tree.MANUAL).mkdir(parents=True)
    (repo / tree.MANUAL / "kuryr.8").write_text("")
    target = tree.copy(tmp_path_factory.mktemp("copy"), repo)
    found = {str(path.relative_to(target)): path.stat().st_mode & 0o777 for path in target.rglob("*") if path.is_file()}
    assert found == {".gitignore": 0o644, "man/kuryr.8": 0o644, "one": 0o644, "two": 0o755}


def test_constraints_are_the_versions_that_these_tests_run_with() -> None:
    """Fails if constraints.txt names versions that were not tested; ./dev constraints writes it."""
    installed = constraints.installed((*bounds(), *constraints.BUILDERS))
    written = constraints.written()
    assert installed == {name: written.get(name) for name in installed}
    # A library may need another one on some versions of Python only.
    if sys.version_info[:2] == OLDEST_PYTHON:
        assert sorted(written.keys() - installed.keys()) == []


def test_constraints_have_every_dependency() -> None:
    assert {constraints.normal(name) for name in bounds()} <= constraints.written().keys()

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The journal's folder when somebody else was there before the service."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kuryr_libnetwork.errors import JournalError
from kuryr_libnetwork.host.journal import SqliteJournal
from kuryr_libnetwork.host.journal_view import look, service_runs
from kuryr_libnetwork.model.records import IntentRecord

FILES = ("kuryr.db", "kuryr.db.lock", "kuryr.db.reserve", "kuryr.db-wal", "kuryr.db-shm", "kuryr.db-journal")
NOBODY = 65534


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


def use(state: Path) -> None:
    """Everything that creates the journal's files."""
    journal = SqliteJournal(state / "kuryr.db")
    try:
        journal.intents.put(IntentRecord(token="t", resource="ports", created_at=0))
    finally:
        journal.close()


@pytest.mark.parametrize("kind", ["symbolic", "hard", "dangling"])
@pytest.mark.parametrize("name", FILES)
def test_no_link_is_followed(state: Path, tmp_path: Path, name: str, kind: str) -> None:
    """The service, as root, would empty, overwrite or create a file of somebody's choice, or change its mode."""
    target = tmp_path / "target"
    if kind != "dangling":
        target.write_text("precious")
        target.chmod(0o644)
    if kind == "hard":
        os.link(target, state / name)
    else:
        (state / name).symlink_to(target)
    with pytest.raises(
        JournalError, match=rf"kuryr\.db is not used: {state}/{name} (is a symbolic|has another)"
    ) as told:
        use(state)
    assert "\n" not in str(told.value)
    assert target.exists() is (kind != "dangling")
    assert kind == "dangling" or (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("precious", 0o644)


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(state: Path, mode: int) -> None:
    """Another user could tell the service at its next start which ports it has to delete."""
    state.chmod(mode)
    with pytest.raises(JournalError, match=f"may be written to by others .*: chmod go-w {state}"):
        use(state)
    assert list(state.iterdir()) == []


def test_a_folder_of_somebody_else_is_refused(state: Path) -> None:
    """Its owner could do the same."""
    if os.geteuid():
        pytest.skip("giving files to others needs root")
    os.chown(state, NOBODY, 0)
    with pytest.raises(JournalError, match=f"{state} belongs to nobody"):
        use(state)
    with pytest.raises(JournalError, match=f"{state} belongs to nobody"):
        look(state / "kuryr.db")
    with pytest.raises(JournalError, match=f"{state} belongs to nobody"):
        service_runs(state / "kuryr.db")


def test_a_journal_that_was_refused_is_free_again(state: Path) -> None:
    """The next start, after the link is gone, would find the journal in use."""
    (state / "kuryr.db-wal").symlink_to("/dev/null")
    with pytest.raises(JournalError):
        use(state)
    (state / "kuryr.db-wal").unlink()
    use(state)


@pytest.mark.parametrize("name", ["kuryr.db", "kuryr.db-wal", "kuryr.db-shm"])
def test_the_operators_look_follows_no_link(state: Path, tmp_path: Path, name: str) -> None:
    """The operator's command, as root, would open a file of somebody else's choice, or make it."""
    use(state)
    target = tmp_path / "target"
    (state / name).unlink(missing_ok=True)
    (state / name).symlink_to(target)
    with pytest.raises(JournalError, match=f"{state}/{name} is a symbolic link"):
        look(state / "kuryr.db")
    assert not target.exists()


def test_the_operators_look_at_the_lock_follows_no_link(state: Path, tmp_path: Path) -> None:
    """A pipe or a device behind the link would be opened."""
    (state / "kuryr.db.lock").symlink_to(tmp_path)
    with pytest.raises(JournalError, match="lock is a symbolic link"):
        service_runs(state / "kuryr.db")

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The journal's file when things go wrong: killed processes, full disks, damaged files, two services."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuryr_libnetwork.errors import JournalError
from kuryr_libnetwork.host.journal import VERSION, SqliteJournal
from kuryr_libnetwork.model.records import IntentRecord

WRITER = """
import sys
from pathlib import Path
from kuryr_libnetwork.host.journal import SqliteJournal
from kuryr_libnetwork.model.records import IntentRecord

journal = SqliteJournal(Path(sys.argv[1]))
turn = 0
while True:
    with journal.transaction():
        for half in ("a", "b"):
            journal.intents.put(IntentRecord(token=f"{turn}{half}", resource="ports", created_at=turn))
    print(turn, flush=True)
    turn += 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "kuryr.db"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    if os.geteuid():
        pytest.skip("mounting a file system needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "kuryr-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def intent(token: str, size: int = 0) -> IntentRecord:
    return IntentRecord(token=token + "x" * size, resource="ports", created_at=0)


def run_writer(path: Path, turns: int) -> int:
    """Write until ``turns`` transactions are reported, kill -9, and answer the last one reported."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(turns):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        rest = [line for line in writer.stdout if line.endswith("\n")]
        return int(rest[-1]) if rest else turns - 1


@pytest.mark.parametrize("turns", [1, 5, 40])
def test_a_killed_service_leaves_whole_transactions(path: Path, turns: int) -> None:
    """After kill -9 an endpoint would lack its lease, or what Docker was told was stored would be gone."""
    last = run_writer(path, turns)
    journal = SqliteJournal(path)
    tokens = [record.token for record in journal.intents.all()]
    journal.close()
    assert tokens == [f"{turn}{half}" for turn in range(len(tokens) // 2) for half in "ab"]
    assert len(tokens) // 2 >= last + 1


def test_a_full_disk_is_said_and_survived(small_disk: Path) -> None:
    """Docker would get a traceback, or the service would have to be restarted once there is room again."""
    path = small_disk / "kuryr.db"
    journal = SqliteJournal(path)
    journal.intents.put(intent("before"))
    with pytest.raises(JournalError, match=f"the journal {path} cannot be written: the disk is full"):
        fill(journal)
    held = journal.intents.all()
    with pytest.raises(JournalError, match="disk is full"), journal.transaction():
        journal.intents.put(intent("lost", 200_000))
    assert journal.intents.all() == held
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    journal.intents.put(intent("after"))
    assert journal.intents.all() == [*held, intent("after")]
    journal.close()


def fill(journal: SqliteJournal) -> None:
    for number in range(1000):
        journal.intents.put(intent(str(number), 20_000))


def take_the_rest(folder: Path) -> None:
    """What another program does that fills the disk, too."""
    with contextlib.suppress(OSError), (folder / "other").open("ab", buffering=0) as other:
        while True:
            other.write(bytes(4096))


def test_known_records_can_be_changed_and_dropped_on_a_full_disk(small_disk: Path) -> None:
    """On a full disk no container could be removed any more, though every DeleteEndpoint frees room."""
    journal = SqliteJournal(small_disk / "kuryr.db")
    with pytest.raises(JournalError):
        fill(journal)
    for record in journal.intents.all():
        take_the_rest(small_disk)
        journal.intents.put(IntentRecord(token=record.token, resource="ports", created_at=1))
        take_the_rest(small_disk)
        journal.intents.drop(record.token)
    assert journal.intents.all() == []
    with pytest.raises(JournalError, match="cannot take new records"):
        journal.intents.put(intent("new"))
    journal.close()


def test_the_service_starts_on_a_full_disk(small_disk: Path) -> None:
    """A service that restarts on a full disk could not clean up what would free it."""
    path = small_disk / "kuryr.db"
    journal = SqliteJournal(path)
    journal.intents.put(intent("before"))
    journal.close()
    take_the_rest(small_disk)
    again = SqliteJournal(path)
    again.intents.drop("before")
    assert again.intents.all() == []
    again.close()


def test_two_services_never_share_a_journal(path: Path) -> None:
    """Two services would undo each other's work as leftovers."""
    first = SqliteJournal(path)
    with pytest.raises(JournalError, match=f"{path} is in use by another service .process {os.getpid()}."):
        SqliteJournal(path)
    first.close()
    SqliteJournal(path).close()


def test_a_newer_journal_is_refused(path: Path) -> None:
    """After a downgrade the service would read records that mean something else."""
    SqliteJournal(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(JournalError, match="written by a newer release"):
        SqliteJournal(path)


@pytest.mark.parametrize("damage", [b"no database at all" * 500, b"SQLite format 3\0" + b"\xff" * 8192])
def test_a_damaged_file_says_what_to_do(path: Path, damage: bytes) -> None:
    """The operator would not know that the file may be deleted."""
    path.parent.mkdir()
    path.write_bytes(damage)
    with pytest.raises(JournalError, match=f"{path} is damaged: stop the service and delete the file"):
        SqliteJournal(path)
    path.unlink()
    SqliteJournal(path).close()


def test_a_record_nobody_can_read_says_what_to_do(path: Path) -> None:
    """A record written by another program would end a plugin call with a traceback."""
    journal = SqliteJournal(path)
    journal.intents.put(intent("t"))
    journal.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE intents SET record = '{}'")
    connection.close()
    with pytest.raises(JournalError, match=r"cannot be read .*delete the file"):
        SqliteJournal(path)


def test_only_the_service_can_read_its_files(path: Path) -> None:
    """Every user of the host could read which ports and addresses containers have."""
    journal = SqliteJournal(path)
    journal.intents.put(intent("t"))
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    journal.close()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A wrong state_path would end the start with a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"cannot be used: .*Not a directory|cannot be used: .*File exists"):
        SqliteJournal(tmp_path / "file" / "kuryr.db")


def test_a_closed_journal_says_so(path: Path) -> None:
    """A call that outlives the shutdown would end with a traceback."""
    journal = SqliteJournal(path)
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.intents.all()

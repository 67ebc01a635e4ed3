# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The operator's look at the journal while the service has it."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from kuryr_libnetwork.errors import JournalError
from kuryr_libnetwork.host.journal import SqliteJournal
from kuryr_libnetwork.host.journal_view import JournalView, look, service_runs
from kuryr_libnetwork.model.records import NetworkRecord
from kuryr_libnetwork.model.sriov import DeviceLease
from tests.world.threads import Call, at_once

LEASE = DeviceLease(
    pci_address="0000:01:10.0",
    pf_address="0000:01:00.0",
    index=0,
    port_id="p",
    vnic_type="direct",
    state="leased",
    generation="g",
)


def test_no_journal_yet(tmp_path: Path) -> None:
    """``kuryr vf list`` would fail on a host where the service never ran, or make a journal there."""
    assert look(tmp_path / "kuryr.db") == JournalView()
    assert not service_runs(tmp_path / "kuryr.db")
    assert list(tmp_path.iterdir()) == []


def test_beside_the_running_service(tmp_path: Path) -> None:
    """The lists would show an old state, or fail, while the service runs, or stop it from writing."""
    journal = SqliteJournal(tmp_path / "kuryr.db")
    journal.devices.put(LEASE)
    assert look(tmp_path / "kuryr.db").devices == (LEASE,)
    with journal.transaction():
        journal.devices.drop(LEASE.pci_address)
        assert look(tmp_path / "kuryr.db").devices == (LEASE,)
    assert look(tmp_path / "kuryr.db").devices == ()
    assert service_runs(tmp_path / "kuryr.db")
    journal.close()


def test_a_look_keeps_no_service_from_its_start(tmp_path: Path) -> None:
    """``kuryr vf list`` in the moment of a start would end the service: the journal is in use."""
    SqliteJournal(tmp_path / "kuryr.db").close()
    with (tmp_path / "kuryr.db.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        start = Call(lambda: SqliteJournal(tmp_path / "kuryr.db"))
        start.join(0.2)
        assert start.running
        fcntl.flock(lock, fcntl.LOCK_UN)
        journal = start.result()
        assert service_runs(tmp_path / "kuryr.db")
        journal.close()


def test_many_looks_and_many_starts(tmp_path: Path) -> None:
    """Services that start at the same time would keep each other away, or two of them have the journal."""

    def begin() -> SqliteJournal | None:
        with suppress(JournalError):
            return SqliteJournal(tmp_path / "kuryr.db")
        return None

    SqliteJournal(tmp_path / "kuryr.db").close()
    look_often = partial(_repeat, partial(service_runs, tmp_path / "kuryr.db"))
    works: list[Callable[[], SqliteJournal | None]] = [look_often, look_often, begin, begin, begin]
    held = [found for found in (call.result() for call in at_once(works)) if found is not None]
    assert len(held) == 1
    held[0].close()


def _repeat(work: Callable[[], object]) -> None:
    for _ in range(2000):
        work()


def test_after_the_service(tmp_path: Path) -> None:
    """A stopped service's leases would not be shown, or the look would change its files."""
    journal = SqliteJournal(tmp_path / "kuryr.db")
    journal.devices.put(LEASE)
    journal.close()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert look(tmp_path / "kuryr.db").devices == (LEASE,)
    assert not service_runs(tmp_path / "kuryr.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_docker_networks(tmp_path: Path) -> None:
    """``kuryr-status`` would warn of networks that the service knows."""
    record = NetworkRecord(docker_id="d", neutron_id="n", made=False, mtu=1442, subnets=())
    journal = SqliteJournal(tmp_path / "kuryr.db")
    journal.networks.put(record)
    assert look(tmp_path / "kuryr.db").networks == (record,)
    journal.close()


def test_a_journal_of_an_older_release(tmp_path: Path) -> None:
    """The lists would fail until the service of this release has run once."""
    with sqlite3.connect(tmp_path / "kuryr.db") as connection:
        connection.execute("CREATE TABLE endpoints (key TEXT NOT NULL UNIQUE, record TEXT NOT NULL)")
    connection.close()
    assert look(tmp_path / "kuryr.db") == JournalView()


def test_a_damaged_journal(tmp_path: Path) -> None:
    """The operator would read a traceback instead of the name of the file."""
    (tmp_path / "kuryr.db").write_bytes(b"no database" * 100)
    with pytest.raises(JournalError, match=r"kuryr\.db cannot be looked at: file is not a database"):
        look(tmp_path / "kuryr.db")


def test_a_record_that_is_none(tmp_path: Path) -> None:
    """The operator would read a traceback where a record is damaged."""
    journal = SqliteJournal(tmp_path / "kuryr.db")
    journal.close()
    with sqlite3.connect(tmp_path / "kuryr.db") as connection:
        connection.execute("INSERT INTO devices VALUES ('x', '{')")
    connection.close()
    with pytest.raises(JournalError, match="holds a record that cannot be read"):
        look(tmp_path / "kuryr.db")

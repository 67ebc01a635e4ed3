# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in a row of the journal's file, the service starts with it or says in one line where it stands and
what to do.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest

from kuryr_libnetwork.errors import JournalError
from kuryr_libnetwork.host.journal import TABLES, SqliteJournal, _Store
from kuryr_libnetwork.host.journal_view import look
from tests.adapters.test_journal_contract import DEVICE, ENDPOINT, INTENT, LEASE, NETWORK, POOL, SPARE

LONG = "9" * 5000
WRONG: list[object] = [{"x": 1}, [[[]]], -1.5, LONG, "no such state", None, True]
RECORDS = {
    "pools": ("pool_id", POOL),
    "networks": ("docker_id", NETWORK),
    "leases": ("port_id", LEASE),
    "endpoints": ("endpoint_id", ENDPOINT),
    "intents": ("token", INTENT),
    "devices": ("pci_address", DEVICE),
    "spares": ("port_id", SPARE),
}
VIEWED = ("networks", "endpoints", "devices")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with one record of each kind."""
    path = tmp_path / "kuryr.db"
    journal = SqliteJournal(path)
    for name, (_, record) in RECORDS.items():
        getattr(journal, name).put(record)
    journal.close()
    return path


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def loosen(path: Path, table: str) -> None:
    """A table as another program could have created it: without types and constraints."""
    change(path, f"ALTER TABLE {table} RENAME TO old")
    change(path, f"CREATE TABLE {table} (key UNIQUE, record)")
    change(path, f"INSERT INTO {table} SELECT * FROM old")
    change(path, "DROP TABLE old")


def start(path: Path) -> str:
    """The error with which the service does not start, or "" where it does."""
    try:
        SqliteJournal(path).close()
    except JournalError as error:
        return str(error)
    return ""


def refusal(path: Path) -> str:
    """The error with which the service does not start; the file is free again after it."""
    texts = [start(path), start(path)]
    assert texts[0] == texts[1]
    assert texts[0].isprintable()
    assert len(texts[0]) < 700
    return texts[0]


def test_all_tables_are_here() -> None:
    """A new table whose rows nobody reads at the start would go untested."""
    assert tuple(RECORDS) == TABLES


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (None, "it is nothing, not text"),
        (b'{"token": "t"}', "it is bytes, not text"),
        (5, "it is a number, not text"),
        (5.5, "it is a number, not text"),
        ("", "Input data was truncated"),
        ("{", "Input data was truncated"),
        ("null", "Expected `object`, got `null`"),
        ("[]", "Expected `object`, got `array`"),
        ("{}", "Object missing required field"),
        ('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", "maximum recursion depth exceeded"),
        ("[" * 100_000, "Expected `object`, got `array`"),
        (b"\xff\xfe".decode("latin-1"), "JSON is malformed"),
        ('{"x": "\\ud800\\ud800"}', "JSON is malformed"),
    ],
    ids=lambda each: str(each)[:24],
)
@pytest.mark.parametrize("table", TABLES)
def test_what_is_no_record(path: Path, table: str, record: object, why: str) -> None:
    """Each call that reads the row would fail, or what it stood for would be treated as nobody's."""
    loosen(path, table)
    key, known = RECORDS[table]
    change(path, f"UPDATE {table} SET record = ?", record)
    text = refusal(path)
    assert text.startswith(
        f"the journal {path} holds a record that cannot be read (table {table}, key {getattr(known, key)[:40]}"
    )
    assert f": {why}" in text
    assert text.endswith("stop the service and delete the file, it is rebuilt from Neutron")
    if table in VIEWED:
        with pytest.raises(JournalError, match=f"table {table}, key"):
            look(path)


@pytest.mark.parametrize("table", TABLES)
def test_text_in_no_encoding(path: Path, table: str) -> None:
    """SQLite's own error does not say where it is."""
    change(path, f"UPDATE {table} SET record = CAST(x'7b22fffe7d' AS TEXT)")
    assert f"(table {table}, key " in refusal(path)


@pytest.mark.parametrize("table", TABLES)
def test_a_value_of_another_type_anywhere_in_a_record(path: Path, table: str) -> None:
    """A record written differently by an older or newer release, or by hand, would be misread."""
    key, known = RECORDS[table]
    whole: dict[str, object] = json.loads(msgspec.json.encode(known))
    refused = 0
    for name in whole:
        for wrong in WRONG:
            change(path, f"UPDATE {table} SET record = ?", json.dumps(whole | {name: wrong}).replace(f'"{LONG}"', LONG))
            text = start(path)
            refused += text != ""
            assert text == "" or f"(table {table}, key {getattr(known, key)[:40]}" in text
            assert text == "" or text.isprintable()
    assert refused >= len(whole) * (len(WRONG) - 2)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("key", ["somebody else's", 7, b"\x00\xff", None])
def test_a_record_under_the_key_of_another(path: Path, table: str, key: object) -> None:
    """A port's lease that is found for another port, but never under its own key, could neither be changed nor
    dropped.
    """
    loosen(path, table)
    change(path, f"UPDATE {table} SET key = ?", key)
    assert f"(table {table}, key " in refusal(path)
    assert ": it is that of " in refusal(path)


def test_members_that_a_later_release_added_are_no_obstacle(path: Path) -> None:
    """Going back by one release would need another file although the format is the same."""
    change(path, "UPDATE intents SET record = json_set(record, '$.later', json('[1]'))")
    with closing(SqliteJournal(path)) as journal:
        assert journal.intents.all() == [INTENT]


@pytest.mark.parametrize("statement", ["DROP TABLE leases", "ALTER TABLE leases RENAME COLUMN record TO what"])
def test_tables_that_are_not_ours(path: Path, statement: str) -> None:
    """SQLite's words alone do not say what to do."""
    change(path, statement)
    text = refusal(path)
    assert text.startswith(f"the journal {path} cannot be used: no such ")
    assert "delete the file, it is rebuilt from Neutron" in text


def test_a_row_that_changes_under_the_running_service(path: Path) -> None:
    """Who writes to the file behind the service's back would end its calls: what the service knows counts until it
    ends.
    """
    with closing(SqliteJournal(path)) as journal:
        change(path, "UPDATE leases SET record = '{'")
        change(path, "DELETE FROM pools")
        assert journal.leases.get("port") == LEASE
        journal.leases.put(LEASE)
        assert journal.pools.all() == [POOL]
    with closing(SqliteJournal(path)) as journal:
        assert journal.leases.all() == [LEASE]


def test_a_look_reads_nothing_from_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call of Docker looks at all records of a table, and would take the longer the more containers there are."""
    asked: list[str] = []
    run = _Store.run

    def counting(store: _Store, statement: str, *values: str) -> list[tuple[str, ...]]:
        asked.append(statement)
        return run(store, statement, *values)

    with closing(SqliteJournal(path)) as journal:
        monkeypatch.setattr(_Store, "run", counting)
        for _ in range(3):
            assert (journal.leases.get("port"), journal.pools.all()) == (LEASE, [POOL])
        assert asked == []
        journal.leases.put(LEASE)
        assert len(asked) == 1


def test_what_a_transaction_took_back_is_not_kept_in_memory(path: Path) -> None:
    """The service would go on with what is not in the file, until it starts again without it."""
    other = msgspec.structs.replace(LEASE, port_id="other")
    with closing(SqliteJournal(path)) as journal:
        with suppress(ZeroDivisionError), journal.transaction():
            journal.leases.put(other)
            journal.pools.drop(POOL.pool_id)
            with suppress(KeyError), journal.transaction():
                journal.leases.drop("port")
                raise KeyError
            assert journal.leases.all() == [LEASE, other]
            assert journal.pools.all() == []
            raise ZeroDivisionError
        assert (journal.leases.all(), journal.pools.all()) == ([LEASE], [POOL])

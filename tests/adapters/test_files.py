# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Folders and files that an attacker prepared so that the service opens or writes what he wants."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kuryr_libnetwork.errors import UnsafePath
from kuryr_libnetwork.host.files import Folder, claim_place, write_whole

NOBODY = 65534


@pytest.fixture(autouse=True)
def as_root() -> None:
    if os.geteuid():
        pytest.skip("giving files to others needs root")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


# -- folders -----------------------------------------------------------------------------------------------------


def test_a_missing_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """Other users could read the service's state, or put files there before the service does."""
    with Folder(tmp_path / "a" / "b"):
        pass
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")] == [0o755, 0o700]


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777, 0o720])
def test_a_folder_that_others_may_write_to_is_refused(state: Path, mode: int) -> None:
    """Any member of the group, or any user, could replace the files of the service."""
    state.chmod(mode)
    with pytest.raises(UnsafePath, match=rf"{state} may be written to by others .*: chmod go-w {state}$"):
        Folder(state)


def test_a_folder_of_somebody_else_is_refused(state: Path) -> None:
    """Its owner could replace the files of the service at any time."""
    os.chown(state, NOBODY, 0)
    with pytest.raises(UnsafePath, match=rf"{state} belongs to nobody, .*: chown root {state}$"):
        Folder(state)


def test_an_owner_without_a_name_is_named_by_number(state: Path) -> None:
    """The error would be a traceback where the owner has no account."""
    os.chown(state, 54321, 0)
    with pytest.raises(UnsafePath, match="belongs to user 54321"):
        Folder(state)


def test_a_link_in_the_place_of_the_folder_is_refused(state: Path, tmp_path: Path) -> None:
    """Whoever put it there would choose the folder."""
    (tmp_path / "link").symlink_to(state)
    with pytest.raises(UnsafePath, match="link is a symbolic link"):
        Folder(tmp_path / "link")


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_folder_above_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    """Another user could move the folder away and put one of his own in its place."""
    open_to_all = tmp_path / "open"
    (open_to_all / "state").mkdir(parents=True)
    open_to_all.chmod(mode)
    with pytest.raises(UnsafePath, match=f"{open_to_all} may be written to by others"):
        Folder(open_to_all / "state")


def test_a_folder_above_as_tmp_is_no_danger(tmp_path: Path) -> None:
    """A folder that the sticky bit protects would be refused, and with it every test and many a lab."""
    sticky = tmp_path / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    with Folder(sticky / "state"):
        assert (sticky / "state").is_dir()


def test_a_link_of_root_above_is_followed(state: Path, tmp_path: Path) -> None:
    """Hosts where root has moved /var to another disk could not start the service."""
    (tmp_path / "var").symlink_to(tmp_path)
    with Folder(tmp_path / "var" / "state") as folder:
        assert os.fstat(folder.fd).st_ino == state.stat().st_ino


def test_a_link_of_somebody_else_above_is_refused(tmp_path: Path, state: Path) -> None:
    """In a folder such as /tmp anybody can make one, and would choose where the service's state is."""
    link = tmp_path / "theirs"
    link.symlink_to(tmp_path)
    os.chown(link, NOBODY, 0, follow_symlinks=False)
    with pytest.raises(UnsafePath, match=f"{link} belongs to nobody"):
        Folder(link / "state")


def test_links_in_a_circle_are_one_line(tmp_path: Path) -> None:
    """The start would hang or end in a traceback."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UnsafePath, match="too many symbolic links"):
        Folder(tmp_path / "a" / "state")


def test_nothing_is_made_where_others_may_write(tmp_path: Path) -> None:
    """The service would leave folders in a place that it then refuses."""
    tmp_path.chmod(0o777)
    with pytest.raises(UnsafePath, match=f"{tmp_path} may be written to by others"):
        Folder(tmp_path / "a" / "state")
    assert list(tmp_path.iterdir()) == []


# -- files -------------------------------------------------------------------------------------------------------


def test_a_file_is_made_for_its_owner_only(state: Path) -> None:
    """Other users could read what the service remembers."""
    before = os.umask(0)
    try:
        with Folder(state) as folder:
            os.close(folder.open("new", os.O_RDWR | os.O_CREAT))
    finally:
        os.umask(before)
    assert stat.S_IMODE((state / "new").stat().st_mode) == 0o600


@pytest.mark.parametrize("flags", [os.O_RDWR | os.O_CREAT, os.O_RDONLY])
def test_no_link_is_followed(state: Path, tmp_path: Path, flags: int) -> None:
    """A link planted while the folder was somebody else's would have its target emptied or its mode changed."""
    target = tmp_path / "target"
    target.write_text("precious")
    target.chmod(0o644)
    (state / "file").symlink_to(target)
    with Folder(state) as folder, pytest.raises(UnsafePath, match=f"{state}/file is a symbolic link; remove it"):
        folder.open("file", flags)
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("precious", 0o644)


def test_no_second_name_of_a_file_is_opened(state: Path, tmp_path: Path) -> None:
    """A hard link would have the same effect as a symbolic one."""
    (tmp_path / "target").write_text("precious")
    os.link(tmp_path / "target", state / "file")
    with Folder(state) as folder, pytest.raises(UnsafePath, match=f"{state}/file has another name"):
        folder.open("file", os.O_RDWR)


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_no_file_is_refused(state: Path, kind: str) -> None:
    """Opening a pipe in the place of a file would wait for ever."""
    if kind == "fifo":
        os.mkfifo(state / "file")
    else:
        (state / "file").mkdir()
    with Folder(state) as folder, pytest.raises(UnsafePath, match=f"{state}/file is not a regular file"):
        folder.open("file", os.O_RDONLY)


def test_a_file_of_somebody_else_is_refused(state: Path) -> None:
    """Its former owner may still have the file open, and could write anything into it."""
    (state / "file").touch()
    os.chown(state / "file", NOBODY, 0)
    with Folder(state) as folder, pytest.raises(UnsafePath, match=f"{state}/file belongs to nobody"):
        folder.open("file", os.O_RDONLY)


def test_what_is_looked_at_and_not_opened(state: Path) -> None:
    """A library that opens files by itself would follow a link that is there already."""
    with Folder(state) as folder:
        folder.check("absent")
        (state / "file").symlink_to("/dev/null")
        with pytest.raises(UnsafePath, match="file is a symbolic link"):
            folder.check("file")


# -- places for one file -----------------------------------------------------------------------------------------


def test_a_place_in_tmp_is_safe_as_long_as_nobody_else_was_there(tmp_path: Path) -> None:
    """A log in /tmp that another user has prepared as a link would be written through it, as root."""
    sticky = tmp_path / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    claim_place(sticky / "log")
    assert stat.S_IMODE((sticky / "log").stat().st_mode) == 0o600
    claim_place(sticky / "log")
    os.chown(sticky / "log", NOBODY, 0)
    with pytest.raises(UnsafePath, match="belongs to nobody"):
        claim_place(sticky / "log")
    (sticky / "log").unlink()
    (sticky / "log").symlink_to("/dev/null")
    os.chown(sticky / "log", NOBODY, 0, follow_symlinks=False)
    with pytest.raises(UnsafePath, match="belongs to nobody"):
        claim_place(sticky / "log")


def test_devices_and_links_of_root_are_places(tmp_path: Path) -> None:
    """log_file = /dev/stdout, as in containers, would stop the start."""
    claim_place(Path("/dev/null"))
    (tmp_path / "log").symlink_to("/dev/null")
    claim_place(tmp_path / "log")
    claim_place(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


# -- whole files -------------------------------------------------------------------------------------------------


def test_a_whole_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """Docker or systemd would read half a file, or find a draft beside it."""
    path = tmp_path / "new" / "kuryr.spec"
    write_whole(path, "one\n")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("one\n", 0o644)
    write_whole(path, "two ä\n")
    assert path.read_text() == "two ä\n"
    assert [each.name for each in path.parent.iterdir()] == ["kuryr.spec"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """A link in the place of the file, or of its draft, would have root write somewhere else."""
    target = tmp_path / "target"
    target.write_text("precious")
    folder = tmp_path / "etc"
    folder.mkdir()
    for name in ("kuryr.spec", ".kuryr.spec.new"):
        (folder / name).symlink_to(target)
    write_whole(folder / "kuryr.spec", "text")
    assert target.read_text() == "precious"
    assert (folder / "kuryr.spec").read_text() == "text"
    assert not (folder / "kuryr.spec").is_symlink()


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Each failed try would leave another draft."""
    (tmp_path / "kuryr.spec").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "kuryr.spec", "text")
    assert [each.name for each in tmp_path.iterdir()] == ["kuryr.spec"]


def test_no_file_is_written_where_others_may_write(tmp_path: Path) -> None:
    """Another user could replace the file by which Docker finds the service with one that names his own."""
    tmp_path.chmod(0o777)
    with pytest.raises(UnsafePath, match="may be written to by others"):
        write_whole(tmp_path / "kuryr.spec", "text")
    assert list(tmp_path.iterdir()) == []

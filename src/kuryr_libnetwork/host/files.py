# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Files of a service that runs as root, opened only where nobody else can decide what is opened.

Whoever may write to a folder decides what its names mean: a link called ``kuryr.db.lock`` would make root empty the
file that it points to. So every folder on the path has to belong to root or to the user of this process, and nobody
else may write to it, unless the sticky bit, as on ``/tmp``, prevents others from replacing files that are not theirs.
Each step of the path is checked, from the root on, before it is followed; what has been checked cannot be replaced.
"""

from __future__ import annotations

import errno
import os
import pwd
import secrets
import stat
from pathlib import Path
from typing import Self

from kuryr_libnetwork.errors import UnsafePath

FOLDER_MODE = 0o700
ABOVE_MODE = 0o755
FILE_MODE = 0o600
PUBLIC_MODE = 0o644
_MOST_LINKS = 40
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Folder:
    """A folder of our own, created if it is missing (``make``), and kept open so that it stays the same one.

    Raises :class:`~kuryr_libnetwork.errors.UnsafePath`, or ``OSError`` if it cannot be created or opened.
    """

    def __init__(self, path: Path, *, make: bool = True) -> None:
        self._path = path
        if make:
            make_folder(path)
        _check_way(path)
        _check_owner(path, path.lstat())
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self.fd = os.open(path, flags)
        except OSError as error:
            if path.is_symlink():
                raise UnsafePath(f"{path} is a symbolic link; name the folder itself") from error
            raise
        found = os.fstat(self.fd)
        try:
            _check_owner(path, found)
            if found.st_mode & _OTHERS_WRITE:
                raise _writable(path, found)
        except UnsafePath:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self.fd)

    def open(self, name: str, flags: int) -> int:
        """A descriptor of a regular file that belongs to no other user and has no hard links; only the owner may read a
        new one.
        """
        try:
            # O_NONBLOCK: if there is a pipe instead, opening it would wait for a writer.
            file = os.open(
                name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, FILE_MODE, dir_fd=self.fd
            )
        except OSError as error:
            if error.errno != errno.ENOENT:
                self.check(name)
            raise
        try:
            self._check_file(name, os.fstat(file))
        except UnsafePath:
            os.close(file)
            raise
        return file

    def check(self, name: str) -> None:
        """The same checks for a file that a library opens; a missing one is fine."""
        try:
            found = os.lstat(name, dir_fd=self.fd)
        except FileNotFoundError:
            return
        self._check_file(name, found)

    def remove(self, name: str) -> None:
        """Remove a file; a missing one is fine."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            return

    def exists(self, name: str) -> bool:
        return name in os.listdir(self.fd)

    def _check_file(self, name: str, found: os.stat_result) -> None:
        path = self._path / name
        if stat.S_ISLNK(found.st_mode):
            raise UnsafePath(f"{path} is a symbolic link; remove it")
        if not stat.S_ISREG(found.st_mode):
            raise UnsafePath(f"{path} is not a regular file; remove it")
        _check_owner(path, found)
        if found.st_nlink > 1:
            raise UnsafePath(f"{path} has another name (hard link); remove it")


def make_folder(path: Path, mode: int = FOLDER_MODE) -> None:
    """Like ``mkdir -p``, but only where nobody else may write; missing parent folders are created readable for all."""
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        _check_way(folder)
        folder.mkdir(mode=mode if folder == missing[0] else ABOVE_MODE, exist_ok=True)


def claim_place(path: Path) -> None:
    """For a file that a library opens by its path: nobody else may have created it, or be able to."""
    folder = _check_way(path)
    shared = bool(folder.st_mode & _OTHERS_WRITE)
    try:
        found = path.lstat()
    except FileNotFoundError:
        if shared:  # before somebody else creates one
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
        return
    _check_owner(path, found)
    if shared and not stat.S_ISREG(found.st_mode):  # else root created it, whatever it is
        raise UnsafePath(f"{path} is not a regular file, in a folder where anybody may make one")


def check_folder(path: Path, *, sticky: bool = True) -> None:
    """For a folder in which a library creates files. ``sticky``: one like ``/tmp`` is allowed, because each file in it
    is new.
    """
    found = _check_way(path / "file")
    if not sticky and found.st_mode & _OTHERS_WRITE:
        raise _writable(path, found)


def check_program(path: Path) -> None:
    """For a program that is run: links are followed, and nobody else may be able to change it."""
    found = _walk(path)
    if found.st_mode & _OTHERS_WRITE:
        raise _writable(path, found)


def write_whole(path: Path, text: str, mode: int = PUBLIC_MODE) -> None:
    """Replace a file atomically; it is on disk when this returns. Its folder is created if it is missing."""
    make_folder(path.parent, ABOVE_MODE)
    check_folder(path.parent)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    draft = f".{path.name}.{secrets.token_hex(8)}"
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
        try:
            with open(file, "w", encoding="utf-8") as stream:
                os.fchmod(file, mode)  # the umask may have removed more bits
                stream.write(text)
                stream.flush()
                os.fsync(file)
            os.replace(draft, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(draft, dir_fd=folder)
            raise
        os.fsync(folder)
    finally:
        os.close(folder)


def _check_way(path: Path) -> os.stat_result:
    """Check everything above ``path``; returns the ``stat`` of its folder."""
    return _walk(path.absolute().parent)


def _walk(path: Path) -> os.stat_result:
    """Check every step to ``path``, links included; returns the ``stat`` of what it finally is."""
    rest = list(reversed(path.absolute().parts[1:]))
    here, found, links = Path("/"), os.stat("/"), 0
    _check_above(here, found)
    while rest:
        part = rest.pop()
        if part == "..":
            here = here.parent
            found = here.lstat()
            continue
        step = here / part
        found = step.lstat()
        _check_owner(step, found)
        if not stat.S_ISLNK(found.st_mode):
            here = step
            _check_above(here, found)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise UnsafePath(f"{path}: too many symbolic links")
        target = Path(os.readlink(step))
        if target.is_absolute():
            here = Path("/")
        rest.extend(reversed([each for each in target.parts if each != "/"]))
        found = here.lstat()
    return found


def _check_above(path: Path, found: os.stat_result) -> None:
    _check_owner(path, found)
    if found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX:
        raise _writable(path, found)


def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        me = _user(os.geteuid())
        raise UnsafePath(
            f"{path} belongs to {_user(found.st_uid)}, who could have the service read and write what he likes: "
            f"chown {me.removeprefix('user ')} {path}"
        )


def _writable(path: Path, found: os.stat_result) -> UnsafePath:
    mode = stat.S_IMODE(found.st_mode)
    return UnsafePath(f"{path} may be written to by others than its owner (mode {mode:04o}): chmod go-w {path}")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"

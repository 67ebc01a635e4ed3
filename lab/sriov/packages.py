# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Debian packages of any release, downloaded and unpacked below `.dev/cache`: the machine's own are not changed.

Uses apt, with folders of its own and this machine's settings, including where the packages come from.
"""

import fcntl
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.process import run
from lab.progress import say

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# QEMU emulates a network card with Virtual Functions since 8.0; Debian 12 has 7.2.
QEMU_RELEASE = "trixie"
QEMU_PACKAGES = ("qemu-system-x86", "qemu-utils")
ARCHITECTURE = "x86_64"
LISTS_LAST = 3600.0
"""Seconds; older lists may name packages that are gone."""


def own_release() -> str:
    """The name of this machine's Debian release."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def mirror() -> str:
    """The URL from which this machine gets Debian."""
    own = own_release()
    for line in run(["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"]).splitlines():
        release, component, address = line.split(maxsplit=2)
        if release in (own, "stable", "oldstable") and component == "main":
            return address
    msg = f"apt has no source for the component main of Debian {own}, so there is nowhere to get packages from"
    raise LabError(msg)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Only one lab at a time does the work."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def made_once(target: Path, what: str) -> Iterator[Path | None]:
    """The folder to fill if `target` is not there yet; it becomes `target` when all went well."""
    with alone(target.with_name(f"{target.name}.lock")):
        if target.exists():
            yield None
            return
        say(f"          {what} (once)")
        draft = target.with_name(f"{target.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        yield draft
        draft.rename(target)


@dataclass(frozen=True)
class Archive:
    """One Debian release, seen through apt with state of its own below `folder`."""

    release: str
    folder: Path

    def update(self) -> None:
        for name in ("lists/partial", "archives/partial", "sources"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()  # nothing counts as installed: every package brings all of its dependencies
        (self.folder / "sources" / "lab.sources").write_text(
            f"Types: deb\nURIs: {mirror()}\nSuites: {self.release}\nComponents: main\nSigned-By: {KEYRING}\n"
        )
        run(["apt-get", *self._options(), "-qq", "update"], timeout=300)

    def unpack(self, packages: tuple[str, ...], target: Path) -> None:
        """Download packages with everything that they depend on."""
        archives = self.folder / "archives"
        command = ["install", "--download-only", "--no-install-recommends", "-y", "-qq"]
        with alone(self.folder.with_name(f"{self.folder.name}.lock")):
            run(["apt-get", *self._options(), *command, *packages], timeout=900)
            self._extract(archives, target)

    def unpack_only(self, packages: list[str], target: Path) -> None:
        """Download packages without their dependencies."""
        archives = self.folder / "single"
        shutil.rmtree(archives, ignore_errors=True)
        archives.mkdir(parents=True)
        run(["env", f"--chdir={archives}", "apt-get", *self._options(), "-qq", "download", *packages], timeout=900)
        self._extract(archives, target)

    def dependencies(self, package: str, prefixes: tuple[str, ...]) -> list[str]:
        """The dependencies of a package whose names have this prefix."""
        lines = run(["apt-cache", *self._options(), "depends", package]).splitlines()
        pairs = (line.strip().partition(": ") for line in lines)
        return [name for relation, _, name in pairs if relation == "Depends" and name.startswith(prefixes)]

    def version(self, package: str) -> str:
        """The version that the release has."""
        for line in run(["apt-cache", *self._options(), "policy", package]).splitlines():
            name, _, value = line.strip().partition(": ")
            if name == "Candidate" and value != "(none)":
                return value
        msg = f"Debian {self.release} has no package {package}"
        raise LabError(msg)

    def _extract(self, archives: Path, target: Path) -> None:
        for file in sorted(archives.glob("*.deb")):
            run(["dpkg-deb", "-x", str(file), str(target)])
            file.unlink()

    def _options(self) -> list[str]:
        settings = {
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": self.folder / "sources",
            "Dir::State": self.folder,
            "Dir::State::Lists": self.folder / "lists",
            "Dir::State::Status": self.folder / "status",
            "Dir::Cache": self.folder,
            # Whatever is asked of it, this apt changes nothing on this machine.
            "Dir::Bin::dpkg": "/bin/false",
            # Otherwise it would drop privileges, to an account that cannot read a checkout below /root.
            "APT::Sandbox::User": "root",
        }
        return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def archive(cache: Path, release: str) -> Archive:
    """With lists of an hour ago at most."""
    found = Archive(release, cache / f"apt-{release}")
    updated = found.folder / "updated"
    with alone(cache / f"apt-{release}.lock"):
        if not updated.exists() or time.time() - updated.stat().st_mtime > LISTS_LAST:
            found.update()
            updated.touch()
    return found


def command_of(tree: Path, program: str) -> list[str]:
    """A program of a tree, run with that tree's loader and libraries: this machine's may be too old."""
    usr = tree / "usr"
    loaders = [*usr.glob("lib64/ld-linux-*.so.*"), *usr.glob("lib/ld-linux-*.so.*")]
    libraries = [*usr.glob("lib/*-linux-gnu")]
    if not loaders or not libraries:
        msg = f"{tree} has no C library; remove it to have it made again"
        raise LabError(msg)
    return [str(loaders[0]), "--library-path", str(libraries[0]), str(usr / "bin" / program)]


@dataclass(frozen=True)
class Qemu:
    """QEMU with all its libraries in a tree of its own, run by the loader of that tree."""

    tree: Path

    def command(self, program: str) -> list[str]:
        return command_of(self.tree, program)

    @property
    def firmware(self) -> list[str]:
        share = self.tree / "usr" / "share"
        return ["-L", str(share / "seabios"), "-L", str(share / "qemu")]


def qemu(cache: Path) -> Qemu:
    if platform.machine() != ARCHITECTURE:
        msg = f"its image is for {ARCHITECTURE}, and this machine is {platform.machine()}"
        raise LabError(msg)
    target = cache / f"sriov-qemu-{QEMU_RELEASE}"
    with made_once(target, f"downloading QEMU of Debian {QEMU_RELEASE}") as draft:
        if draft is not None:
            archive(cache, QEMU_RELEASE).unpack(QEMU_PACKAGES, draft)
    return Qemu(target)

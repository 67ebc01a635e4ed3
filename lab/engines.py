# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The Docker Engines that a host of the lab can have: the machine's own, and those of newer Debian releases.

A newer one is in a tree of its own below `.dev/cache`: Docker's packages with all that they depend on, unpacked. Its
`/usr` is put over the machine's where dockerd runs, in a mount namespace of its own (`lab.dockerd`).
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from lab.errors import LabError
from lab.paths import HostPaths
from lab.process import run
from lab.progress import say
from lab.sriov import packages as sriov_packages

# Debian's releases whose Docker this service can be used with, oldest first; the last is not released yet.
RELEASES = ("bookworm", "trixie", "forky")
OWN = "own"
NEWEST = "newest"
# Besides Docker: what dockerd, or the lab next to dockerd, calls, and essential packages, which no dependency names.
PACKAGES = ("docker.io", "docker-cli", "iptables", "kmod", "procps", "coreutils", "dash", "mount")
_ALTERNATIVES = ("iptables", "ip6tables", "iptables-save", "ip6tables-save", "iptables-restore", "ip6tables-restore")
_VERSION = 1  # increase it when trees are built differently
_KEY = hashlib.sha256(repr((_VERSION, PACKAGES)).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Engine:
    """One Docker Engine. `tree` is empty for the machine's own."""

    release: str
    version: str
    tree: str = ""

    @property
    def major(self) -> str:
        return self.version.partition(".")[0]

    def __str__(self) -> str:
        return f"Docker {self.version} ({f'Debian {self.release}' if self.tree else 'of this machine'})"


def of(host: HostPaths) -> Engine | None:
    """The engine that a host was started with."""
    try:
        return Engine(**json.loads(host.engine_file.read_text()))
    except FileNotFoundError:
        return None


def give(host: HostPaths, engine: Engine) -> None:
    """Set the engine that a host uses from its next start on."""
    host.run.mkdir(parents=True, exist_ok=True)
    host.engine_file.write_text(json.dumps(asdict(engine)))
    command = host.bin / "docker"
    command.unlink(missing_ok=True)
    if engine.tree:
        host.bin.mkdir(exist_ok=True)
        words = " ".join(sriov_packages.command_of(Path(engine.tree), "docker"))
        command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        command.chmod(0o755)


def give_all(hosts: Sequence[HostPaths], wanted: Sequence[str], cache: Path) -> None:
    """The engines of `--engine`, one for all hosts or one each; a host with an engine keeps it, because of its data."""
    words = [*wanted] if len(wanted) > 1 else [*wanted] * len(hosts)
    if len(words) > len(hosts):
        msg = f"--engine names {len(words)} engines for {len(hosts)} host(s)"
        raise LabError(msg)
    found = Choice(cache).named([*words, *[OWN] * (len(hosts) - len(words))])
    for host, engine in zip(hosts, found, strict=True):
        has = of(host)
        if has is None:
            give(host, engine)
        elif has != engine and tuple(wanted) != (OWN,):
            msg = f"{host.name} has {has} already; take the lab down to give it {engine}"
            raise LabError(msg)


class Choice:
    """What `--engine` may name; looked up only when asked for, as a newer release's engine has to be downloaded."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    @cached_property
    def own(self) -> Engine:
        release = sriov_packages.own_release()
        version = run(["dpkg-query", "-W", "-f", "${Version}", "docker.io"])
        return Engine(release, _upstream(version))

    @cached_property
    def newer(self) -> tuple[Engine, ...]:
        """The newer engines in this machine's archive, oldest first; perhaps not downloaded yet."""
        later = RELEASES[RELEASES.index(self.own.release) + 1 :] if self.own.release in RELEASES else ()
        return tuple(engine for engine in map(self._offered, later) if engine is not None)

    @property
    def all(self) -> tuple[Engine, ...]:
        return (self.own, *self.newer)

    def named(self, words: Sequence[str]) -> list[Engine]:
        """Engines by `own`, `newest`, a major version or a release, ready to be started."""
        return [self._ready(self._find(word)) for word in words]

    def _find(self, word: str) -> Engine:
        if word in {OWN, self.own.release, self.own.major}:
            return self.own
        if word == NEWEST:
            return self.all[-1]
        for engine in self.newer:
            if word in {engine.release, engine.major}:
                return engine
        offered = ", ".join(f"{engine.major} ({engine.release})" for engine in self.all)
        msg = f"--engine {word}: this machine can have {offered}; also {OWN} and {NEWEST}"
        raise LabError(msg)

    def _tree(self, release: str) -> Path:
        return self._cache / f"engine-{release}-{_KEY}"

    def _offered(self, release: str) -> Engine | None:
        target = self._tree(release)
        if not target.exists():
            try:
                version = sriov_packages.archive(self._cache, release).version("docker.io")
            except LabError as error:
                say(f"          no Docker of Debian {release}: {error}")
                return None
        else:
            version = (target / "version").read_text()
        return Engine(release, _upstream(version), str(target))

    def _ready(self, engine: Engine) -> Engine:
        if engine.tree:
            with sriov_packages.made_once(Path(engine.tree), f"downloading {engine}") as draft:
                if draft is not None:
                    archive = sriov_packages.archive(self._cache, engine.release)
                    (draft / "version").write_text(archive.version("docker.io"))
                    archive.unpack(PACKAGES, draft)
                    _choose_iptables(draft)
        return engine


def _choose_iptables(tree: Path) -> None:
    """Link `iptables` to one of its variants, as installing the package would; here it is only unpacked."""
    for name in _ALTERNATIVES:
        (tree / "usr" / "sbin" / name).symlink_to("xtables-nft-multi")


def _upstream(version: str) -> str:
    """20.10.24 of 1:20.10.24+dfsg1-1."""
    found = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    if found is None:
        msg = f"the package docker.io has a version that cannot be read: {version!r}"
        raise LabError(msg)
    return found[1]

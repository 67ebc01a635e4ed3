# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Roots of Debian releases below `.dev/cache`: one to build packages in, and one of a host to install them on.

This machine's own packages are not changed, and which release it has makes no difference.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from lab.errors import LabError
from lab.paths import LabPaths
from lab.process import run
from lab.sriov import packages as sriov_packages
from lab.sriov.image import network_environment

RELEASES = {"bookworm": "12", "trixie": "13"}
BUILDING = ("build-essential", "ca-certificates", "debhelper", "lintian", "python3-pip", "python3-venv")
HOST = (
    "bash-completion",
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "logrotate",
    "openvswitch-switch",
    "procps",
    "python3-venv",
    "systemd-sysv",
)
IMAGE = ("ca-certificates", "dumb-init", "iproute2", "python3", "sudo")
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_FROM_MACHINE = (_CERTIFICATES, "etc/resolv.conf", "etc/pip.conf", "etc/hosts")
"""What pip needs to reach the network as it does on this machine."""
_INSIDE = """\
set -e
root=$1; shift
while [ "$1" != -- ]; do
    mkdir -p "$root/$2"; mount --bind "$1" "$root/$2"; shift 2
done
shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" /usr/bin/env -C "$WITHIN" "$@"
"""
_VERSION = 1  # increase it when this module builds differently


@dataclass(frozen=True)
class Root:
    release: str
    tree: Path

    @property
    def number(self) -> str:
        return RELEASES[self.release]

    def run(
        self,
        argv: Iterable[str],
        folders: Mapping[Path, str],
        *,
        within: str = "/",
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> str:
        """A program of the root, with these folders of this machine mounted in it for as long as it runs."""
        words = [word for source, target in folders.items() for word in (str(source), target)]
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _INSIDE, "sh", str(self.tree)]
        environment = {"WITHIN": within, "LC_ALL": "C.UTF-8", **network_environment(), **(env or {})}
        return run([*command, *words, "--", *argv], env=environment, log=log, timeout=1500)

    def use_network_of_machine(self) -> None:
        for name in _FROM_MACHINE:
            if Path("/", name).is_file():
                (self.tree / name).unlink(missing_ok=True)
                shutil.copy(Path("/", name), self.tree / name)


def check(release: str) -> str:
    if release not in RELEASES:
        msg = f"there are packages for Debian {' and '.join(RELEASES)}, and not for {release}"
        raise LabError(msg)
    return release


def building(paths: LabPaths, release: str) -> Root:
    root = _made(paths, release, "build", BUILDING)
    root.use_network_of_machine()
    return root


def host(paths: LabPaths, release: str) -> Root:
    """A host with systemd and Open vSwitch, as it is before the package is installed."""
    return _made(paths, release, "host", HOST)


def image(paths: LabPaths, release: str) -> Root:
    """What the container image consists of, without the package."""
    return _made(paths, release, "image", IMAGE)


def _made(paths: LabPaths, release: str, kind: str, packages: tuple[str, ...]) -> Root:
    key = hashlib.sha256(repr((_VERSION, packages)).encode()).hexdigest()[:10]
    target = paths.cache / f"packages-{check(release)}-{kind}-{key}"
    with sriov_packages.made_once(target, f"installing a Debian {release} ({kind}) for packages") as draft:
        if draft is not None:
            options = ["--mode=root", "--variant=minbase", f"--keyring={sriov_packages.KEYRING}"]
            options += [f"--include={','.join(packages)}", "--dpkgopt=force-unsafe-io"]
            source = f"deb {sriov_packages.mirror()} {release} main"
            log = paths.dev / "logs" / f"packages-{release}-{kind}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            command = ["unshare", "--mount", "mmdebstrap", *options, release, str(draft / "tree"), source]
            run(command, env=network_environment(), log=log, timeout=1800)
            if kind == "host":
                _name(draft / "tree")
    return Root(release, target / "tree")


def _name(tree: Path) -> None:
    """Without a machine id its first boot would enable every unit. Open vSwitch is started by who needs it."""
    (tree / "etc" / "machine-id").write_text(f"{uuid4().hex}\n")
    (tree / "etc" / "hostname").write_text("h1\n")
    (tree / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    units = tree / "etc" / "systemd" / "system"
    units.mkdir(parents=True, exist_ok=True)
    (units / "openvswitch-switch.service").symlink_to("/dev/null")

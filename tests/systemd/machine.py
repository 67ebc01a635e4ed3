# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A throw-away machine whose first process is systemd: a container of systemd-nspawn.

It has the programs of this machine (``/usr``, read-only) and nothing else of it: folders, network, processes and
journal are its own, no link leads out of it, and it is gone when systemd-nspawn ends. The checkout and its Python
environment are seen in it where they are outside, so that the service under test is the one of the checkout.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import tenacity

from lab.network import processes_of_containers, remove_cgroups
from lab.process import end_all

CHECKOUT = Path(__file__).parents[2]
ENVIRONMENT = Path(sys.prefix)
BOOT_SECONDS = 60.0
LIMIT = 30.0
"""Seconds until the effect of a command to systemd is visible."""
_IN_GROUPS = 'while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; shift; exec "$@"'
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
_FOLDERS = ("etc", "usr", "var", "run", "tmp", "proc", "sys", "dev", "root")
_LINKS = ("bin", "sbin", "lib", "lib64")
_FILES = ("passwd", "group", "os-release", "ld.so.cache")
_TUN = Path("/dev/net/tun")
"""Open vSwitch in user space makes the interfaces of its bridges with it."""

_BOOT = (
    "--register=no",
    "--keep-unit",
    "--private-network",
    "--notify-ready=yes",
    "--console=pipe",
    "--boot",
    "systemd.unit=multi-user.target",
)


class Machine:
    """``leader``: the id of its first process, as seen from outside."""

    def __init__(self, leader: int) -> None:
        self.leader = leader
        self.root = Path(f"/proc/{leader}/root")
        self.netns = f"/proc/{leader}/ns/net"

    def try_run(self, *words: str, stdin: str = "", seconds: float = BOOT_SECONDS) -> subprocess.CompletedProcess[str]:
        """A command in the machine, outside of every unit."""
        enter = [
            "nsenter",
            f"--target={self.leader}",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--cgroup",
            "--wd=/",
        ]
        environment = {"PATH": PATH, "LANG": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
        return subprocess.run(
            [*enter, *words],
            input=stdin,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def run(self, *words: str, stdin: str = "") -> str:
        done = self.try_run(*words, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Root's file, with its folders."""
        script = 'mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1"'
        self.run("sh", "-c", script, "sh", path, f"{mode:o}", stdin=text)

    def read(self, path: str) -> str:
        return self.run("cat", path)

    def systemctl(self, *words: str) -> str:
        return self.run("systemctl", *words)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def journal(self, unit: str, *words: str) -> list[str]:
        """The messages of a unit's programs in this boot, without their prefix."""
        found = self.run("journalctl", "--output=cat", "--quiet", f"--unit={unit}", *words)
        return found.splitlines()

    def drop_in(self, unit: str, text: str) -> None:
        """Let this be all that ``systemctl edit`` has changed of a unit; ``""`` takes it back."""
        path = f"/etc/systemd/system/{unit}.d/test.conf"
        if text:
            self.write(path, text)
        else:
            self.run("rm", "-f", path)
        self.systemctl("daemon-reload")


def until(seconds: float = LIMIT) -> tenacity.Retrying:
    """Repeats the block until its assertions hold."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(AssertionError),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(0.05),
        reraise=True,
    )


@contextmanager
def booted(folder: Path, setup: Sequence[tuple[str, str]] = (), *, installed: bool = True) -> Iterator[Machine]:
    """``setup``: files of the machine, with their text, that are there before it boots. ``installed``: whether the
    service's commands are there; otherwise their folder is empty and can be written to.
    """
    _check_possible()
    root, programs = folder / "root", folder / "programs"
    _make_root(root)
    _link_programs(programs)
    for path, text in setup:
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with _started(_command(root, programs, installed), folder) as machine:
        yield machine


@contextmanager
def booted_release(folder: Path, tree: Path, shown: Mapping[Path, str]) -> Iterator[Machine]:
    """A machine with a root of its own release, which is left as it is: what the machine changes is gone when it ends.

    ``shown``: folders of this machine, and where they are seen in it.
    """
    _check_possible()
    binds = [f"--bind-ro={source}:{target}" for source, target in shown.items()]
    command = ["systemd-nspawn", "--quiet", f"--directory={tree}", "--volatile=overlay", *binds, *_tun(), *_BOOT]
    with _started(command, folder) as machine:
        yield machine


def _check_possible() -> None:
    if os.geteuid():
        pytest.skip("a machine of its own needs root")
    if shutil.which("systemd-nspawn") is None:
        pytest.skip("systemd-nspawn is not installed (Debian: systemd-container)")


@contextmanager
def _started(command: Sequence[str], folder: Path) -> Iterator[Machine]:
    with (
        _control_groups() as groups,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as news,
        (folder / "console").open("wb") as console,
    ):
        news.bind(str(folder / "notify"))
        nspawn = subprocess.Popen(
            ["sh", "-c", _IN_GROUPS, "sh", *groups, "--", *command],
            env=_environment(folder / "notify"),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
        try:
            yield Machine(_wait_for_boot(news, nspawn, folder / "console"))
        finally:
            nspawn.kill()
            nspawn.wait()


@contextmanager
def _control_groups() -> Iterator[list[str]]:
    """The control groups' files through which a process enters groups of this machine's own."""
    name, top = f"kuryr-test-{secrets.token_hex(4)}", Path("/sys/fs/cgroup")
    # Both hierarchies of a hybrid host, or the only one of version 2.
    trees = [top / each for each in ("unified", "systemd") if (top / each).is_dir()] or [top]
    for tree in trees:
        (tree / name).mkdir()
    try:
        yield [str(tree / name / "cgroup.procs") for tree in trees]
    finally:
        # systemd-nspawn that was killed has left them running.
        end_all(lambda: processes_of_containers(name))
        remove_cgroups(name)


def _make_root(root: Path) -> None:
    for name in _FOLDERS:
        (root / name).mkdir(parents=True)
    for name in _LINKS:
        if Path("/", name).exists():
            (root / name).symlink_to(f"usr/{name}")
    for name in _FILES:
        shutil.copy(Path("/etc", name), root / "etc" / name)
    shutil.copytree("/etc/alternatives", root / "etc" / "alternatives", symlinks=True)
    # Without a machine id it would be a first boot, at which systemd enables every unit in /usr.
    (root / "etc" / "machine-id").write_text(f"{os.urandom(16).hex()}\n")
    (root / "etc" / "hostname").write_text("h1\n")
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")


def _link_programs(folder: Path) -> None:
    """The overlay on ``/usr``: the service's commands where the unit looks for them."""
    commands = folder / "local" / "bin"
    commands.mkdir(parents=True)
    for name in ("kuryr-server", "kuryr", "kuryr-status"):
        (commands / name).symlink_to(ENVIRONMENT / "bin" / name)


def _command(root: Path, programs: Path, installed: bool) -> list[str]:
    binds = [f"--bind-ro={path}" for path in dict.fromkeys((CHECKOUT, ENVIRONMENT))]
    overlay = f"--overlay-ro=/usr:{programs}:/usr"
    if not installed:
        binds.append("--tmpfs=/usr/local/bin:mode=755")
    return ["systemd-nspawn", "--quiet", f"--directory={root}", overlay, *binds, *_tun(), *_BOOT]


def _tun() -> list[str]:
    return [f"--bind={_TUN}"] if _TUN.exists() else []


def _environment(notify: Path) -> dict[str, str]:
    # Version 2 of the control groups, as current hosts have it, whatever this machine has.
    return {"PATH": PATH, "NOTIFY_SOCKET": str(notify), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}


def _wait_for_boot(news: socket.socket, nspawn: subprocess.Popen[bytes], console: Path) -> int:
    """The machine's first process, once all that it starts by itself has started."""
    leader, deadline = 0, time.monotonic() + BOOT_SECONDS
    news.settimeout(0.2)
    while nspawn.poll() is None and time.monotonic() < deadline:
        try:
            told = dict(line.partition("=")[::2] for line in news.recv(4096).decode().splitlines())
        except TimeoutError:
            continue
        leader = int(told.get("X_NSPAWN_LEADER_PID", leader))
        if "READY" in told and leader:
            return leader
    pytest.fail(f"the machine did not boot: {console.read_text(errors='replace')[-3000:]}")

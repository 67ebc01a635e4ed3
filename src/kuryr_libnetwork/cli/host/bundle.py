# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr support-bundle``: all that a bug report needs, in one file, without secrets.

For what is not available the bundle has the reason instead: it is made when something is broken. Options that
oslo.config calls secret are masked, and so is what precedes an @ in a URL.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

import msgspec

from kuryr_libnetwork.cli.host.inventory import Host, pf_rows, vf_rows
from kuryr_libnetwork.config import read as config

PAGES = ("healthz", "v1/networks", "v1/endpoints", "v1/ports", "v1/devices", "v1/suspects", "v1/rounds", "metrics")
SECONDS = 20.0
"""Seconds for one program."""
MOST = 8 * 1024 * 1024
"""Largest output of one program, in bytes."""
LOG_LINES = 20_000
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SECRET = re.compile(r"(?i)^(\s*\S*(?:password|secret|token|passcode|private_key)\S*\s*[=:]\s*).*$", re.MULTILINE)
Run = Callable[[tuple[str, ...]], str]


def parts(host: Host, doctor: Callable[[], object], run: Run) -> Iterable[tuple[str, Callable[[], str]]]:
    """The name of each file of the bundle, and a function that returns its text."""
    yield "versions.txt", _versions
    yield "kuryr.conf.txt", partial(_options, host.config_words)
    yield "journal.json", lambda: _json(host.look())
    yield "doctor.json", lambda: _json(doctor())
    yield "devices.json", lambda: _json({"pfs": pf_rows(host), "vfs": vf_rows(host, "")})
    yield "service/log-files.txt", partial(_log_files, host.config_words)
    for page in PAGES:
        yield f"service/{page.replace('/', '-')}.txt", partial(_page, host, page)
    for name, words in programs(host).items():
        yield f"{name}.txt", partial(run, words)


def _page(host: Host, page: str) -> str:
    return host.admin.raw(f"/{page}").decode()


def programs(host: Host) -> dict[str, tuple[str, ...]]:
    """The command lines of other programs, by the name of the bundle's file; the programs may be missing."""
    plugin = host.settings.plugin
    docker = ("docker", f"--host=unix://{plugin.docker_socket}") if plugin.docker_socket else ("docker",)
    vswitch = ("ovs-vsctl", "--timeout=10", f"--db={host.settings.ovs.ovsdb_connection}")
    return {
        "kernel/uname": ("uname", "-a"),
        "kernel/links": ("ip", "-details", "link"),
        "kernel/addresses": ("ip", "address"),
        "kernel/routes": ("ip", "route", "show", "table", "all"),
        "kernel/namespaces": ("lsns", "--type", "net"),
        "kernel/pci": ("lspci", "-nnk"),
        "kernel/log": ("dmesg",),
        "docker/version": (*docker, "version"),
        "docker/info": (*docker, "info"),
        "docker/networks": (*docker, "network", "ls", "--no-trunc"),
        "docker/containers": (*docker, "ps", "--all", "--no-trunc"),
        "openvswitch/bridges": (*vswitch, "show"),
        "openvswitch/interfaces": (*vswitch, "--columns=name,external_ids,error,ofport", "list", "Interface"),
        "service/unit": ("systemctl", "status", "--no-pager", "--lines=0", "kuryr-libnetwork.service"),
        "service/log": ("journalctl", "--no-pager", f"--lines={LOG_LINES}", "--unit=kuryr-libnetwork.service"),
    }


def write(path: Path, wanted: Iterable[tuple[str, Callable[[], str]]], say: Callable[[str], object]) -> None:
    """Write a new file that only its owner can read; raises ``OSError``, also if it exists already. A file that is
    interrupted, or finds no room, does not stay.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _fill(file, wanted, say)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _fill(file: int, wanted: Iterable[tuple[str, Callable[[], str]]], say: Callable[[str], object]) -> None:
    now = int(time.time())
    with os.fdopen(file, "wb") as target, tarfile.open(fileobj=target, mode="w:gz") as bundle:
        for name, get in wanted:
            say(name)
            data = without_secrets(_had(get)).encode(errors="replace")
            entry = tarfile.TarInfo(f"kuryr-support/{name}")
            entry.size, entry.mtime, entry.mode = len(data), now, 0o600
            bundle.addfile(entry, io.BytesIO(data))


def _had(get: Callable[[], str]) -> str:
    try:
        return get()
    except Exception as error:  # noqa: BLE001  # a boundary: what fails is reported, and the rest still collected
        return f"not available: {type(error).__name__}: {error}\n"


def without_secrets(text: str) -> str:
    return _SECRET.sub(r"\1***", _CREDENTIALS.sub("***", text))


def run_program(words: tuple[str, ...]) -> str:
    """The program's output, stderr included; of more than :data:`MOST` bytes the beginning is cut off."""
    try:
        done = subprocess.run(words, capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return f"{words[0]} is not installed\n"
    except subprocess.TimeoutExpired:
        return f"{words[0]} has not ended within {SECONDS:g} s\n"
    said = (done.stdout[-MOST:] + done.stderr[-MOST:]).decode(errors="replace")
    return f"$ {' '.join(words)}\n{said}" + (f"exit code {done.returncode}\n" if done.returncode else "")


def _versions() -> str:
    found = sorted({f"{each.metadata['Name']} {each.version}" for each in distributions()}, key=str.lower)
    return "\n".join([*Path("/etc/os-release").read_text().splitlines(), "", *found, ""])


class _Lines:
    """Stands in for a logger, and keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, level: int, msg: object, *args: object) -> None:  # noqa: ARG002
        self.lines.append(str(msg) % args if args else str(msg))


def _options(words: Sequence[str]) -> str:
    found = _Lines()
    config.read(words, login=False).conf.log_opt_values(found, logging.INFO)
    return "\n".join([*found.lines, ""])


def _log_files(words: Sequence[str]) -> str:
    """The last part of each log file that kuryr.conf names."""
    conf = config.read(words, login=False).conf
    folder = Path(conf.log_dir or "/")
    named = [folder / conf.log_file] if conf.log_file else sorted(folder.glob("*.log")) if conf.log_dir else []
    return "".join(f"== {path}\n{_end(path)}\n" for path in named) or "kuryr.conf names none\n"


def _end(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - MOST))
        return file.read().decode(errors="replace")


def _json(value: object) -> str:
    return json.dumps(msgspec.to_builtins(value), indent=1) + "\n"

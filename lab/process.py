# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Programs of the lab: started into namespaces, recorded, found again, stopped by what was recorded.

A process id alone may belong to somebody else by now, so a record also holds the start time of the process and the
id of the boot; only if all three match is the process ours.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab.errors import LabError

POLL = 0.05


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """The start of the process in clock ticks, or None if it is not running (a zombie does not run)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True)
class Place:
    """Where a program runs: a network namespace, and the mount and host name namespaces of a holder process."""

    netns: str
    holder: int | None = None

    def enter(self, argv: Iterable[str]) -> list[str]:
        # Not "ip netns exec": it mounts a fresh /sys without the cgroups, and dockerd then refuses to start.
        command = ["nsenter", f"--net=/run/netns/{self.netns}"]
        if self.holder is not None:
            command += [f"--mount=/proc/{self.holder}/ns/mnt", f"--uts=/proc/{self.holder}/ns/uts"]
        return [*command, "--", *argv]


@dataclass(frozen=True)
class Program:
    name: str
    argv: tuple[str, ...]
    place: Place
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    grace: float = 5.0


@dataclass(frozen=True)
class Record:
    name: str
    pid: int
    start: int
    boot: str
    order: int
    log: str
    stop_signal: int
    grace: float

    def alive(self) -> bool:
        return self.boot == boot_id() and start_time(self.pid) == self.start

    def send(self, number: int) -> None:
        if self.alive():
            with suppress(ProcessLookupError):  # it ended between the question and the signal
                # On SIGTERM a program ends its children itself. Killed, it cannot, so they are killed with it.
                (os.killpg if number == signal.SIGKILL else os.kill)(self.pid, number)


class Registry:
    """The process records of one lab, one small file per program."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[str] = []  # by this run, so that a failed run undoes only its own part

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def get(self, name: str) -> Record | None:
        try:
            return Record(**json.loads(self._file(name).read_text()))
        except FileNotFoundError:
            return None

    def running(self, name: str) -> Record | None:
        record = self.get(name)
        return record if record is not None and record.alive() else None

    def records(self) -> list[Record]:
        found = [self.get(file.stem) for file in self._folder.glob("*.json")]
        return sorted((record for record in found if record is not None), key=lambda record: record.order)

    def start(self, program: Program) -> Record:
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            process = subprocess.Popen(
                program.place.enter(program.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**clean_environment(), **program.env},
                start_new_session=True,
            )
        # nsenter replaces itself with the program, so this is the program's own id.
        record = Record(
            program.name,
            process.pid,
            start_time(process.pid) or 0,
            boot_id(),
            time.monotonic_ns(),
            str(program.log),
            program.stop_signal,
            program.grace,
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file(program.name).write_text(json.dumps(asdict(record)))
        self.started.append(program.name)
        return record

    def stop(self, names: Iterable[str], *, sudden: bool = False) -> None:
        """Stop these programs together: ask, wait for the longest grace among them, then kill what is left."""
        found = [record for record in map(self.get, names) if record is not None]
        for record in found:
            record.send(signal.SIGKILL if sudden else record.stop_signal)
        grace = max((record.grace for record in found), default=0.0)
        if not wait_for(lambda: not any(record.alive() for record in found), grace):
            for record in found:
                record.send(signal.SIGKILL)
            wait_for(lambda: not any(record.alive() for record in found), 5.0)
        for record in found:
            self._file(record.name).unlink(missing_ok=True)
            with suppress(ChildProcessError):  # started by an earlier run: not our child
                os.waitpid(record.pid, os.WNOHANG)


def clean_environment() -> dict[str, str]:
    """The caller's environment without variables that would mislead the lab's programs."""
    unwanted = ("DOCKER_", "OS_", "OVS_", "OVN_", "OVSDB", "PYTHON", "VIRTUAL_ENV")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(unwanted) and not name.lower().endswith("_proxy")
    }
    return {**kept, "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def wait_for(question: Callable[[], bool], seconds: float) -> bool:
    """Poll until the answer is yes. The pause between two polls only spares the processor."""
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def kill_all(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it ended by itself
            os.kill(pid, signal.SIGKILL)


def end_all(find: Callable[[], list[int]]) -> None:
    """Kill the processes found, until none is found any more."""

    def gone() -> bool:
        left = find()
        kill_all(left)
        return not left

    wait_for(gone, 5.0)


def wait_until(question: Callable[[], bool], record: Record, seconds: float) -> None:
    """Wait for a started program to answer; a program that ended is reported at once, not at the deadline."""
    answered = False

    def answered_or_dead() -> bool:
        nonlocal answered
        alive = record.alive()
        answered = question()
        return answered or not alive

    wait_for(answered_or_dead, seconds)
    if answered:
        return
    what = f"did not answer within {seconds:.0f} s" if record.alive() else "ended while it was starting"
    msg = f"{record.name} {what}; see {record.log}"
    raise LabError(msg)


def run(
    argv: Iterable[str], *, env: Mapping[str, str] | None = None, log: Path | None = None, timeout: float = 120
) -> str:
    """Run a command to its end and return its output; a failure is one line that names the command."""
    command = list(argv)
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**clean_environment(), **(env or {})},
        text=True,
        check=False,
        timeout=timeout,
    )
    if log is not None:
        with log.open("a") as file:
            file.write(f"$ {' '.join(command)}\n{result.stdout}{result.stderr}")
    if result.returncode != 0:
        last = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()[-1]
        where = f"; see {log}" if log is not None else ""
        msg = f"{' '.join(command)[:160]}: {last} (exit code {result.returncode}){where}"
        raise LabError(msg)
    return result.stdout

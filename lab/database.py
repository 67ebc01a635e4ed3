# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""MariaDB with Neutron's schema.

Creating the schema takes longer than everything else, and the result depends only on versions: so it is created once,
kept as a template below `.dev/cache`, and copied for each lab.
"""

import fcntl
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import neutron_config, releases
from lab.paths import LabPaths
from lab.process import Place, Program, Record, Registry, run, wait_until
from lab.progress import say
from lab.releases import Release

NAME = "mariadb"


def start(paths: LabPaths, registry: Registry, release: Release) -> None:
    if registry.running(NAME):
        return
    data = paths.state / "mariadb"
    if not data.exists():
        shutil.copytree(_template(paths, registry, release), data)
    record = _start_server(paths, registry, data)
    wait_until(lambda: _accepts(paths.mysql_socket), record, 30)


def _start_server(paths: LabPaths, registry: Registry, data: Path, grace: float = 5.0) -> Record:
    argv = (
        "mariadbd",
        "--no-defaults",
        "--user=root",
        f"--datadir={data}",
        f"--socket={paths.mysql_socket}",
        f"--pid-file={paths.run}/mariadb.pid",
        "--skip-networking",
        "--skip-grant-tables",
        "--skip-log-bin",
        "--innodb-log-file-size=16M",
        "--innodb-buffer-pool-size=64M",
        # A lab's data need not survive a power cut, and syncing slows a small disk most.
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-doublewrite=0",
        "--performance-schema=OFF",
        "--max-connections=400",
    )
    # A lab's database is deleted with it, so it may be killed; the template's may not.
    stop = signal.SIGKILL if data.parent == paths.state else signal.SIGTERM
    program = Program(NAME, argv, Place(paths.netns), paths.log(NAME), stop_signal=stop, grace=grace)
    return registry.start(program)


def _accepts(path: Path) -> bool:
    """Whether MariaDB sends its greeting, which it does once it can serve."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        try:
            sock.connect(str(path))
            return bool(sock.recv(1))
        except OSError:
            return False


def _template(paths: LabPaths, registry: Registry, release: Release) -> Path:
    venv = release.venv(paths)
    template = paths.cache / f"mariadb-{_server_version()}-neutron-{releases.version(venv)}"
    with _locked(paths.cache / "mariadb.lock"):
        if not template.exists():
            say("          making the database template (once)")
            draft = template.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            _make_template(paths, registry, release, draft)
            draft.rename(template)
    return template


def _make_template(paths: LabPaths, registry: Registry, release: Release, data: Path) -> None:
    log = paths.log("mariadb-template")
    # --auth-root-authentication-method: the default requires a system account "mysql".
    run(
        [
            "mariadb-install-db",
            "--no-defaults",
            "--user=root",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=16M",
        ],
        log=log,
    )
    record = _start_server(paths, registry, data, grace=60)
    wait_until(lambda: _accepts(paths.mysql_socket), record, 60)
    conf = paths.state / "template" / "neutron.conf"
    neutron_config.write(paths, conf=conf, mysql_socket=paths.mysql_socket, release=release)
    run(
        [
            "mariadb",
            "--no-defaults",
            f"--socket={paths.mysql_socket}",
            "-e",
            "CREATE DATABASE neutron CHARACTER SET utf8",
        ]
    )
    migrate = str(release.venv(paths) / "bin" / "neutron-db-manage")
    run([migrate, "--config-file", str(conf), "upgrade", "heads"], log=log, timeout=300)
    registry.stop([NAME])


def _server_version() -> str:
    found = re.search(r"Ver (\d+\.\d+\.\d+)", run(["mariadbd", "--no-defaults", "--version"]))
    return found.group(1) if found else "unknown"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one lab at a time creates the template."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

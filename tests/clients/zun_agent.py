# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""OpenStack Zun on a host of the lab, as a test drives it: its compute agent with the lab's Docker and Neutron."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from lab import people, venvs
from lab.api import Host, Lab
from lab.paths import KEYSTONE_URL
from lab.process import clean_environment

PROGRAM = Path(__file__).with_name("zun_compute.py")
WANTS = ("zun", "docker")
# A real Zun has the role admin as well, and writes bindings of ports.
SERVICE = people.OPERATOR
_CONF = """\
[DEFAULT]
host = {host.name}
state_path = {folder}

[oslo_concurrency]
lock_path = {folder}/lock

[database]
connection = sqlite:///{folder}/zun.db

[docker]
api_url = unix://{host.paths.docker_socket}
api_insecure = true

[keystone_auth]
{login}
[keystone_authtoken]
www_authenticate_uri = {keystone}

[neutron_client]
region_name = {people.REGION}
"""


class ZunError(Exception):
    """What Zun would have told its user, or written to its log."""


class Zun:
    def __init__(self, program: subprocess.Popen[str], log: Path) -> None:
        self._program = program
        self._log = log

    @classmethod
    @contextmanager
    def on(cls, lab: Lab, host: Host) -> Iterator[Self]:
        folder = host.paths.state / "zun"
        folder.mkdir(exist_ok=True)
        (folder / "zun.db").unlink(missing_ok=True)
        config, log = folder / "zun.conf", lab.paths.log(f"{host.name}-zun")
        config.write_text(
            _CONF.format(host=host, folder=folder, login=SERVICE.options(), keystone=KEYSTONE_URL, people=people)
        )
        python = venvs.python(venvs.environment(lab.paths.cache, "zun", WANTS))
        with log.open("ab") as output:
            program = subprocess.Popen(
                host.enter([str(python), str(PROGRAM), str(config)]),
                env={**clean_environment(), **people.TENANT_MEMBER.environment()},
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
            )
        try:
            yield cls(program, log)
        finally:
            program.communicate(timeout=60)  # the end of its input is the end of its work

    def ask(self, verb: str, **arguments: Any) -> Any:
        """Raises `ZunError` with what Zun said."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(json.dumps([verb, arguments]) + "\n")
        self._program.stdin.flush()
        line = self._program.stdout.readline()
        if not line:
            raise ZunError(f"it has ended; see {self._log}")
        said = json.loads(line)
        if "error" in said:
            raise ZunError(said["error"])
        return said["answer"]

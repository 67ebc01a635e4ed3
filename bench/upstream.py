# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Upstream's kuryr-libnetwork beside ours, on the same host of the lab, as Docker's driver "upstream".

It has an environment of its own (``bench/upstream.txt``), which ``./dev bench`` installs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.operations import Bench
from lab import http
from lab.people import KURYR_ADMIN
from lab.process import Program, wait_until

NAME = "upstream"
PORT = 23750
_CONF = """\
[DEFAULT]
kuryr_uri = http://127.0.0.1:{port}
bindir = {venv}/libexec/kuryr
state_path = {folder}
[neutron]
{login}
vif_plugging_is_fatal = False
[oslo_concurrency]
lock_path = {folder}
"""


def is_installed(bench: Bench) -> bool:
    return _server(bench).exists()


def _venv(bench: Bench) -> Path:
    return bench.lab.paths.dev / NAME


def _server(bench: Bench) -> Path:
    return _venv(bench) / "bin" / "kuryr-server"


@contextmanager
def running(bench: Bench) -> Iterator[None]:
    """Ours runs as well; upstream needs the role admin."""
    paths = bench.host.paths
    folder = paths.state / NAME
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "kuryr.conf"
    conf.write_text(_CONF.format(port=PORT, venv=_venv(bench), folder=folder, login=KURYR_ADMIN.options()))
    plugins = paths.state / "etc-docker" / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    spec = plugins / f"{NAME}.spec"
    name = f"{bench.host.name}-{NAME}"
    argv = (str(_server(bench)), "--config-file", str(conf))
    log = bench.lab.paths.log(name)
    environment = {"PATH": f"{_venv(bench)}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "OVS_RUNDIR": str(paths.ovs_run)}
    record = bench.lab.programs.start(Program(name, argv, bench.host.place, log, environment))
    try:
        connect = http.inside(paths.netns, ("127.0.0.1", PORT))
        wait_until(lambda: http.answers(connect, "POST", "/Plugin.Activate"), record, 60)
        spec.write_text(f"http://127.0.0.1:{PORT}\n")
        yield
    finally:
        spec.unlink(missing_ok=True)
        bench.lab.programs.stop([name])

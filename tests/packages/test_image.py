# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The container image with the files that kolla-ansible mounts, in namespaces of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.paths import LabPaths
from lab.process import run
from lab.release import image, tree
from tests.packages.conftest import LIMIT, Built

pytestmark = pytest.mark.timeout(LIMIT)
CONF = """
[DEFAULT]
kuryr_uri = http://192.0.2.20:23750
log_dir = /var/log/kolla/kuryr
docker_socket =
# what the operator has to add
kuryr_uri =
[neutron]
auth_type = none
endpoint = http://127.0.0.1:9
"""
CONFIG = {
    "command": "kuryr-server --config-file /etc/kuryr/kuryr.conf",
    "config_files": [
        {"source": "/config/kuryr.conf", "dest": "/etc/kuryr/kuryr.conf", "owner": "kuryr", "perm": "0600"},
    ],
    "permissions": [{"path": "/var/log/kolla/kuryr", "owner": "kuryr:kolla", "recurse": True}],
}
UNPACK = 'tar --extract --gzip --to-stdout --wildcards --file "$1" "*/layer.tar" | tar --extract --directory "$2"'
INSIDE = """
set -e
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/run"
export KOLLA_CONFIG="$2"
chroot "$1" "$3" --single-child -- "$4" >"$1/output" 2>&1 &
server=$!
until [ -S "$1/run/docker/plugins/kuryr.sock" ]; do kill -0 "$server"; sleep 0.1; done
chroot "$1" healthcheck_listen kuryr-server 23750
chroot "$1" kolla_set_configs --check
stat -c '%a %U' "$1/etc/kuryr/kuryr.conf" "$1/run/docker/plugins/kuryr.sock"
kill "$server"
wait "$server"
"""


@pytest.fixture
def root(built: Built, tmp_path: Path) -> Iterator[Path]:
    if built.release != image.RELEASE:
        pytest.skip(f"the image is of {image.RELEASE}")
    (tmp_path / "work").mkdir()
    archive = image.build(LabPaths("release"), built.package, "19.0.0", tmp_path / "work", tmp_path, tree.epoch())
    (tmp_path / "root").mkdir()
    run(["sh", "-c", UNPACK, "sh", str(archive), str(tmp_path / "root")], timeout=600)
    archive.unlink()
    yield tmp_path / "root"
    shutil.rmtree(tmp_path / "root")


def test_the_service_runs_as_kolla_starts_it(root: Path) -> None:
    """Fails if the image's entry point, kolla's config.json, the health check or the end of the service do not work."""
    (root / "config").mkdir()
    (root / "config" / "kuryr.conf").write_text(CONF)
    program = image.config("19.0.0", "")["config"]
    words = [str(root), json.dumps(CONFIG), program["Entrypoint"][0], *program["Cmd"]]
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE, "sh", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    output = (root / "output").read_text()
    assert done.returncode == 0, done.stdout + done.stderr + output
    assert done.stdout.splitlines() == ["live", "600 root", "600 root"]
    assert output == f"running: {CONFIG['command']}\n"
    assert "listening on" in (root / "var/log/kolla/kuryr/kuryr-server.log").read_text()

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""An executable of the operator's attaches the containers of a host, as upstream's scripts did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.api import Host
from lab.process import wait_for
from tests.cloud.user import User, unique_cidr

SCRIPT = """#!/bin/sh
set -eu
echo "$@" >> {folder}/calls
if [ -e {folder}/broken ]; then echo the controller is down >&2; exit 3; fi
ids="external_ids:iface-id=$2 external_ids:vm-uuid=$4 external_ids:iface-status=active external_ids:owner=operator"
case "$1" in
bind) ovs-vsctl --timeout=10 --may-exist add-port br-int "$3" -- set Interface "$3" external_ids:attached-mac=$5 $ids ;;
unbind) ovs-vsctl --timeout=10 --if-exists del-port br-int "$3" ;;
esac
"""


@pytest.fixture
def folder(h2: Host) -> Iterator[Path]:
    """``bindir`` of a host that has its own script for ports of Open vSwitch."""
    folder = h2.paths.state / "bindir"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    script = folder / "ovs"
    script.write_text(SCRIPT.format(folder=folder))
    script.chmod(0o755)
    file = h2.paths.kuryr_conf
    text = file.read_text()
    options = f"[DEFAULT]\nbindir = {folder}\nreconcile_interval = 1\n"
    file.write_text(text.replace("[DEFAULT]\n", options) + "\n[binding]\nscript_vif_types = ovs\n")
    h2.kuryr.restart()
    yield folder
    file.write_text(text)
    h2.kuryr.restart()


def rows(host: Host) -> list[str]:
    found = host.run(["ovs-vsctl", "--bare", "--columns=name", "find", "interface", "external_ids:owner=operator"])
    return found.stdout.split()


def has_link(host: Host, name: str) -> bool:
    return host.run(["ip", "link", "show", name], check=False).returncode == 0


def test_containers_are_attached_by_the_script(user: User, h2: Host, folder: Path) -> None:
    """An operator's own script would not be run, or its failure be taken for success, as with upstream."""
    net = user.network(h2, f"--subnet={unique_cidr()}")
    one, two = user.run(h2, net), user.run(h2, net)
    port = user.port_of(h2, one, net)
    tap = f"tap{port['id']}"[:14]
    assert tap in rows(h2)
    user.ping(h2, one, user.address(h2, two, net))
    bound = (folder / "calls").read_text().splitlines()[0]
    words = (
        f"bind {port['id']} {tap} {port['device_id']} {port['mac_address']} {port['network_id']} {port['project_id']} "
    )
    assert bound.startswith(words + "\"{'")
    assert "'bridge_name': 'br-int'" in bound
    user.rm(h2, two)
    (folder / "broken").touch()
    said = user.refused(h2, "run", "--rm", "--net", net, "busybox", "true")
    assert "ovs bind" in said
    assert "ended with 3: the controller is down" in said
    user.rm(h2, one)
    assert has_link(h2, tap)
    (folder / "broken").unlink()
    assert wait_for(lambda: not has_link(h2, tap), 30), "the reconciler did not try again"
    assert rows(h2) == []
    assert [line.split()[0] for line in (folder / "calls").read_text().splitlines()].count("unbind") >= 3

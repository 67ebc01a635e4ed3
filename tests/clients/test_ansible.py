# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Ansible's collection for Docker, on each Docker Engine: a playbook that is played twice."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lab import ansible, venvs
from lab.api import Host, Lab
from lab.people import KURYR
from tests.cloud.user import MOVING, User, unique_cidr, unique_cidr_v6

PLAYBOOK = Path(__file__).with_name("playbook.yaml")


def play(lab: Lab, host: Host, variables: dict[str, Any]) -> dict[str, int]:
    """How many tasks were ``ok``, ``changed``, ``skipped`` …"""
    cache, folder = lab.paths.cache, ansible.environment(lab.paths.cache)
    python = str(venvs.python(folder))
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(ansible.collections(cache)),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_HOME": str(host.paths.state / "ansible"),
        "LC_ALL": "C.UTF-8",
    }
    more = {**variables, "ansible_python_interpreter": python, "ansible_connection": "local"}
    said = host.run(
        [
            *("env", *(f"{name}={value}" for name, value in settings.items())),
            *(python, str(folder / "bin" / "ansible-playbook"), "--inventory", "localhost,"),
            *("--extra-vars", json.dumps(more), str(PLAYBOOK)),
        ],
        check=False,
        timeout=200,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    recap = said.stdout.rpartition("PLAY RECAP")[2]
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", recap)}


@pytest.mark.quick
def test_the_second_run_changes_nothing(lab: Lab, user: User, host: Host) -> None:
    """Ansible would make networks or containers anew with each run, because they look otherwise than it asked."""
    back = user.make("network", name="back")["id"]
    subnet = user.make("subnet", network_id=back, cidr=unique_cidr(), ip_version=4)
    port = user.make("port", network_id=back, name="of-the-user")
    before = user.get("port", port["id"])
    variables: dict[str, Any] = {
        "present": True,
        "group": user.open_group(by=KURYR)["id"],
        "front": unique_cidr(),
        "front_v6": unique_cidr_v6(),
        "back": back,
        "back_cidr": subnet["cidr"],
        "address": port["fixed_ips"][0]["ip_address"],
    }
    try:
        assert play(lab, host, variables)["changed"] == 4
        boxes = {name: host.docker_inspect(name)["Id"] for name in ("play-web", "play-db")}
        assert user.port_of(host, "play-db", "play-back")["id"] == port["id"]
        assert user.port_of(host, "play-web", "play-front")["security_groups"] == [variables["group"]]
        assert play(lab, host, variables)["changed"] == 0
        assert {name: host.docker_inspect(name)["Id"] for name in boxes} == boxes
    finally:
        gone = play(lab, host, {**variables, "present": False})
    assert gone["changed"] == 3
    after = user.get("port", port["id"])
    assert {key for key in before if before[key] != after[key]} <= MOVING

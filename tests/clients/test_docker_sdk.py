# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's own library for Python, on each Docker Engine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lab import venvs
from lab.api import Host, Lab
from lab.people import KURYR
from tests.cloud.user import MOVING, User, unique_cidr, unique_cidr_v6

PROGRAM = Path(__file__).with_name("sdk_user.py")


@pytest.mark.quick
def test_a_program_with_networks_and_containers(lab: Lab, user: User, host: Host) -> None:
    """Programs would not get the networks, options and addresses that they ask for, or leave something behind."""
    back = user.make("network", name="back")["id"]
    subnet = user.make("subnet", network_id=back, cidr=unique_cidr(), ip_version=4)
    port = user.make("port", network_id=back, name="of-the-user")
    before = user.get("port", port["id"])
    wanted = {
        "front": unique_cidr(),
        "front_v6": unique_cidr_v6(),
        "back": back,
        "back_cidr": subnet["cidr"],
        "group": user.open_group(by=KURYR)["id"],
        "address": port["fixed_ips"][0]["ip_address"],
    }
    python = venvs.python(venvs.environment(lab.paths.cache, "docker-sdk", ("docker",)))
    program = host.popen([str(python), str(PROGRAM), json.dumps(wanted)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert program.stdout is not None
        seen = json.loads(program.stdout.readline())
        (front,) = user.ports(device_id=seen["endpoints"]["sdk-front"])
        (mine,) = user.ports(device_id=seen["endpoints"]["sdk-back"])
    finally:
        said, _ = program.communicate("\n", timeout=120)
    assert program.returncode == 0
    assert seen["networks"] == ["sdk-back", "sdk-front"]
    assert seen["connected"]["sdk-back"] == seen["restarted"]["sdk-back"] == [wanted["address"], ""]
    assert {fixed["ip_address"] for fixed in front["fixed_ips"]} == {*seen["restarted"]["sdk-front"]}
    assert all(each in seen["inside"] for each in [*seen["restarted"]["sdk-front"], wanted["address"]])
    assert front["security_groups"] == [wanted["group"]]
    assert mine["id"] == port["id"]
    assert [*json.loads(said)["disconnected"]] == ["sdk-front"]
    after = user.get("port", port["id"])
    assert {key for key in before if before[key] != after[key]} <= MOVING

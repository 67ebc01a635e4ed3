# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Ports of the user, adopted by containers, with the real Neutron: used as they are, given back as they were."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from lab.api import Host, Lab
from lab.people import ADMIN, TENANT_MEMBER, Person
from tests.cloud.budget import counted
from tests.cloud.test_restarts import lose_journal
from tests.cloud.user import MOVING, User, together, unique_cidr

MAC = "02:42:ac:11:99:01"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Ground:
    """A network of the user's with one port on it, and a Docker network over it on each host."""

    def __init__(self, user: User, *hosts: Host, by: Person = TENANT_MEMBER, **attributes: Any) -> None:
        """``by``: who makes the port, with these attributes."""
        self.user = user
        cidr = unique_cidr()
        network = user.make("network", name="tenant")
        subnet = user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
        self.ip = cidr.replace(".0/24", ".50")
        fixed = [{"subnet_id": subnet["id"], "ip_address": self.ip}]
        wanted = {"network_id": network["id"], "project_id": network["project_id"], "fixed_ips": fixed, **attributes}
        made = user.make("port", by=by, name="mine", **wanted)
        user.member.tag("port", made["id"], "keep")
        self.id = made["id"]
        self.before = self.port()
        self.subnet = subnet
        self.choice = ("-o", f"neutron.net.uuid={network['id']}")
        self.nets = [user.network(host, f"--subnet={cidr}", *self.choice) for host in hosts]

    def port(self) -> dict[str, Any]:
        return {key: value for key, value in self.user.get("port", self.id).items() if key not in MOVING}


LOOKS = ("fixed_ips=", "mac_address=", "ports?id=", "security-groups?name=", "security-groups?id=", "policies?name=")
CLAIMED = "subnetpools?tags=kuryr.claim"


def calls(lab: Lab, since: int, looks: tuple[str, ...] = LOOKS) -> list[str]:
    """Neutron's calls for Docker: the looks of the background, which may come at any moment, are left out."""
    made = [
        call
        for call in counted(lab, lab.neutron_calls(since))
        if call.method != "GET" or any(look in call.uri for look in looks)
    ]
    return [_UUID.sub("ID", f"{call.method} {call.uri.partition('?')[0].removeprefix('/v2.0/')}") for call in made]


@pytest.mark.parametrize("lost", [False, True], ids=["", "journal-lost"])
@pytest.mark.parametrize("reserved", [False, True], ids=["free", "reserved-as-Zun-does"])
def test_every_attribute_comes_back(user: User, h1: Host, lost: bool, reserved: bool) -> None:
    """The user's port would come back with a MAC, a state, groups or a binding that its container had."""
    group = user.make("security-group", name="mine")
    zun: dict[str, Any] = {"device_owner": "compute:kuryr", "device_id": "zun-container"} if reserved else {}
    more: dict[str, Any] = {
        "admin_state_up": False,
        "security_groups": [group["id"]],
        "dns_name": "web",
        "description": "mine",
    }
    ground = Ground(user, h1, **more, **zun)
    box = user.run(h1, ground.nets[0], f"--ip={ground.ip}", f"--mac-address={MAC}")
    there = ground.port()
    assert (there["binding:host_id"], there["mac_address"], there["admin_state_up"]) == ("h1", MAC, True)
    assert MAC in user.inside(h1, box, "ip", "link", "show", "eth0")
    if lost:
        lose_journal(h1)
    user.rm(h1, box)
    assert ground.port() == ground.before


def test_what_the_owner_changes_meanwhile_stays(user: User, h1: Host) -> None:
    """A name, a group or a tag that the owner gave his port while a container had it would be lost."""
    ground = Ground(user, h1)
    box = user.run(h1, ground.nets[0], f"--ip={ground.ip}")
    group = user.make("security-group", name="later")
    mine = {"name": "new", "description": "mine", "security_groups": [group["id"]]}
    user.member.change("port", ground.id, **mine)
    user.member.call("PUT", f"/ports/{ground.id}/tags/later")
    user.rm(h1, box)
    assert ground.port() == ground.before | mine | {"tags": ["keep", "later"]}
    user.member.change("port", ground.id, security_groups=[])


def test_calls_stay_in_the_budget(user: User, h1: Host, lab: Lab) -> None:
    """Every call more than the budget allows costs each docker run a tenth of a second, for ever."""
    ground = Ground(user, h1)
    at = lab.neutron_log_position()
    box = user.run(h1, ground.nets[0], f"--ip={ground.ip}")
    claimed = ["POST subnetpools/ID/tags", "GET subnetpools"]
    assert calls(lab, at, (*LOOKS, CLAIMED)) == ["GET ports", *claimed, "PUT ports/ID"]
    at = lab.neutron_log_position()
    user.rm(h1, box)
    given_back = calls(lab, at)
    given_back.remove("PUT ports/ID")
    assert given_back in ([], ["PUT subnetpools/ID/tags"])  # the background may have taken the claim off before


def test_a_port_that_is_bound_already_is_not_bound_again(user: User, h1: Host, lab: Lab) -> None:
    """Each container of Zun would wait for an update that changes nothing, and Zun not find its port afterwards."""
    zun: dict[str, Any] = {"device_owner": "compute:kuryr", "device_id": "zun-container", "binding:host_id": "h1"}
    zun["security_groups"] = [user.open_group()["id"]]
    ground = Ground(user, h1, by=ADMIN, **zun)
    at = lab.neutron_log_position()
    box = user.run(h1, ground.nets[0], f"--ip={ground.ip}", f"--mac-address={ground.before['mac_address']}")
    assert calls(lab, at) == ["GET ports"]
    other = user.run(h1, ground.nets[0])
    user.ping(h1, other, ground.ip)
    user.rm(h1, other)
    at = lab.neutron_log_position()
    user.rm(h1, box)
    assert calls(lab, at) == ["GET ports"]
    assert ground.port() == ground.before


def test_two_hosts_adopt_one_port_at_the_same_instant(user: User, h1: Host, h2: Host) -> None:
    """Neutron lets both of two simultaneous updates through: both hosts would believe that they have the port."""
    ground = Ground(user, h1, h2)
    hosts = (h1, h2)
    for number in range(6):
        names = [f"rival{number}-{host.name}" for host in hosts]
        started = [
            host.popen(
                ["docker", "run", "-d", "--name", name, "--net", net, f"--ip={ground.ip}", "busybox", "sleep", "600"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for host, name, net in zip(hosts, names, ground.nets, strict=True)
        ]
        try:
            ended = together(*started, timeout=90)
            (winner,) = [at for at, (code, _) in enumerate(ended) if code == 0]
            assert f"port {ground.id}" in ended[1 - winner][1]
            there = ground.port()
            endpoint = user.settings(hosts[winner], names[winner], ground.nets[winner])["EndpointID"]
            assert (there["binding:host_id"], there["device_id"]) == (hosts[winner].name, endpoint)
        finally:
            for host, name in zip(hosts, names, strict=True):
                host.docker("rm", "-f", name, check=False)
        assert ground.port() == ground.before


def test_a_mac_alone_is_explained(user: User, h1: Host) -> None:
    """The container would get another address than that of the port, or an error that does not say what to do."""
    ground = Ground(user, h1)
    mac = f"--mac-address={ground.before['mac_address']}"
    said = user.refused(h1, "run", "--rm", "--net", ground.nets[0], mac, "busybox", "true")
    assert f"port {ground.id}, whose address is {ground.ip}" in said
    assert f"to use the port add --ip {ground.ip}" in said
    assert ground.port() == ground.before
    box = user.run(h1, ground.nets[0], f"--ip={ground.ip}", mac)
    assert user.port_of(h1, box, ground.nets[0])["id"] == ground.id

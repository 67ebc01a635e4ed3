# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""--expose and -p against the security groups that OVN enforces."""

from __future__ import annotations

import pytest

from lab.api import Host, Lab
from tests.cloud.budget import calls_of_kuryr
from tests.cloud.test_restarts import lose_journal
from tests.cloud.user import User, unique_cidr, unique_cidr_v6

ANSWER = "from-the-server"


class Site:
    """A dual-stack network of the user's, and a client whose port is in no group but its own."""

    def __init__(self, user: User, host: Host) -> None:
        self.user = user
        self.host = host
        cidr, cidr_v6 = unique_cidr(), unique_cidr_v6()
        network = user.make("network", name="tenant")
        four = user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
        six = user.make("subnet", network_id=network["id"], cidr=cidr_v6, ip_version=6)
        self.group = user.make("security-group", name="of-the-user")
        self.addresses = [(cidr.replace(".0/24", f".{n}"), cidr_v6.replace("::/64", f"::{n}")) for n in (50, 51)]
        self.ports = [
            user.make(
                "port",
                network_id=network["id"],
                security_groups=[self.group["id"]],
                fixed_ips=[
                    {"subnet_id": four["id"], "ip_address": ip},
                    {"subnet_id": six["id"], "ip_address": ip6},
                ],
            )
            for ip, ip6 in self.addresses
        ]
        options = ("--ipv6", f"--subnet={cidr_v6}", "-o", f"neutron.net.uuid={network['id']}")
        self.net = user.network(host, f"--subnet={cidr}", *options)
        self.client = self.run(0)

    def run(self, number: int, *arguments: str) -> str:
        """A container on one of the two ports."""
        ip, ip6 = self.addresses[number]
        return self.user.run(self.host, self.net, f"--ip={ip}", f"--ip6={ip6}", *arguments)

    def serve(self, box: str, port: int) -> None:
        script = f"while true; do echo {ANSWER} | nc -l -p {port}; done"
        self.host.docker("exec", "-d", box, "sh", "-c", script)

    def reaches(self, address: str, port: int) -> bool:
        """Whether one of five tries of two seconds each gets the answer."""
        tries = f"for i in 1 2 3 4 5; do nc -w 2 {address} {port} </dev/null && break; done"
        return ANSWER in self.host.docker("exec", self.client, "sh", "-c", tries, check=False).stdout


def groups_of(user: User, port: dict[str, object]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = user.neutron("GET", f"/security-groups?name={port['id']}-exposed_ports")[
        "security_groups"
    ]
    return found


def test_exposed_ports_are_reached_and_no_others(user: User, h1: Host, lab: Lab) -> None:
    """--expose would open nothing, as with upstream (docs/compatibility.md, B1), or everything."""
    site = Site(user, h1)
    at = lab.neutron_log_position()
    box = user.run(h1, site.net, "--expose=7000-7001", "-p", "8002:7002", "--expose=53/udp")
    assert len(calls := calls_of_kuryr(lab, at)) == 4, calls
    (group,) = groups_of(user, user.port_of(h1, box, site.net))
    rules = user.neutron("GET", f"/security-group-rules?security_group_id={group['id']}&direction=ingress")
    opened = {
        (r["ethertype"], r["protocol"], r["port_range_min"], r["port_range_max"]) for r in rules["security_group_rules"]
    }
    assert opened == {(ip, *each) for ip in ("IPv4", "IPv6") for each in (("tcp", 7000, 7002), ("udp", 53, 53))}
    for port in (7000, 7002, 7003):
        site.serve(box, port)
    for address in (user.address(h1, box, site.net), user.address_v6(h1, box, site.net)):
        assert site.reaches(address, 7000)
        assert site.reaches(address, 7002)
        assert not site.reaches(address, 7003)
    said = [line for line in h1.kuryr.log.read_text().splitlines() if "-p 8002->7002/tcp: nothing is published" in line]
    assert len(said) == 1
    at = lab.neutron_log_position()
    user.rm(h1, box)
    assert len(calls := calls_of_kuryr(lab, at)) == 2, calls
    assert user.neutron("GET", f"/security-groups?id={group['id']}")["security_groups"] == []


@pytest.mark.parametrize("lose", [False, True], ids=["", "journal-lost"])
def test_an_adopted_port_gets_its_own_groups_back(user: User, h1: Host, lose: bool) -> None:
    """A port of the user's would stay open after the container, or lose its groups."""
    site = Site(user, h1)
    box = site.run(1, "--expose=7000")
    port = user.port_of(h1, box, site.net)
    (group,) = groups_of(user, port)
    assert set(port["security_groups"]) == {site.group["id"], group["id"]}
    site.serve(box, 7000)
    assert site.reaches(site.addresses[1][0], 7000)
    if lose:
        lose_journal(h1)
    user.rm(h1, box)
    assert user.get("port", port["id"])["security_groups"] == [site.group["id"]]
    assert groups_of(user, port) == []


def test_a_full_quota_is_one_line_and_leaves_nothing(user: User, h1: Host) -> None:
    """The user would not know why an image that exposes ports does not start."""
    net = user.network(h1, f"--subnet={unique_cidr()}")
    network = user.network_of(h1, net)
    path = f"/quotas/{network['project_id']}"
    for kind, limit in (("security_group", 1), ("security_group_rule", 7)):
        user.neutron("PUT", path, {"quota": {kind: limit}})
        try:
            said = user.refused(h1, "run", "--rm", "--net", net, "--expose=7000-7001", "busybox", "true")
        finally:
            user.neutron("DELETE", path)
        assert f"Quota exceeded for resources: ['{kind}']" in said
        assert "process_external_connectivity = false" in said
    assert [port["name"] for port in user.ports(network_id=network["id"]) if "kuryr" in port["name"]] == []


@pytest.mark.timeout(600)
def test_three_hundred_ports_that_are_no_ranges(user: User, h1: Host, lab: Lab) -> None:
    """A telephone exchange or a game server would not start: Neutron takes too long for so many rules at once."""
    site, box = Site(user, h1), "exposes-300"
    single = [f"--expose={port}/{'udp' if port % 2 else 'tcp'}" for port in range(20000, 20300)]
    ours = user.network_of(h1, user.network(h1, f"--subnet={unique_cidr()}"))
    path = f"/quotas/{ours['project_id']}"
    user.neutron("PUT", path, {"quota": {"security_group_rule": 2000}})
    try:
        at = lab.neutron_log_position()
        options = ("--net", site.net, *single, "--expose=21000-21099")
        h1.docker("run", "-d", "--name", box, *options, "busybox", "sleep", "600", timeout=400)
        # It takes a minute, in which other parts of the service ask and write as well.
        its_own = ("POST /v2.0/ports", "POST /v2.0/security-group", "PUT /v2.0/ports/")
        made = [call for call in calls_of_kuryr(lab, at) if call.startswith(its_own)]
        assert len(made) == 4 + 21, made
        (group,) = groups_of(user, user.port_of(h1, box, site.net))
        rules = user.neutron("GET", f"/security-group-rules?security_group_id={group['id']}&direction=ingress")
        assert len(rules["security_group_rules"]) == 2 * 301
        address = user.address(h1, box, site.net)
        for port in (20000, 20298, 21050, 20001, 21100):
            site.serve(box, port)
        assert [port for port in (20000, 20298, 21050) if not site.reaches(address, port)] == []
        assert [port for port in (20001, 21100) if site.reaches(address, port)] == []  # udp alone, and none
        h1.docker("rm", "-f", box)
        assert user.neutron("GET", f"/security-groups?id={group['id']}")["security_groups"] == []
        assert user.neutron("GET", f"/security-group-rules?security_group_id={group['id']}") == {
            "security_group_rules": []
        }
    finally:
        h1.docker("rm", "-f", box, check=False)
        user.neutron("DELETE", path)

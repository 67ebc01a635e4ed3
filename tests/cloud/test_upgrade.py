# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The service takes over what upstream's kuryr-libnetwork has made: on the day of the upgrade nothing may be lost."""

from __future__ import annotations

from typing import Any

from lab.api import Host
from lab.process import wait_for
from tests.cloud.upstream import OldInstallation
from tests.cloud.user import User, unique_cidr


def there(user: User, kind: str, **query: str) -> list[dict[str, Any]]:
    text = "&".join(f"{key}={value}" for key, value in query.items())
    found: list[dict[str, Any]] = user.neutron("GET", f"/{kind}?{text}")[kind]
    return found


def test_a_network_and_its_containers_go_on(user: User, h1: Host) -> None:
    """Running containers would lose their network, new ones would not start, or old ports would be leaked."""
    cidr = unique_cidr()
    net = user.network(h1, f"--subnet={cidr}")
    old = user.run(h1, net)
    with OldInstallation(user, h1) as upstream:
        network = upstream.network(net)
        port = upstream.container(old, net)
    new = user.run(h1, net)
    user.ping(h1, new, user.address(h1, old, net))
    user.ping(h1, old, user.address(h1, new, net))
    user.rm(h1, old)
    assert user.ports(id=port["id"]) == []
    user.rm(h1, new)
    user.network_rm(h1, net)
    assert there(user, "networks", id=network["id"]) == []
    assert there(user, "subnetpools", name=f"kuryrPool-{cidr}") == []


def test_a_stopped_container_starts_again(user: User, h1: Host) -> None:
    """``docker stop`` before the upgrade and ``docker start`` after it would fail, or leak the port of before."""
    net = user.network(h1, f"--subnet={unique_cidr()}")
    box = user.run(h1, net)
    with OldInstallation(user, h1) as upstream:
        upstream.network(net)
        upstream.container(box, net)
    h1.docker("stop", "-t", "0", box)
    h1.docker("start", box)
    other = user.run(h1, net)
    user.ping(h1, other, user.address(h1, box, net))
    user.rm(h1, other)
    user.rm(h1, box)
    user.network_rm(h1, net)


def test_the_users_network_and_port_stay_his(role: str, user: User, h1: Host) -> None:
    """An adopted port would be deleted or stay bound, or the tenant's network go with the Docker network."""
    cidr = unique_cidr()
    network = user.make("network", name="tenant")
    subnet = user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4, name="of-the-tenant")
    ip = cidr.replace(".0/24", ".50")
    fixed, groups = [{"subnet_id": subnet["id"], "ip_address": ip}], [user.open_group()["id"]]
    port = user.make("port", network_id=network["id"], fixed_ips=fixed, security_groups=groups)
    net = user.network(h1, f"--subnet={cidr}", "-o", f"neutron.net.uuid={network['id']}")
    box = user.run(h1, net, f"--ip={ip}")
    with OldInstallation(user, h1) as upstream:
        upstream.existing(net, network)
        upstream.container(box, net, adopted=True)
        since = len(h1.kuryr.log.read_text())
    assert wait_for(lambda: "on Docker's word" in h1.kuryr.log.read_text()[since:], 30)
    user.ping(h1, user.run(h1, net), ip)
    user.rm(h1, box)
    after = user.get("port", port["id"])
    assert (after["binding:host_id"], after["device_id"], after["device_owner"]) == ("", "", "")
    for name in [each for host, each in user.containers if host is h1]:
        user.rm(h1, name)
    user.network_rm(h1, net)
    marked = [("port", port["id"]), ("network", network["id"]), ("subnet", subnet["id"])]
    left = [kind for kind, resource_id in marked if user.get(kind, resource_id)["tags"]]
    # Tags on what is a tenant's take the role admin.
    assert left == ([] if role == "admin" else ["port", "network", "subnet"])


def test_what_upstream_left_in_a_released_port_is_no_obstacle(user: User, h1: Host) -> None:
    """Upstream leaves the last endpoint's id in the device of an adopted port: nobody could use it again."""
    cidr = unique_cidr()
    network = user.make("network", name="tenant")
    subnet = user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
    ip = cidr.replace(".0/24", ".50")
    fixed = [{"subnet_id": subnet["id"], "ip_address": ip}]
    port = user.make("port", network_id=network["id"], fixed_ips=fixed, device_id="ab" * 32)
    net = user.network(h1, f"--subnet={cidr}", "-o", f"neutron.net.name={network['name']}")
    box = user.run(h1, net, f"--ip={ip}")
    assert user.port_of(h1, box, net)["id"] == port["id"]
    user.rm(h1, box)
    assert user.get("port", port["id"])["device_id"] == ""
    user.network_rm(h1, net)

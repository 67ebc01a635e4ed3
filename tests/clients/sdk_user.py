# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a program does that uses Docker's library for Python: networks, containers, and changes of both.

A program of an environment with that library. ``sdk_user.py JSON`` prints what it has seen as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import docker
from docker.types import IPAMConfig, IPAMPool


def main(front: str, front_v6: str, back: str, back_cidr: str, group: str, address: str) -> dict[str, Any]:
    client = docker.from_env()
    pools = [IPAMPool(subnet=front), IPAMPool(subnet=front_v6)]
    options = {"neutron.security_groups": "none"}
    ipam = IPAMConfig(driver="kuryr", pool_configs=pools)
    first = client.networks.create("sdk-front", driver="kuryr", options=options, ipam=ipam, enable_ipv6=True)
    ipam = IPAMConfig(driver="kuryr", pool_configs=[IPAMPool(subnet=back_cidr)])
    second = client.networks.create("sdk-back", driver="kuryr", options={"neutron.net.uuid": back}, ipam=ipam)
    seen: dict[str, Any] = {"networks": sorted(each.name for each in client.networks.list(names=["sdk-"]))}
    own = client.api.create_endpoint_config(driver_opt={"neutron.security_groups": group})
    box = client.containers.run(
        "busybox",
        ["sleep", "600"],
        name="sdk-box",
        detach=True,
        network="sdk-front",
        networking_config={"sdk-front": own},
    )
    second.connect(box, ipv4_address=address)
    seen["connected"] = _addresses(box)
    box.restart(timeout=1)
    seen["restarted"] = _addresses(box)
    seen["container"] = box.id
    seen["endpoints"] = {name: each["EndpointID"] for name, each in _networks(box).items()}
    seen["inside"] = box.exec_run(["ip", "addr"]).output.decode()
    print(json.dumps(seen), flush=True)
    sys.stdin.readline()  # until the test has looked at it
    second.disconnect(box)
    seen["disconnected"] = _addresses(box)
    box.remove(force=True)
    for network in (first, second):
        network.remove()
    return seen


def _networks(box: Any) -> dict[str, Any]:
    box.reload()
    found: dict[str, Any] = box.attrs["NetworkSettings"]["Networks"]
    return found


def _addresses(box: Any) -> dict[str, list[str]]:
    return {name: [each["IPAddress"], each["GlobalIPv6Address"]] for name, each in _networks(box).items()}


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))

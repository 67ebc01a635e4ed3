# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""An installation of upstream's kuryr-libnetwork 18, as it leaves Neutron, the host and Open vSwitch
(docs/notes/upstream.md).

Docker has its networks and containers from our own service; what that one says of itself (descriptions, names of bound
ports, aliases of interfaces, the journal) is then taken away, and upstream's marks are put in its place.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from lab.api import Host
from lab.errors import LabError
from lab.people import ADMIN, OPERATOR
from tests.cloud.user import User


class OldInstallation:
    """Within the ``with`` block the service is down; it starts again without a journal."""

    def __init__(self, user: User, host: Host) -> None:
        self._user = user
        self._host = host

    def __enter__(self) -> OldInstallation:
        self._host.kuryr.kill()
        for file in self._host.paths.kuryr_state.glob("kuryr.db*"):
            file.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        self._host.kuryr.start()

    def network(self, name: str) -> dict[str, Any]:
        """A Docker network, with its subnets and pools, without a word of ours; its tags are upstream's already."""
        network = self._user.network_of(self._host, name)
        self._undescribed("network", network["id"])
        for subnet_id in network["subnets"]:
            subnet = self._user.get("subnet", subnet_id)
            self._undescribed("subnet", subnet_id)
            for tag in subnet["tags"]:
                with contextlib.suppress(LabError):  # any UUID may be a tag; only some are pools
                    self._undescribed("subnetpool", tag)
        return self._user.get("network", network["id"])

    def existing(self, name: str, network: dict[str, Any]) -> None:
        """A Docker network on a Neutron network of somebody else's, who sees upstream's tags on it."""
        docker_id = self._host.docker_inspect(name)["Id"]
        halves = [f"kuryr.net.uuid.lh:{docker_id[:32]}", f"kuryr.net.uuid.uh:{docker_id[32:]}"]
        self._tag("network", network["id"], *halves, f"kuryr.net.existing:{docker_id[:12]}")
        (pool,) = self._user.neutron("GET", f"/subnetpools?tags=kuryr.net.on:{network['id']}")["subnetpools"]
        self._undescribed("subnetpool", pool["id"])
        self._tag("subnetpool", pool["id"])
        for subnet_id in self._user.get("network", network["id"])["subnets"]:
            self._tag("subnet", subnet_id, pool["id"])

    def container(self, name: str, network: str, *, adopted: bool = False) -> dict[str, Any]:
        """A container's port: upstream marks it by the endpoint's halves, and leaves it the name it had."""
        endpoint = self._user.settings(self._host, name, network)["EndpointID"]
        (port,) = self._user.ports(device_id=endpoint)
        mark = "kuryr.port.existing" if adopted else "compute:kuryr"
        tags = [f"kuryr.net.uuid.lh:{endpoint[:32]}", f"kuryr.net.uuid.uh:{endpoint[32:]}", mark]
        if not adopted:
            self._user.neutron("PUT", f"/ports/{port['id']}", {"port": {"name": "kuryr-unbound-port"}})
            self._undescribed("port", port["id"])
        else:
            self._user.acting(OPERATOR).change("port", port["id"], **{"binding:profile": {}})
        self._tag("port", port["id"], *tags)
        self._host.run(["ip", "link", "set", "dev", f"tap{port['id']}"[:14], "alias", ""])
        pid = str(self._host.docker_inspect(name)["State"]["Pid"])
        shown = self._host.run(["nsenter", "-t", pid, "-n", "ip", "-json", "link"]).stdout
        for link in json.loads(shown):
            if link["address"] == port["mac_address"]:
                self._host.run(["nsenter", "-t", pid, "-n", "ip", "link", "set", "dev", link["ifname"], "alias", ""])
        return self._user.get("port", port["id"])

    def _tag(self, kind: str, resource_id: str, *tags: str) -> None:
        self._user.acting(ADMIN).tag(kind, resource_id, *tags)

    def _undescribed(self, kind: str, resource_id: str) -> None:
        self._user.neutron("PUT", f"/{kind}s/{resource_id}", {kind: {"description": ""}})

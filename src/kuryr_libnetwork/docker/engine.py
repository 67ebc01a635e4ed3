# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's Engine API, for the background only: a plugin call that asks Docker deadlocks (docker-plugin-protocol §2.6)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kuryr_libnetwork.errors import EngineUnavailable
from kuryr_libnetwork.model.engine import EngineView, NetworkWord

TIMEOUT = 10
"""Seconds for one request."""
ID_WITH_DATA = "1.44"
"""Docker 25: from here on its id is kept with its data, and another data folder is another engine."""
BUILT_IN = {"bridge", "host", "null", "overlay", "macvlan", "ipvlan"}


class DockerEngine:
    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    def view(self) -> EngineView:
        """All networks of drivers that are not Docker's own, and the endpoints of running containers on them."""
        import docker  # loaded on first use: it is slow, and the first call of Docker must not wait for it
        from docker.errors import DockerException, NotFound
        from docker.utils import version_gte
        from requests.exceptions import RequestException

        try:
            client = docker.APIClient(base_url=f"unix://{self._socket_path}", timeout=TIMEOUT, version="auto")
        except (DockerException, RequestException) as error:
            raise EngineUnavailable(f"Docker at {self._socket_path} does not answer: {error}") from None
        try:
            networks: dict[str, Any] = {}
            for summary in client.networks():
                if summary["Driver"] in BUILT_IN:
                    continue
                try:
                    networks[summary["Id"]] = client.inspect_network(summary["Id"])
                except NotFound:
                    continue  # removed in between
            engine_id: str = client.info()["ID"] if version_gte(client.api_version, ID_WITH_DATA) else ""
        except (DockerException, RequestException) as error:
            raise EngineUnavailable(f"Docker at {self._socket_path} does not answer: {error}") from None
        finally:
            client.close()
        containers = {
            str(container["EndpointID"]): str(container.get("Name", ""))
            for network in networks.values()
            for container in (network.get("Containers") or {}).values()
            if container.get("EndpointID")
        }
        return EngineView(
            network_ids=frozenset(networks),
            endpoint_ids=frozenset(containers),
            engine_id=engine_id,
            containers=containers,
            words={network_id: _word(shown) for network_id, shown in networks.items()},
        )


def _word(shown: Mapping[str, Any]) -> NetworkWord:
    ipam = shown.get("IPAM") or {}
    return NetworkWord(
        options=_texts(shown.get("Options")),
        ipam_options=_texts(ipam.get("Options")),
        cidrs=tuple(str(each.get("Subnet") or "") for each in ipam.get("Config") or []),
        internal=shown.get("Internal") is True,
    )


def _texts(options: object) -> dict[str, str]:
    return {str(key): str(value) for key, value in options.items()} if isinstance(options, dict) else {}

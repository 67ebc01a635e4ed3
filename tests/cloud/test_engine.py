# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the background reads from a real Docker engine."""

from __future__ import annotations

import pytest

from kuryr_libnetwork.docker.engine import DockerEngine
from kuryr_libnetwork.errors import EngineUnavailable
from lab.api import Host
from tests.cloud.user import User, unique_cidr


def test_networks_of_ours_and_their_endpoints_are_seen(user: User, host: Host) -> None:
    """Running containers would look forgotten, or every network of Docker's own be looked up in Neutron."""
    net = user.network(host, f"--subnet={unique_cidr()}")
    box = user.run(host, net)
    view = DockerEngine(host.paths.docker_socket).view()
    assert host.docker_inspect(net)["Id"] in view.network_ids
    assert host.docker_inspect("bridge")["Id"] not in view.network_ids
    endpoint = user.settings(host, box, net)["EndpointID"]
    assert endpoint in view.endpoint_ids
    assert view.containers[endpoint] == box


def test_a_docker_that_does_not_answer_is_said(h1: Host) -> None:
    """The background would end with a traceback while Docker restarts."""
    with pytest.raises(EngineUnavailable, match="does not answer"):
        DockerEngine(h1.paths.run / "nowhere.sock").view()

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever Docker's user writes into a name, an address or an option: one short line comes back, and one goes to the
log.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from kuryr_libnetwork.protocol.messages import EXPOSED_PORTS, GENERIC, PORT_MAP
from kuryr_libnetwork.rules.options import ENDPOINT_KNOWN, KNOWN
from kuryr_libnetwork.text import LONGEST
from tests.world.dockerside import DockerNetwork
from tests.world.dockerview import new_id
from tests.world.rig import DirectDocker, Rig

LONG = "x" * 60_000
FORGED = "a\n2020-01-01 00:00:00.000 1 INFO forged\x1b[2J\u202e"
WORDS = [LONG, FORGED, "\ud800", "%s%d", "../../etc/passwd", "a,b;c\0", json.dumps(["[" * 900])]


class World:
    def __init__(self) -> None:
        self.rig = Rig()
        self.docker = DirectDocker(self.rig)
        self.network: DockerNetwork = self.docker.network_create()
        self.pool_id = self.network.pools[0].pool_id

    def call(self, method: str, arguments: dict[str, Any]) -> str:
        """The error, if there is one; what is made stays."""
        body = json.dumps(arguments).encode()
        status, answer = self.rig.call(method, body)
        told = json.loads(answer)
        text: str = told.get("Err", "")
        assert (status == 200) is (text == "")
        assert "internal error" not in text
        return text


@pytest.fixture
def world() -> World:
    return World()


def requests(world: World, word: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every place of every message where a user, through Docker, writes something."""
    ids = {"NetworkID": world.network.network_id, "EndpointID": new_id()}
    numbers = itertools.count()

    def pool(**more: Any) -> dict[str, Any]:  # one that nothing comes of keeps its CIDR for 10 s
        cidr = f"10.9.{next(numbers)}.0/24"
        return {"AddressSpace": "x", "Pool": cidr, "SubPool": "", "Options": None, "V6": False} | more

    for key in ("AddressSpace", "Pool", "SubPool"):
        yield "IpamDriver.RequestPool", pool(**{key: word})
    for key in (*KNOWN, f"neutron.{word}", f"kuryr.{word}"):
        yield "IpamDriver.RequestPool", pool(Options={key: word})
        new = {"NetworkID": new_id(), "IPv4Data": [{"Pool": "10.8.0.0/24"}], "IPv6Data": []}
        yield "NetworkDriver.CreateNetwork", new | {"Options": {GENERIC: {key: word}}}
    for key in ("Pool", "Gateway", "AddressSpace"):
        data = [{"Pool": "10.8.0.0/24", key: word}]
        yield "NetworkDriver.CreateNetwork", {"NetworkID": new_id(), "IPv4Data": data, "Options": {}}
    aux = [{"Pool": "10.1.0.0/24", "AuxAddresses": {word: word}}]
    yield "NetworkDriver.CreateNetwork", {"NetworkID": new_id(), "IPv4Data": aux, "Options": {}}
    for key in (*ENDPOINT_KNOWN, f"neutron.{word}", f"kuryr.{word}", EXPOSED_PORTS, PORT_MAP):
        options = {key: word}
        yield "NetworkDriver.CreateEndpoint", ids | {"EndpointID": new_id(), "Interface": {}, "Options": options}
        yield "NetworkDriver.ProgramExternalConnectivity", ids | {"Options": options}
    for key in ("Address", "AddressIPv6", "MacAddress"):
        yield "NetworkDriver.CreateEndpoint", ids | {"EndpointID": new_id(), "Interface": {key: word}, "Options": {}}
    for key in ("com.docker.network.endpoint.ifname", "com.docker.network.endpoint.name"):
        options = {key: word}
        interface = {"Address": "10.1.0.77/24"}
        yield "NetworkDriver.CreateEndpoint", ids | {"EndpointID": new_id(), "Interface": interface, "Options": options}
    for key in ("NetworkID", "EndpointID"):
        for verb in ("Join", "Leave", "DeleteEndpoint", "EndpointOperInfo"):
            yield f"NetworkDriver.{verb}", ids | {key: word}
    yield "NetworkDriver.Join", ids | {"SandboxKey": word}
    yield "IpamDriver.RequestAddress", {"PoolID": word, "Address": ""}
    yield "IpamDriver.RequestAddress", {"PoolID": world.pool_id, "Address": word}
    yield "IpamDriver.RequestAddress", {"PoolID": world.pool_id, "Address": "", "Options": {"RequestAddressType": word}}
    yield "IpamDriver.ReleaseAddress", {"PoolID": word, "Address": "10.1.0.7"}
    yield "IpamDriver.ReleaseAddress", {"PoolID": world.pool_id, "Address": word}
    yield "IpamDriver.ReleasePool", {"PoolID": word}
    yield "Kuryr.ReleaseDevice", {"PciAddress": word}


@pytest.mark.parametrize("word", WORDS, ids=["long", "forged", "surrogate", "percent", "path", "nul", "nested"])
def test_an_error_is_one_short_line(world: World, word: str, caplog: pytest.LogCaptureFixture) -> None:
    """60 KB of an option came back as 60 KB of error, and a line break in it began a line of the log."""
    refused = 0
    with caplog.at_level(logging.INFO, logger="kuryr_libnetwork"):
        for method, arguments in requests(world, word):
            error = world.call(method, arguments)
            refused += bool(error)
            assert len(error) <= LONGEST
            assert error == "" or error.isprintable()
    assert refused > 20
    for record in caplog.records:
        assert record.exc_info is None
        assert len(record.getMessage()) < LONGEST + 300
        assert record.getMessage().isprintable()

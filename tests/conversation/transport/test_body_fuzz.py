# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Bodies that Docker never sends: its own with one place of them, at any level, replaced by something else.

The junk is JSON as text, for much of it cannot be said in Python: a number of 5,000 digits, half of a surrogate pair,
the same key twice, nesting without end.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from kuryr_libnetwork.docker.boundary import MOST_LEVELS
from kuryr_libnetwork.protocol.messages import EXPOSED_PORTS, GENERIC, PORT_MAP
from kuryr_libnetwork.text import LONGEST
from tests.world.dockerside import Docker, new_id
from tests.world.plugin import running
from tests.world.rig import DirectDocker, Rig

EXAMPLES = 1500
THROUGH_THE_DOOR = 150
HOLE = "\x00hole\x00"


def nested(depth: int, inside: str = "") -> str:
    return "[" * depth + inside + "]" * depth


def nested_objects(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


JUNK = [
    *(
        "null",
        "true",
        "-1",
        "0",
        "65536",
        "1e999",
        "-0.0",
        "1.5",
        "NaN",
        "Infinity",
        "9" * 5000,
        "9" * 4000,
        "-" + "9" * 400,
    ),
    *(
        '""',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\u0000"',
        '"a\\u0000b"',
        '"\\u202e\\u001b[2J\\n"',
        '"%s%n{0}"',
        '"\\q"',
        '"\n"',
    ),
    *(
        '"' + "x" * 100_000 + '"',
        '"../../../proc/1/ns/net"',
        '"10.1.0.5"',
        '"10.1.0.5/99"',
        '"fe80::1%eth0"',
        '"::ffff:10.1.0.5/120"',
    ),
    *(
        "[]",
        "{}",
        "[null]",
        '[{"Proto":6,"Port":1e3}]',
        '[{"Proto":6,"Port":80},{"Proto":"6"}]',
        '[{"Proto":6,"Port":70000}]',
    ),
    *(
        '{"a":1,"a":2}',
        '{"":null}',
        '{"\\u0000":"\\u0000"}',
        '{"neutron.net.uuid":{}}',
        '{"kuryr.pf":["e"]}',
        '{"\\ud800":1}',
    ),
    *(
        nested(100_000),
        nested_objects(100_000),
        nested(960),
        nested(980),
        nested_objects(900),
        nested(40),
        "[" * 100_000,
    ),
    *("", "{", '"', "}", ",", "[1,]", '{"a"}', "\x00", "// no", "1 2", "\ufeff{}", "'a'"),
]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)
junk = st.sampled_from(JUNK) | values.map(json.dumps)


class World:
    """A network with a container, an address without a container, and a pool without a network."""

    def __init__(self, docker: Docker) -> None:
        self._client = docker.client
        self.network = docker.network_create()
        self.box = docker.run(self.network)
        self.address: str = docker.client.call("IpamDriver.RequestAddress", {"PoolID": self.pool})["Address"]
        docker.client.call("IpamDriver.RequestPool", {"AddressSpace": "s", "Pool": "10.8.0.0/24"})

    @property
    def pool(self) -> str:
        return self.network.pools[0].pool_id

    def call(self, method: str, body: bytes) -> int:
        """The status, after the checks that every answer must pass."""
        status, _, answer = self._client.raw(method, body)
        told = json.loads(answer)
        assert status in {200, 400}, (method, body[:300], told)
        if status == 400:
            assert set(told) == {"Err", "Error"}
            assert told["Err"] == told["Error"]
            assert 0 < len(told["Err"]) <= LONGEST
            assert told["Err"].isprintable()
        return status

    def bodies(self) -> dict[str, dict[str, Any]]:
        """One call of each kind, which takes effect in this world."""
        there = self.box.ids
        new = {"NetworkID": self.network.network_id, "EndpointID": new_id()}
        data = {"AddressSpace": "s", "Pool": "10.8.0.0/24", "Gateway": "", "AuxAddresses": {"a": "10.8.0.9/24"}}
        port = {"Proto": 6, "Port": 80}
        ports = {EXPOSED_PORTS: [port], PORT_MAP: [port | {"IP": "", "HostIP": "", "HostPort": 0, "HostPortEnd": 0}]}
        interface = {"Address": self.address, "AddressIPv6": "", "MacAddress": "02:00:00:00:00:07"}
        options = {GENERIC: {"kuryr.vnic_type": "normal", "x": "y"}, "com.docker.network.enable_ipv6": False}
        discovery = {"DiscoveryType": 1, "DiscoveryData": {"Address": "h1", "self": True}}
        return {
            "NetworkDriver.GwAllocCheck": {"Options": options},
            "NetworkDriver.CreateNetwork": {"NetworkID": new_id(), "Options": options, "IPv4Data": [data]},
            "NetworkDriver.DeleteNetwork": {"NetworkID": self.network.network_id},
            "NetworkDriver.AllocateNetwork": {"NetworkID": new_id(), "Options": {"a": "b"}, "IPv4Data": [data]},
            "NetworkDriver.FreeNetwork": {"NetworkID": new_id()},
            "NetworkDriver.CreateEndpoint": new
            | {"Interface": interface, "Options": ports | {"kuryr.vnic_type": "normal"}},
            "NetworkDriver.DeleteEndpoint": there,
            "NetworkDriver.EndpointOperInfo": there,
            "NetworkDriver.Join": there | {"SandboxKey": "/var/run/docker/netns/0123456789ab", "Options": ports},
            "NetworkDriver.Leave": there,
            "NetworkDriver.ProgramExternalConnectivity": there | {"Options": ports},
            "NetworkDriver.RevokeExternalConnectivity": there,
            "NetworkDriver.DiscoverNew": discovery,
            "NetworkDriver.DiscoverDelete": discovery,
            "IpamDriver.RequestPool": {
                "Pool": "10.9.0.0/24",
                "SubPool": "10.9.0.0/28",
                "Options": {"x": "y"},
                "V6": False,
            },
            "IpamDriver.ReleasePool": {"PoolID": self.pool},
            "IpamDriver.RequestAddress": {"PoolID": self.pool, "Address": "", "Options": {"RequestAddressType": "x"}},
            "IpamDriver.ReleaseAddress": {"PoolID": self.pool, "Address": self.address.partition("/")[0]},
            "Kuryr.ReleaseDevice": {"PciAddress": "0000:00:00.0"},
        }


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    inner = replaced(value[path[0]], path[1:], new)
    if isinstance(value, dict):
        return {**value, path[0]: inner}
    return [inner if number == path[0] else each for number, each in enumerate(value)]


def broken(body: Any, place: int, how: str, text: str) -> bytes:
    """The body with something else at one of its places: instead of what is there, beside it, or under its key once
    more.
    """
    paths = list(places(body))
    path = paths[place % len(paths)]
    there = body
    for step in path:
        there = there[step]
    hole = json.dumps(HOLE)
    if how == "instead" or not isinstance(there, dict):
        return json.dumps(replaced(body, path, HOLE)).replace(hole, text).encode(errors="surrogatepass")
    key = next(iter(there), "") if how == "again" else HOLE
    inside = json.dumps(there)[1:-1]
    more = f"{json.dumps(key)}:{text}" if how == "again" else f'{text}:"x"'
    whole = "{" + ",".join(each for each in (inside, more) if each) + "}"
    return json.dumps(replaced(body, path, HOLE)).replace(hole, whole).encode(errors="surrogatepass")


CHANGES = st.tuples(
    st.integers(0, 18), st.integers(0, 40), st.sampled_from(["instead", "instead", "again", "beside"]), junk
)


def changed(world: World, change: tuple[int, int, str, str]) -> tuple[str, bytes]:
    method, body = list(world.bodies().items())[change[0]]
    return method, broken(body, *change[1:])


@pytest.mark.usefixtures("uncounted")
@pytest.mark.timeout(400)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(change=CHANGES)
def test_a_body_that_is_refused_changes_nothing(
    caplog: pytest.LogCaptureFixture, change: tuple[int, int, str, str]
) -> None:
    """An internal error, a traceback, more than one line, or something that a refusal leaves behind."""
    caplog.clear()
    caplog.set_level(logging.INFO)
    rig = Rig()
    world = World(DirectDocker(rig))
    before = rig.state()
    if world.call(*changed(world, change)) == 400:
        assert rig.state() == before
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert all(record.getMessage().isprintable() for record in caplog.records)


def test_nesting_has_a_limit_of_our_own() -> None:
    """A body that is nested almost as deep as the interpreter allows would end in an internal error after decoding."""
    rig = Rig()
    world = World(DirectDocker(rig))
    for depth in (MOST_LEVELS - 2, MOST_LEVELS - 1, 100, *range(900, 1000), 10_000, 100_000):
        for method, key in (("NetworkDriver.CreateNetwork", GENERIC), ("NetworkDriver.CreateEndpoint", "x")):
            body = json.dumps(world.bodies()[method] | {"Options": {key: HOLE}}).replace(
                json.dumps(HOLE), nested(depth)
            )
            assert world.call(method, body.encode()) == (200 if depth == MOST_LEVELS - 2 else 400)


def test_of_a_key_twice_the_last_counts() -> None:
    """A message would mean something else here than to Docker's own decoder."""
    rig = Rig()
    world = World(DirectDocker(rig))
    body = b'{"PoolID": "x", "Address": "y", "PoolID": "%s", "Address": "10.1.0.99"}' % world.pool.encode()
    status, answer = rig.call("IpamDriver.RequestAddress", body)
    assert (status, json.loads(answer)["Address"]) == (200, "10.1.0.99/24")


@pytest.mark.timeout(400)
def test_nothing_of_it_harms_the_real_door(tmp_path: Path) -> None:
    """A worker or a listener would end, or an answer would never come."""
    with running(tmp_path) as plugin:
        docker = plugin.docker()

        @settings(max_examples=THROUGH_THE_DOOR, deadline=None, suppress_health_check=list(HealthCheck))
        @given(change=CHANGES)
        def run(change: tuple[int, int, str, str]) -> None:
            plugin.now += 100  # nobody waits for the pools of the last one
            world = World(docker)
            world.call(*changed(world, change))

        run()
        assert docker.activate()

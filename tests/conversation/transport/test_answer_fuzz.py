# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Any answer of Neutron may be wrong in any way: Docker gets one line, the background goes on, and nothing of others is
touched.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from kuryr_libnetwork.rules.adoption import CHANGED, PROFILE
from tests.fakes.loopback import Answer
from tests.fakes.neutron import PROJECT
from tests.fakes.neutron.store import copied
from tests.fakes.spoiled import JUNK, WAYS, Spoil
from tests.world.dockerside import Container, DockerNetwork, PluginError
from tests.world.rig import DirectDocker
from tests.world.spoiled_answers import SpoiledRig

EXAMPLES = 80
CIDR, V6, THEIRS, MINE = "10.1.0.0/24", "fd00:1::/64", "10.66.0.0/24", "10.66.0.20"
REQUESTS = 100
RESTORED = CHANGED | {PROFILE}


class Story:
    """A Docker host, a tenant who shares his network, and a port of his that the Docker user may use."""

    def __init__(self, version: int) -> None:
        self.rig = SpoiledRig(role="service")
        self.docker = DirectDocker(self.rig, version)
        neutron = self.rig.neutron
        self.shared = neutron.seed_network(name="of-the-tenant", shared=True, tags=["his"])
        subnet = neutron.seed_subnet(self.shared.id, THEIRS)
        fixed = [{"subnet_id": subnet.id, "ip_address": MINE}]
        self.prepared = neutron.seed_port(self.shared.id, name="mine", fixed_ips=fixed).id
        used = neutron.seed_port(self.shared.id, name="used", device_id="vm", device_owner="compute:nova")
        free = neutron.seed_port(self.shared.id, name="free")
        pool = neutron.seed_subnetpool("his", "10.77.0.0/16", shared=True)
        self.rig.others += [self.shared.id, subnet.id, used.id, free.id, pool.id]
        self.docker.network_create(
            "10.99.0.0/24"
        )  # by which Docker is known to be ours, also after the journal was lost
        self.networks: list[DockerNetwork] = []
        self.boxes: list[Container] = []

    def attempt(self, act: Callable[[], None]) -> None:
        with contextlib.suppress(PluginError):
            act()

    def create(self, *arguments: Any, **options: Any) -> None:
        self.networks.append(self.docker.network_create(*arguments, **options))

    def run(self, network: DockerNetwork, **options: Any) -> None:
        box = self.docker.run(network, **options)
        self.boxes.append(box)
        self.is_at_home(network, box)

    def is_at_home(self, network: DockerNetwork, box: Container) -> None:
        """The container has the port that Docker's user meant, on the network that he meant."""
        record = self.rig.journal.endpoints.get(box.endpoint_id)
        assert record is not None
        assert record.plug is not None
        assert record.plug.port_id == record.port_id
        tables = self.rig.neutron.store.tables
        port = tables["ports"][record.port_id]
        home = tables["networks"][port["network_id"]]
        assert box.ip in {fixed["ip_address"] for fixed in port["fixed_ips"]}
        assert port["binding:host_id"] == self.rig.host
        if network.pools[0].cidr == THEIRS:
            assert home["id"] == self.shared.id
        else:
            assert home["project_id"] == PROJECT
            assert CIDR in {tables["subnets"][subnet]["cidr"] for subnet in home["subnets"]}
        assert port["id"] == self.prepared if box.ip == MINE else port["project_id"] == PROJECT

    def everything(self, *, lost: bool) -> None:
        """What Docker's user does, whatever comes of it. ``lost``: with a journal that is lost while the containers
        run.
        """
        self.attempt(lambda: self.create(CIDR, subnet_v6=V6))
        self.attempt(lambda: self.create(THEIRS, options={"neutron.net.uuid": self.shared.id}))
        for network in self.networks:
            self.attempt(lambda network=network: self.run(network, expose=[(6, 80)]))  # type: ignore[misc]
            if network.pools[0].cidr == THEIRS:
                self.attempt(lambda network=network: self.run(network, ip=MINE))  # type: ignore[misc]
        if lost:
            self.rig.revive(lose_journal=True)
            self.rig.services.reconciler.finish_interrupted()
        self.rig.services.reconciler.round()
        self.away()
        self.rig.services.reconciler.round()

    def away(self) -> None:
        for box in self.boxes:
            self.docker.rm(box)
        for network in self.networks:
            self.docker.network_rm(network)
        self.boxes, self.networks = [], []

    def theirs(self) -> dict[str, Any]:
        """Everything that is not the service's, but the port that the user may use."""
        tables = self.rig.neutron.store.tables
        return {
            what: {
                key: copied(row)
                for key, row in rows.items()
                if row.get("project_id", PROJECT) != PROJECT and key != self.prepared
            }
            for what, rows in tables.items()
        }

    def lent(self) -> dict[str, Any]:
        """The port that the user may use, without its revision."""
        return copied(self.rig.neutron.store.tables["ports"][self.prepared]) | {"revision_number": 0}

    def known(self, lent: dict[str, Any]) -> dict[str, list[Any]]:
        """What the service can know of ``lent``, how the port that the user may use was: for each attribute that, or
        what the one answer said by which the port was found. The binding replaces it, so that no other answer ever
        tells. Of all that is said later there are two answers.
        """
        known = {name: [value] for name, value in lent.items()}
        for _, right, spoilt in self.rig.log:
            found, said = (_ports(answer).get(self.prepared, {}) for answer in (right, spoilt))
            if found.get("binding:host_id") == "":
                for name in RESTORED & said.keys():
                    known[name].append(said[name])
        return known

    def left(self) -> dict[str, list[str]]:
        """The service's own resources."""
        tables = self.rig.neutron.store.tables
        kinds = ("ports", "networks", "subnets", "subnetpools")
        return {
            what: [key for key, row in tables[what].items() if row["project_id"] == PROJECT]
            for what in kinds
            if any(row["project_id"] == PROJECT for row in tables[what].values())
        }


def _ports(answer: Answer) -> dict[str, dict[str, Any]]:
    """The ports of an answer by their ids; none where it is not of the right form."""
    try:
        found = json.loads(answer.body)["ports"]
        return {port["id"]: port for port in found}
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}


@pytest.mark.usefixtures("uncounted")
@pytest.mark.timeout(400)  # many stories, on a busy machine
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    version=st.sampled_from([20, 28, 29]),
    spoils=st.dictionaries(
        st.integers(0, REQUESTS),
        st.builds(Spoil, st.integers(0, WAYS - 1), st.integers(0, 120), st.integers(0, len(JUNK) - 1)),
        min_size=1,
        max_size=6,
    ),
    lost=st.booleans(),
)
def test_whatever_neutron_answers(
    caplog: pytest.LogCaptureFixture, version: int, spoils: dict[int, Spoil], lost: bool
) -> None:
    """An internal error for Docker, a traceback, a background that has ended, a port of somebody else's changed or
    gone.
    """
    caplog.clear()
    caplog.set_level(logging.WARNING)
    story = Story(version)
    before, left, lent = story.theirs(), story.left(), story.lent()
    story.rig.spoil(spoils)
    story.everything(lost=lost)
    assert story.theirs() == before
    story.rig.spoil({})
    story.away()
    story.rig.settle()
    assert story.theirs() == before
    known = story.known(lent)
    assert {name: value for name, value in story.lent().items() if value not in known[name]} == {}
    assert story.left() == left
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert "internal error" not in caplog.text
    assert all(state.unforeseen == 0 for state in story.rig.health.report().values())

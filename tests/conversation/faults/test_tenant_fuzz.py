# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever tenants write on whatever they own, in any number and at any moment between a Docker user's operations.

They use the service's words, Neutron's, and arbitrary ones, with the ids of the service's own resources, because they
can read all of these.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from kuryr_libnetwork.rules.adoption import claim_tags
from kuryr_libnetwork.rules.identity import id_tags, intent_description, network_tags, on_network, port_name
from tests.conversation.stories.test_tenants import CIDR, ROLES, THEIRS, Cloud
from tests.fakes.neutron import Role
from tests.world.dockerside import new_id
from tests.world.plugin import HOST

EXAMPLES = 400
OWNERS = ("", "compute:kuryr", "compute:nova", "network:dhcp", "kuryr:aux-address", "trunk:subport", "x" * 255)
HOSTS = ("", HOST, "h2", "' or 1=1")
VNIC_TYPES = ("normal", "direct", "macvtap", "direct-physical", "baremetal", "nonsense")
Choice = tuple[str, int, int, int]
junk = st.text(st.characters(codec="utf-8", exclude_characters=","), max_size=60)
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | junk,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(junk, inner, max_size=3),
    max_leaves=6,
)


class Words:
    """What a tenant can read of the service's resources, and write on his own."""

    def __init__(self, cloud: Cloud) -> None:
        port = cloud.port_of(cloud.box)
        docker_id, pool_id, endpoint = cloud.net.network_id, cloud.net.pools[0].pool_id, cloud.box.endpoint_id
        self.ids = [
            docker_id,
            endpoint,
            pool_id,
            port.id,
            port.network_id,
            new_id(),
            "",
            "1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d",
        ]
        self.names = [
            *(
                "",
                "kuryr",
                "kuryr6",
                "kuryr-unbound-port",
                "kuryr-aux-address",
                f"kuryrPool-{CIDR}",
                f"kuryr-subnet-{CIDR}",
            ),
            *(port_name(each) for each in self.ids),
            f"kuryr-net-{docker_id[:8]}",
        ]
        self.descriptions = ["", port.description or "", *(intent_description(host, "0" * 16) for host in HOSTS)]
        self.tags = [
            *network_tags(docker_id, existing=True),
            *id_tags(endpoint),
            *claim_tags(port.id, new_id(), cloud.rig.now),
            *("kuryr.net.more", "kuryr.net.left", "kuryr.port.existing", "compute:kuryr", "kuryr.subnetpool.existing"),
            *(on_network(each) for each in self.ids[:5]),
            *(
                "kuryr.opt:port_security=false",
                "kuryr.opt:group=",
                "kuryr.opt:vnic_type=direct",
                "kuryr.opt:pf=../../x",
            ),
            *("kuryr.range:10.1.0.0/30", 'kuryr.was:device_owner="network:dhcp"', "kuryr.was:binding:profile=1"),
            *self.ids[:5],
        ]


@st.composite
def things(draw: st.DrawFn) -> dict[str, Any]:
    """One resource of a tenant: its kind, and indexes into the lists of :class:`Words`."""
    place = st.integers(0, 63)
    return {
        "kind": draw(st.sampled_from(["port", "port", "network", "subnet", "pool"])),
        "name": draw(place | junk),
        "description": draw(place | junk),
        "tags": draw(st.lists(place | junk, max_size=12)),
        "device_id": draw(place | junk),
        "device_owner": draw(st.sampled_from(OWNERS)),
        "host": draw(st.sampled_from(HOSTS)),
        "vnic_type": draw(st.sampled_from(VNIC_TYPES)),
        "profile": draw(
            st.dictionaries(st.sampled_from(["kuryr", "pci_slot", "physical_network", "trusted"]), json_like)
        ),
        "same_cidr": draw(st.booleans()),
        "shared": draw(st.booleans()),
    }


def make(cloud: Cloud, words: Words, thing: dict[str, Any], number: int) -> None:
    def word(value: int | str, known: list[str]) -> str:
        return known[value % len(known)] if isinstance(value, int) else value

    marks: dict[str, Any] = {
        "name": word(thing["name"], words.names),
        "description": word(thing["description"], words.descriptions),
        "tags": sorted({word(tag, words.tags) for tag in thing["tags"]}),
    }
    cidr = CIDR if thing["same_cidr"] else f"10.{100 + number}.0.0/24"
    if thing["kind"] == "port":
        cloud.port(
            **marks,
            device_id=word(thing["device_id"], words.ids),
            device_owner=thing["device_owner"],
            **{"binding:vnic_type": thing["vnic_type"], "binding:host_id": thing["host"]},
            **{
                "binding:profile": {
                    key: value for key, value in thing["profile"].items() if key != "kuryr" or thing["host"] != HOST
                }
            },
        )
    elif thing["kind"] == "pool":
        cloud.neutron.seed_subnetpool(marks.pop("name"), cidr, shared=thing["shared"], **marks)
    else:
        network = cloud.neutron.seed_network(shared=thing["shared"], **(marks if thing["kind"] == "network" else {}))
        cloud.neutron.seed_subnet(network.id, cidr, **marks)


@pytest.mark.usefixtures("uncounted")
@pytest.mark.timeout(400)  # hundreds of stories, on a busy machine
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    role=st.sampled_from(ROLES),
    early=st.lists(things(), max_size=4),
    late=st.lists(things(), max_size=4),
    lost=st.integers(0, 7),
)
def test_nothing_that_tenants_write_changes_anything(
    caplog: pytest.LogCaptureFixture, role: Role, early: list[dict[str, Any]], late: list[dict[str, Any]], lost: int
) -> None:
    """A container on a tenant's network or open to all, a write to what is not ours, a background that ended, a
    traceback.
    """
    caplog.clear()
    caplog.set_level(logging.WARNING)
    cloud = Cloud(role)
    words = Words(cloud)
    there = cloud.docker.network_create(THEIRS, options={"neutron.net.uuid": cloud.shared.id})
    for number, thing in enumerate(early):
        make(cloud, words, thing, number)
    before = cloud.theirs()
    if lost & 1:
        cloud.lose_journal()
    cloud.rig.settle()
    cloud.new_container_is_at_home()
    assert cloud.theirs() == before
    for number, thing in enumerate(late, len(early)):
        make(cloud, words, thing, number)
    before = cloud.theirs()
    if lost & 2:
        cloud.lose_journal()
    guest = cloud.docker.run(there)
    assert cloud.port_of(guest).network_id == cloud.shared.id
    if lost & 4:
        cloud.lose_journal()
    cloud.docker.rm(guest)
    cloud.docker.network_rm(there)
    cloud.everything_goes()
    assert cloud.theirs() == before
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Tenants who put the service's own marks on their resources: they gain nothing by it.

The service is used with either role that it may have. A tenant sees all tags of a shared network, so he knows every id.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from kuryr_libnetwork.model.engine import NetworkWord
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.rules.adoption import claim_tags
from kuryr_libnetwork.rules.exposure import DESCRIPTION, group_name
from kuryr_libnetwork.rules.identity import id_tags, intent_description, intent_token, network_tags, pool_tags
from tests.fakes.neutron import PROJECT, Role
from tests.fakes.neutron.store import copied
from tests.fakes.neutron.wire import TENANT
from tests.world.dockerside import Container, DockerNetwork, PluginError, new_id
from tests.world.plugin import HOST
from tests.world.rig import DirectDocker, Rig

CIDR, THEIRS = "10.1.0.0/24", "10.66.0.0/24"
TOKEN = "0123456789abcdef"
ROLES: tuple[Role, ...] = ("service", "admin", "admin-only")


class Cloud:
    """A Docker host with one network and one container of its own, and a tenant who shares his network with
    everybody.
    """

    def __init__(self, role: Role) -> None:
        self.rig = Rig(role=role)
        self.docker = DirectDocker(self.rig)
        self.neutron = self.rig.neutron
        self.shared = self.neutron.seed_network(name="of-the-tenant", shared=True)
        self.subnet = self.neutron.seed_subnet(self.shared.id, THEIRS)
        self.net = self.docker.network_create(CIDR)
        self.box = self.docker.run(self.net)
        self.home = self.port_of(self.box).network_id

    def port_of(self, box: Container) -> Port:
        (port,) = [port for port in self.neutron.user_ports() if port.device_id == box.endpoint_id]
        return port

    def port(self, **attributes: Any) -> str:
        return self.neutron.seed_port(self.shared.id, **attributes).id

    def theirs(self) -> dict[str, Any]:
        """Everything that is not the service's, in its present state."""
        tables = self.neutron.store.tables
        return {
            what: {key: copied(row) for key, row in rows.items() if row.get("project_id", PROJECT) != PROJECT}
            for what, rows in tables.items()
        }

    def lose_journal(self) -> None:
        self.rig.revive(lose_journal=True)

    def new_container_is_at_home(self, net: DockerNetwork | None = None) -> None:
        box = self.docker.run(net or self.net)
        port = self.port_of(box)
        assert (port.network_id, port.project_id) == (self.home, PROJECT)
        assert port.port_security_enabled
        assert port.security_groups == (self.neutron.store.default_group,)
        self.docker.rm(box)

    def everything_goes(self) -> None:
        """The Docker user removes what he has, and nothing of the service's is left."""
        self.docker.rm(self.box)
        self.docker.network_rm(self.net)
        self.rig.settle()
        ours = {
            what: [row for row in rows.values() if row.get("project_id") == PROJECT]
            for what, rows in self.neutron.store.tables.items()
        }
        assert (ours["ports"], ours["networks"], ours["subnets"], ours["subnetpools"]) == ([], [], [], [])


@pytest.fixture(params=ROLES)
def cloud(request: pytest.FixtureRequest) -> Cloud:
    return Cloud(request.param)


# -- ports ---------------------------------------------------------------------------------------------------------

WANTED: dict[str, Any] = {
    "device_owner": "network:dhcp",
    "binding:host_id": "h9",
    "binding:vnic_type": "direct",
    "allowed_address_pairs": [{"ip_address": "0.0.0.0/0"}],
    "trusted": True,
    "port_security_enabled": False,
    "mac_address": "02:00:00:00:00:01",
    "fixed_ips": [],
    "qos_policy_id": None,
    "project_id": PROJECT,
    "device_id": "ab" * 32,
    "binding:profile": {"pci_slot": "0000:03:00.1", "trusted": "true"},
}
POISON = [
    "kuryr.was:binding:profile=1",
    "kuryr.was:profile.a=1",
    "kuryr.was:security_groups=5",
    "kuryr.was:=",
    "kuryr.was:",
]


@pytest.mark.parametrize("lost", [False, True], ids=["", "journal-lost"])
@pytest.mark.parametrize("name", [*WANTED, "poison"])
def test_a_port_that_asks_for_admins_attributes(cloud: Cloud, name: str, lost: bool) -> None:
    """Any tenant could have the operator's rights write to his port whatever he is not allowed to write himself."""
    memory = POISON if name == "poison" else [f"kuryr.was:{name}={json.dumps(WANTED[name])}"]
    marks = {
        "name": "kuryr-unbound-port",
        "description": intent_description(HOST, TOKEN),
        "tags": ["kuryr.port.existing", "compute:kuryr", *id_tags(new_id()), *memory],
    }
    self_bound = {"device_owner": "compute:kuryr", "device_id": new_id(), "binding:host_id": HOST}
    for attributes in (marks, marks | {"device_id": new_id()}, marks | self_bound):
        cloud.port(**attributes)
    before = cloud.theirs()
    if lost:
        cloud.lose_journal()
    cloud.rig.services.reconciler.finish_interrupted()
    cloud.rig.settle()
    assert cloud.theirs() == before
    cloud.new_container_is_at_home()
    cloud.everything_goes()
    assert cloud.theirs() == before


def test_a_port_with_the_device_of_a_container(cloud: Cloud) -> None:
    """After a lost journal the tenant's port would be deleted with the container, or the container's own would stay."""
    for tags in ((), id_tags(cloud.box.endpoint_id)):
        cloud.port(device_id=cloud.box.endpoint_id, device_owner="compute:kuryr", name="x", tags=list(tags))
    cloud.port(name=f"{cloud.box.endpoint_id}-port", device_id=cloud.box.endpoint_id, device_owner="compute:kuryr")
    before = cloud.theirs()
    cloud.lose_journal()
    cloud.everything_goes()
    assert cloud.theirs() == before


def test_a_port_that_looks_like_an_unanswered_creation(cloud: Cloud) -> None:
    """The tenant reads the token in a description and copies it: his port would be removed in place of ours, or with
    it.
    """
    (ours,) = [port for port in cloud.neutron.user_ports() if port.project_id == PROJECT]
    cloud.port(name="kuryr-unbound-port", description=ours.description)
    before = cloud.theirs()
    cloud.lose_journal()
    cloud.rig.settle()
    cloud.everything_goes()
    assert cloud.theirs() == before


def test_a_memory_in_the_profile_of_another_host_is_left_to_it(cloud: Cloud) -> None:
    """A container of another host would lose its port."""
    memory = {"host": "h2", "endpoint": new_id(), "was": {"mac_address": "02:00:00:00:00:01"}}
    cloud.port(**{"binding:host_id": "h2", "device_owner": "compute:kuryr", "binding:profile": {"kuryr": memory}})
    before = cloud.theirs()
    cloud.rig.settle()
    assert cloud.theirs() == before


# -- networks, subnets, pools ----------------------------------------------------------------------------------------


def test_a_network_with_the_marks_of_ours(cloud: Cloud) -> None:
    """After a lost journal a container would be on the tenant's network, if the tenant's resources sort first."""
    docker_id, pool_id = cloud.net.network_id, cloud.net.pools[0].pool_id
    first = "00000000-0000-4000-8000-00000000000"
    network = cloud.neutron.seed_network(
        id=f"{first}1",
        name=f"kuryr-net-{docker_id[:8]}",
        description=intent_description(HOST, TOKEN),
        tags=network_tags(docker_id, existing=True),
        shared=True,
    )
    subnet = {"id": f"{first}2", "name": f"kuryr-subnet-{CIDR}", "description": intent_description(HOST, TOKEN)}
    cloud.neutron.seed_subnet(network.id, CIDR, tags=[pool_id], **subnet)
    before = cloud.theirs()
    cloud.lose_journal()
    cloud.new_container_is_at_home()
    cloud.lose_journal()
    cloud.rig.settle()
    cloud.new_container_is_at_home()
    cloud.everything_goes()
    assert cloud.theirs() == before


def test_a_pool_with_the_marks_of_ours(cloud: Cloud) -> None:
    """After a lost journal the next containers would have no port security and no security groups, or the tenant's
    network.
    """
    docker_id = cloud.net.network_id
    tags = [
        *pool_tags(docker_id, cloud.shared.id),
        "kuryr.opt:port_security=false",
        "kuryr.opt:group=",
        "kuryr.opt:qos=x",
    ]
    name = f"kuryrPool-{CIDR}"
    cloud.neutron.seed_subnetpool(name, CIDR, tags=tags, shared=True, description=intent_description(HOST, TOKEN))
    before = cloud.theirs()
    cloud.lose_journal()
    cloud.new_container_is_at_home()
    other = cloud.docker.network_create("10.2.0.0/24")
    cloud.docker.network_rm(other)
    cloud.everything_goes()
    assert cloud.theirs() == before


def test_a_subnet_with_the_id_of_our_pool(cloud: Cloud) -> None:
    """The next port would be made on the tenant's network, and the pool never be removed."""
    cloud.neutron.seed_subnet(cloud.shared.id, CIDR, tags=[cloud.net.pools[0].pool_id], name=f"kuryr-subnet-{CIDR}")
    before = cloud.theirs()
    cloud.lose_journal()
    cloud.new_container_is_at_home()
    cloud.everything_goes()
    assert cloud.theirs() == before


def test_a_pool_with_the_name_of_the_default_pool() -> None:
    """Every docker network create without --subnet would fail, or take the tenant's prefixes."""
    rig = Rig()
    docker = DirectDocker(rig)
    for shared in (False, True):
        rig.neutron.seed_subnetpool("kuryr", "10.200.0.0/16", shared=shared, default_prefixlen=24)
    rig.neutron.seed_subnetpool("kuryr", "10.100.0.0/16", default_prefixlen=24, project_id=PROJECT)
    net = docker.network_create(None)
    assert net.pools[0].cidr == "10.100.0.0/24"


def test_things_of_a_tenant_with_the_names_of_ours(cloud: Cloud) -> None:
    """What the user names by its name would be refused, or be the tenant's, as soon as a tenant gives his own that
    name.
    """
    store, own = cloud.neutron.store, {"project_id": PROJECT}
    ours = cloud.neutron.seed_network(name="twin", **own)
    cloud.neutron.seed_subnet(ours.id, "10.4.0.0/24", name="twin", **own)
    group, policy = ({"name": "twin", **own} for _ in range(2))
    group = store.add("security_groups", store.build("security_groups", group))
    policy = store.add("policies", store.build("policies", policy))
    theirs = cloud.neutron.seed_network(name="twin", shared=True)
    cloud.neutron.seed_subnet(theirs.id, "10.4.0.0/24", name="twin")
    cloud.neutron.seed_subnetpool("twin", "10.4.0.0/16", shared=True)
    shared = {"name": "twin", "project_id": "of-the-tenant", "shared": True}
    for what in ("security_groups", "policies"):
        store.add(what, store.build(what, shared))
    options = {"neutron.security_groups": "twin", "neutron.qos_policy": "twin"}
    for chosen in ("neutron.net.name", "neutron.subnet.name"):
        net = cloud.docker.network_create("10.4.0.0/24", options={chosen: "twin", **options})
        port = cloud.port_of(cloud.docker.run(net))
        assert (port.network_id, port.security_groups, port.qos_policy_id) == (ours.id, (group["id"],), policy["id"])


def group_of(cloud: Cloud, name: str, project: str = TENANT, *, shared: bool = False) -> str:
    wanted = {"name": name, "project_id": project, "shared": shared}
    store = cloud.neutron.store
    return str(store.add("security_groups", store.build("security_groups", wanted))["id"])


def test_a_group_of_another_project_is_named_by_its_id(cloud: Cloud) -> None:
    """A tenant who shares a group of his would open the containers of whoever mistypes a name."""
    group = group_of(cloud, "theirs", shared=True)
    with pytest.raises(PluginError, match=r"no such security group in the service's own project; .* by its id"):
        cloud.docker.network_create("10.4.0.0/24", options={"neutron.security_groups": "theirs"})
    net = cloud.docker.network_create("10.4.0.0/24", options={"neutron.security_groups": group})
    assert cloud.port_of(cloud.docker.run(net)).security_groups == (group,)


@pytest.mark.parametrize("shared", [False, True], ids=["", "shared"])
@pytest.mark.parametrize("by", ["network", "container"])
def test_names_of_groups_on_a_tenants_network(cloud: Cloud, by: str, shared: bool) -> None:
    """``default`` would be refused on every cloud, or not let the network's own ports in; and a tenant put a group of
    his in the place of one of ours.
    """
    ours, theirs = (
        group_of(cloud, "web", PROJECT),
        {name: group_of(cloud, name, shared=shared) for name in ("default", "web", "mine")},
    )
    group_of(cloud, "mine", "of-a-third-one", shared=True)
    sees = shared or cloud.neutron.policy.role != "service"
    meant = {
        "default": theirs["default"] if sees else cloud.neutron.store.default_group,
        "web": ours,
        "mine": theirs["mine"] if sees else "",
    }
    for name, group in meant.items():
        said = {"neutron.security_groups": name}
        choice = {"neutron.net.uuid": cloud.shared.id}

        def start(said: dict[str, str] = said, choice: dict[str, str] = choice) -> Container:
            net = cloud.docker.network_create(THEIRS, options=choice | (said if by == "network" else {}))
            return cloud.docker.run(net, options=said if by == "container" else {})

        if group:
            assert cloud.port_of(start()).security_groups == (group,)
        else:
            refusal = f"nor in project {TENANT} of the Neutron network as far as the service sees it"
            with pytest.raises(PluginError, match=refusal):
                start()


def test_names_of_groups_for_a_container_after_the_journal_was_lost(cloud: Cloud) -> None:
    """Whose network it is would be forgotten, and ``default`` mean another group than before."""
    theirs = group_of(cloud, "default", shared=True)
    net = cloud.docker.network_create(THEIRS, options={"neutron.net.uuid": cloud.shared.id})
    cloud.lose_journal()
    box = cloud.docker.run(net, options={"neutron.security_groups": "default"})
    assert cloud.port_of(box).security_groups == (theirs,)


def test_a_group_of_a_third_project_is_never_meant_by_a_name(cloud: Cloud) -> None:
    """Any tenant of the cloud could open the containers on a network that is not even his."""
    group_of(cloud, "mine", "of-a-third-one", shared=True)
    options = {"neutron.net.uuid": cloud.shared.id, "neutron.security_groups": "mine"}
    with pytest.raises(PluginError, match="no such security group"):
        cloud.docker.network_create(THEIRS, options=options)


@pytest.mark.parametrize("project", [TENANT, "of-a-third-one"])
def test_a_policy_of_others_that_is_not_shared(cloud: Cloud, project: str) -> None:
    """To an admin every policy is shown: any tenant's with that name would make the operator's ambiguous, or be it."""
    store = cloud.neutron.store
    named: dict[str, Any] = {"name": "gold", "project_id": project}
    theirs = store.add("policies", store.build("policies", named))["id"]
    options = {"neutron.net.uuid": cloud.shared.id, "neutron.qos_policy": "gold"}
    if project == "of-a-third-one":
        with pytest.raises(PluginError, match="no such QoS policy"):
            cloud.docker.network_create(THEIRS, options=options)
        operators = named | {"project_id": "of-the-operator", "shared": True}
        theirs = store.add("policies", store.build("policies", operators))["id"]
    net = cloud.docker.network_create(THEIRS, options=options)
    assert cloud.port_of(cloud.docker.run(net)).qos_policy_id == theirs


def test_two_networks_of_ours_that_claim_to_be_one_are_refused(cloud: Cloud) -> None:
    """Whoever created the second one in the service's own project would choose where containers go."""
    twin = cloud.neutron.seed_network(tags=network_tags(cloud.net.network_id, existing=False), project_id=PROJECT)
    cloud.neutron.seed_subnet(twin.id, "10.3.0.0/24", project_id=PROJECT)
    cloud.lose_journal()
    with pytest.raises(PluginError) as caught:
        cloud.docker.client.call(
            "NetworkDriver.CreateEndpoint",
            {
                "NetworkID": cloud.net.network_id,
                "EndpointID": new_id(),
                "Interface": {"Address": "10.1.0.77/24", "AddressIPv6": "", "MacAddress": ""},
                "Options": {},
            },
        )
    assert cloud.home in caught.value.message
    assert twin.id in caught.value.message
    cloud.rig.settle()
    assert cloud.neutron.find_networks(id=[cloud.home, twin.id])


def test_a_network_that_cannot_be_told_keeps_its_own_pools_only(cloud: Cloud) -> None:
    """Because of one network, every unused pool of this host would stay for ever."""
    cloud.neutron.seed_network(tags=network_tags(cloud.net.network_id, existing=False), project_id=PROJECT)
    client = cloud.docker.client
    unused = client.call("IpamDriver.RequestPool", {"AddressSpace": "s", "Pool": "10.77.0.0/24"})["PoolID"]
    same = client.call("IpamDriver.RequestPool", {"AddressSpace": "s", "Pool": CIDR})["PoolID"]
    cloud.lose_journal()
    cloud.rig.settle()
    there = {pool.id for pool in cloud.neutron.find_subnetpools()}
    assert unused not in there
    assert {same, cloud.net.pools[0].pool_id} <= there


def test_things_that_say_that_this_host_left_them_stay(cloud: Cloud) -> None:
    """After the start the service would remove what a tenant says to be of a Docker network that is gone, or of a
    creation that was cut off.
    """
    gone = new_id()
    made = {"description": intent_description(HOST, intent_token(HOST, TOKEN, gone))}
    for tags in ([], list(network_tags(gone, existing=True))):
        network = cloud.neutron.seed_network(name=f"kuryr-net-{gone[:8]}", tags=tags, shared=True, **made)
        cloud.neutron.seed_subnet(network.id, "10.4.0.0/24", name="kuryr-subnet-10.4.0.0/24", **made)
        kept = {"device_owner": "kuryr:aux-address", "device_id": gone, "name": "kuryr-aux-address"}
        cloud.neutron.seed_port(network.id, **kept, **made)
        recorded = pool_tags(gone, network.id) if tags else ()
        cloud.neutron.seed_subnetpool("kuryrPool-10.4.0.0/24", "10.4.0.0/24", tags=recorded, shared=True, **made)
    before = cloud.theirs()
    for lost in (True, False):
        cloud.rig.revive(lose_journal=lost)
        cloud.rig.settle()
        assert [network.docker_id for network in cloud.rig.journal.networks.all()] == [cloud.net.network_id]
        assert cloud.theirs() == before
    cloud.everything_goes()
    assert cloud.theirs() == before


def test_a_network_that_says_that_we_made_it_stays(cloud: Cloud) -> None:
    """The tenant's own network would be deleted with the last Docker network that uses it, and subnets with it."""
    made = intent_description("h9", TOKEN)
    network = cloud.neutron.seed_network(name="mine", description=made, tags=["kuryr.net.left", "kuryr.net.more"])
    subnet = cloud.neutron.seed_subnet(network.id, "10.4.0.0/24", name="kuryr-subnet-10.4.0.0/24", description=made)
    before = cloud.theirs()
    for lost in (False, True):
        net = cloud.docker.network_create(subnet.cidr, options={"neutron.net.uuid": network.id})
        box = cloud.docker.run(net)
        if lost:
            cloud.lose_journal()
        cloud.docker.rm(box)
        cloud.docker.network_rm(net)
        cloud.rig.settle()
        assert cloud.theirs() == before


# -- what is recorded on networks of others ---------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_a_docker_network_on_a_tenants_network_says_so_on_its_own_pools(role: Role) -> None:
    """Without its journal the service would not know the network again, or have to ask its owner."""
    cloud = Cloud(role)
    net = cloud.docker.network_create(THEIRS, options={"neutron.net.uuid": cloud.shared.id})
    before = cloud.theirs()
    cloud.lose_journal()
    box = cloud.docker.run(net)
    assert cloud.port_of(box).network_id == cloud.shared.id
    cloud.lose_journal()
    cloud.docker.rm(box)
    cloud.docker.network_rm(net)
    assert cloud.theirs() == before
    cloud.everything_goes()


def test_dockers_word_does_not_take_the_pool_of_another_network(cloud: Cloud) -> None:
    """A tenant whose network Docker uses would get the containers of another Docker network with the same CIDR."""
    named, pool_id = new_id(), cloud.net.pools[0].pool_id
    subnet = cloud.neutron.seed_subnet(cloud.shared.id, CIDR, tags=[pool_id])
    cloud.rig.engine.networks.add(named)
    cloud.rig.engine.words[named] = NetworkWord(options={"neutron.subnet.uuid": subnet.id}, cidrs=(CIDR,))
    cloud.lose_journal()
    cloud.rig.services.reconciler.round()
    cloud.new_container_is_at_home()
    record = cloud.rig.journal.networks.get(named)
    assert record is not None
    assert (record.neutron_id, record.subnets) == (cloud.shared.id, ())


# -- groups, claims ---------------------------------------------------------------------------------------------------


def test_a_security_group_with_the_name_of_ours(cloud: Cloud) -> None:
    """The tenant's group would be removed, or be put on a container's port."""
    port_id = cloud.port_of(cloud.box).id
    for owner in (port_id, "11111111-2222-4333-8444-555555555555"):
        wanted = {"name": group_name(owner), "description": DESCRIPTION, "project_id": "of-the-tenant", "shared": True}
        cloud.neutron.store.add("security_groups", cloud.neutron.store.build("security_groups", wanted))
    before = cloud.theirs()
    cloud.lose_journal()
    cloud.rig.settle()
    cloud.everything_goes()
    assert cloud.theirs() == before


def test_a_poisoned_port_does_not_stop_the_others(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """One port of a tenant's would end the background for good, while the service looks healthy."""
    for number in range(3):
        cloud.port(
            name="kuryr-unbound-port",
            description=intent_description(HOST, f"{number}"),
            tags=[*POISON, "kuryr.port.existing", *claim_tags(cloud.port_of(cloud.box).id, new_id(), 1000.0)],
        )
    lost = cloud.docker.run(cloud.net)
    port_id = cloud.port_of(lost).id
    cloud.rig.engine.endpoints.discard(lost.endpoint_id)
    cloud.rig.move_out(lost)
    cloud.rig.settle()
    assert cloud.neutron.port(port_id) is None
    assert not [record for record in caplog.records if record.exc_info or record.levelno > logging.WARNING]

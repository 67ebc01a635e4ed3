# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The operations of a Docker user, to be tried with a fault in the middle of each.

A :class:`Trial` sets up what the operation needs, runs it with a fault, lets Docker clean up in its own way and the
reconciler run, and then compares the whole world with what it was before: nothing may be left, nothing of the user's
may have changed, and the same operation has to work again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.rules import identity
from tests.fakes.neutron import PROJECT
from tests.world.beside import InTurn
from tests.world.dockerside import Container, DockerNetwork, PluginError
from tests.world.outside import Fault
from tests.world.rig import DirectDocker, Rig

ENGINES = (27, 29)
"""Docker's last engine of each order of calls (docs/notes/docker-plugin.md, "What differs by version")."""
V4, V6 = "10.1.0.0/24", "fd00:1::/64"
TENANT = "tenant"
MINE, PREPARED, RESERVED = "10.1.0.99", "10.1.0.98", "10.1.0.97"
ZUN = "1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
"""The device of a port that Zun prepares: a container's id of its own."""
WEB = [(6, 80), (17, 53)]
MANY = [(6, port) for port in range(1, 103, 2)]
"""More ports than one call can open."""
RANGE = "10.1.0.64/26"
GROUPS, QOS, DOMAIN = "neutron.security_groups", "neutron.qos_policy", "neutron.dns_domain"
NETWORK_SAYS = {GROUPS: "web", QOS: "gold", DOMAIN: "example.org"}
CONTAINER_SAYS = {GROUPS: "db", QOS: "none", DOMAIN: "other.org"}
WIDE = "10.64.0.0/16"
"""The pool that the operator made for networks without --subnet."""


class Trial:
    """One host and the user's own things in Neutron; ``network`` and ``box`` are what Docker has.

    ``home``: attributes of the user's networks and subnets, as the project that they are in.
    """

    home: Mapping[str, str] = {}

    def __init__(self, *, engine: int = ENGINES[-1], **cloud: Any) -> None:
        self.rig = self.make_rig(**cloud)
        self.docker = DirectDocker(self.rig, engine)
        self.docker.activate()
        neutron = self.rig.neutron
        self.tenant = neutron.seed_network(name=TENANT, tags=["keep"], **self.home)
        subnet = neutron.seed_subnet(self.tenant.id, V4, gateway_ip="10.1.0.254", tags=["keep-too"], **self.home)
        neutron.seed_subnet(self.tenant.id, V6, name="v6-of-the-user", **self.home)
        for ip, attributes in self._ports().items():
            fixed = {"subnet_id": subnet.id, "ip_address": ip}
            neutron.seed_port(self.tenant.id, name="mine", fixed_ips=[fixed], tags=["keep-me"], **attributes)
        self.subnet = subnet
        self.tenants = {"neutron.net.uuid": self.tenant.id}
        self.bare = neutron.seed_network(name="bare", **self.home)
        self.full = neutron.seed_network(
            name="full", tags=[f"of-the-user-{number}" for number in range(49)], **self.home
        )
        neutron.seed_subnet(self.full.id, V4, **self.home)
        self.wide = neutron.seed_subnetpool("kuryr", WIDE, default_prefixlen=24, project_id=PROJECT)
        for name in ("web", "db"):
            neutron.create_security_group({"name": name})
        neutron.seed_qos_policy("gold")
        neutron.extensions()
        self.network: DockerNetwork | None = None
        self.box: Container | None = None
        self.clean: dict[str, Any] = {}
        self.lost = False

    def _ports(self) -> dict[str, dict[str, Any]]:
        """The user's ports by their address: a free one, one that is bound as Zun does it, one that is reserved so."""
        zun = {"device_owner": "compute:kuryr", "device_id": ZUN}
        bound = zun | {"binding:host_id": self.rig.host}
        return {MINE: {}, PREPARED: bound, RESERVED: zun | {"admin_state_up": False}}

    def make_rig(self, **cloud: Any) -> Rig:
        return Rig(**{"role": "admin", **cloud})

    def add_neighbour(self) -> None:
        self.docker.network_create("10.99.0.0/24")

    # -- operations --

    def create(
        self,
        subnet_v6: str | None = None,
        internal: bool = False,
        says: Mapping[str, str] | None = None,
        **options: str,
    ) -> None:
        given = {f"neutron.net.{key}": value for key, value in options.items()} | dict(says or {})
        self.network = self.docker.network_create(V4, subnet_v6=subnet_v6, internal=internal, options=given)

    def choose(self, cidr: str | None, **ipam: str) -> None:
        """With ``--ipam-opt`` alone."""
        given = {f"neutron.{key.replace('_', '.')}": value for key, value in ipam.items()}
        self.network = self.docker.network_create(cidr, ipam_options=given)

    def more(self, subnet: str | list[str], **arguments: Any) -> None:
        self.network = self.docker.network_create(subnet, **arguments)

    def network_rm(self) -> None:
        assert self.network is not None
        self.docker.network_rm(self.network)

    def run(self, **options: Any) -> None:
        assert self.network is not None
        self.box = self.docker.run(self.network, **options)

    def rm(self) -> None:
        assert self.box is not None
        self.docker.rm(self.box)

    def attempt(self, act: Callable[[Trial], None]) -> bool:
        try:
            act(self)
        except PluginError:
            return False
        return True

    # -- what has to be true --

    def alive(self) -> None:
        """Assert that the container that Docker believes to exist has its port and its interface."""
        assert self.box is not None
        rig, box = self.rig, self.box
        (port,) = [
            each for each in rig.neutron.user_ports() if {box.ip, box.ip6} & {ip.ip_address for ip in each.fixed_ips}
        ]
        assert (port.host_id, port.vif_type) == (rig.host, rig.neutron.store.normal_vif[0])
        assert is_labelled(port, box.endpoint_id)
        assert {ip.ip_address for ip in port.fixed_ips} >= {ip for ip in (box.ip, box.ip6) if ip}
        assert self._opened(port.id) == len(box.wish.expose) * 2
        links, rows = self.host_side(port)
        assert rig.links.names() == links
        assert [(row.name, row.port_id) for row in rig.ovs.owned()] == [(row, port.id) for row in rows]

    def host_side(self, port: Port) -> tuple[list[str], list[str]]:
        """The interfaces of the host's side, and which of them are in Open vSwitch."""
        tap = f"tap{port.id}"[:14]
        return [tap], [tap]

    def _opened(self, port_id: str) -> int:
        """How many rules let somebody in through a group of the port's own."""
        store = self.rig.neutron.store
        groups = set(store.get("ports", port_id)["security_groups"]) - {store.default_group}
        rules = store.all("security_group_rules")
        return sum(rule["direction"] == "ingress" and rule["security_group_id"] in groups for rule in rules)

    def assert_clean(self, *, at_once: bool = False) -> None:
        """``at_once``: the journal may still have something for the reconciler to look at once more."""
        now = self._state()
        for part in self.clean.keys() - {"journal"}:
            assert now[part] == self.clean[part], part
        if at_once:
            self.rig.settle()
        now = self._state()
        for part, before in self.clean.items():
            assert now[part] == before, part

    def forgive_lost_journal(self) -> None:
        """It holds only what was found again."""
        self.lost = True
        self.clean = self._without_lost(self.clean)

    def _state(self) -> dict[str, Any]:
        state = without_hints(self.rig.state())
        return self._without_lost(state) if self.lost else state

    def _without_lost(self, state: dict[str, Any]) -> dict[str, Any]:
        """A network may say that there are users on their pools where there are none: who leaves it looks once more."""
        networks = without_tag(state["networks"], identity.MORE_USERS)
        return {part: shown for part, shown in state.items() if part != "journal"} | {"networks": networks}


class LateTrial(Trial):
    """What is done side by side ends at the last moment."""

    def make_rig(self, **cloud: Any) -> Rig:
        rig = super().make_rig(**cloud)
        rig.beside = InTurn(late=True)
        rig.revive()
        return rig


def without_tag(rows: dict[str, Any], tag: str) -> dict[str, Any]:
    return {key: row | {"tags": [each for each in row["tags"] if each != tag]} for key, row in rows.items()}


def is_labelled(port: Port, endpoint_id: str) -> bool:
    """Whether Neutron shows which endpoint has the port; one that was bound beforehand is left as it is."""
    if port.name == "mine":
        return port.device_id in (endpoint_id, ZUN)
    return port.device_id == endpoint_id and port.name in (f"{endpoint_id}-port", "kuryr-unbound-port")


def without_hints(state: dict[str, Any]) -> dict[str, Any]:
    """Ignores the mark that somebody has left a network that others still use; the last user removes it."""

    def tags(row: dict[str, Any]) -> list[str]:
        used = any(tag.startswith("kuryr.net.uuid") for tag in row["tags"])
        return [tag for tag in row["tags"] if not used or tag != "kuryr.net.left"]

    return state | {"networks": {key: row | {"tags": tags(row)} for key, row in state["networks"].items()}}


@dataclass(frozen=True)
class Operation:
    """``ground`` sets up what the operation needs, ``act`` runs it, ``undo`` is how the user removes its result."""

    name: str
    act: Callable[[Trial], None]
    undo: Callable[[Trial], None] | None
    ground: tuple[Callable[[Trial], None], ...] = ()
    after_ground: tuple[Callable[[Trial], None], ...] = ()
    trial: type[Trial] = Trial
    engine: int = ENGINES[-1]

    def prepare(self, *, neighbour: bool = False, **cloud: Any) -> Trial:
        """``clean`` is the world without the operation's result: for removals, that before ``after_ground``.

        ``neighbour``: Docker has another network of ours.
        """
        trial = self.trial(engine=self.engine, **cloud)
        if neighbour:
            trial.add_neighbour()
        for step in self.ground:
            step(trial)
        trial.rig.services.reconciler.round()
        trial.clean = without_hints(trial.rig.state())
        for step in self.after_ground:
            step(trial)
        trial.rig.services.reconciler.round()
        return trial

    def once_more(self, trial: Trial) -> None:
        for step in self.after_ground:
            step(trial)
        self.act(trial)
        if self.undo is not None:
            self.undo(trial)


def _creates() -> dict[str, Callable[[Trial], None]]:
    return {
        "new": lambda trial: trial.create(),
        "dual": lambda trial: trial.create(V6),
        "internal": lambda trial: trial.create(internal=True),
        "existing": lambda trial: trial.create(uuid=trial.tenant.id),
        "existing-dual": lambda trial: trial.create(V6, name=TENANT),
        "existing-without-subnet": lambda trial: trial.create(V6, uuid=trial.bare.id),
        "subnet": lambda trial: trial.choose(None, subnet_uuid=trial.subnet.id),
        "default": lambda trial: trial.choose(None),
        "two-subnets": lambda trial: trial.more([V4, "10.2.0.0/24"]),
        "aux": lambda trial: trial.more(V4, aux={"printer": "10.1.0.7", "mine": MINE}, options=trial.tenants),
        "full": lambda trial: trial.create(V6, name="full"),
        "range": lambda trial: trial.more(V4, ip_range=RANGE, options=trial.tenants),
        "says": lambda trial: trial.create(says=NETWORK_SAYS),
    }


def _runs() -> dict[str, tuple[str, Callable[[Trial], None]]]:
    return {
        "fresh": ("new", lambda trial: trial.run()),
        "ip": ("new", lambda trial: trial.run(ip="10.1.0.77")),
        "mac": ("new", lambda trial: trial.run(mac="02:42:ac:11:00:02")),
        "dual": ("dual", lambda trial: trial.run()),
        "dual-ips": ("dual", lambda trial: trial.run(ip="10.1.0.77", ip6="fd00:1::77")),
        "existing": ("existing", lambda trial: trial.run()),
        "adopt": ("existing", lambda trial: trial.run(ip=MINE)),
        "exposed": ("new", lambda trial: trial.run(expose=WEB)),
        "exposed-many": ("new", lambda trial: trial.run(expose=MANY)),
        "adopt-exposed": ("existing", lambda trial: trial.run(ip=MINE, expose=WEB)),
        "range": ("range", lambda trial: trial.run()),
        "adopt-mac": ("existing", lambda trial: trial.run(ip=MINE, mac="02:42:ac:11:00:02")),
        "says": ("says", lambda trial: trial.run()),
        "says-otherwise": ("says", lambda trial: trial.run(options=CONTAINER_SAYS)),
        "adopt-says": ("existing", lambda trial: trial.run(ip=MINE, options=CONTAINER_SAYS, expose=WEB)),
        "prepared": ("existing", lambda trial: trial.run(ip=PREPARED)),
        "reserved": ("existing", lambda trial: trial.run(ip=RESERVED, mac="02:42:ac:11:00:02")),
    }


def operations() -> Iterator[Operation]:
    creates = _creates()
    for name, create in creates.items():
        yield Operation(f"create-{name}", create, Trial.network_rm)
    existing = creates["existing"]  # and once more beside it
    yield Operation("create-joined", existing, Trial.network_rm, (existing,))
    yield Operation("network-rm-joined", Trial.network_rm, None, (existing,), (existing,))
    for name, (network, run) in _runs().items():
        yield Operation(f"run-{name}", run, Trial.rm, (creates[network],))
    for name, (network, run) in _runs().items():
        yield Operation(f"rm-{name}", Trial.rm, None, (creates[network],), (run,))
    for name, create in creates.items():
        yield Operation(f"network-rm-{name}", Trial.network_rm, None, (), (create,))


def on_each_engine(found: Iterable[Operation]) -> dict[str, Operation]:
    """By name, once for each order of calls; removals are the same with all engines."""
    return {
        f"{engine}-{operation.name}": replace(operation, name=f"{engine}-{operation.name}", engine=engine)
        for operation in found
        for engine in (ENGINES if operation.undo else ENGINES[-1:])
    }


def late() -> dict[str, Operation]:
    creates = _creates()
    names = ("new", "dual", "two-subnets", "says", "existing-without-subnet", "full", "range")
    made = [Operation(f"late-create-{name}", creates[name], Trial.network_rm, trial=LateTrial) for name in names]
    gone = [
        Operation(f"late-network-rm-{name}", Trial.network_rm, None, (), (creates[name],), trial=LateTrial)
        for name in ("dual", "two-subnets")
    ]
    return {operation.name: operation for operation in (*made, *gone)}


OPERATIONS = on_each_engine(operations()) | late()


def calls_of(operation: Operation) -> list[str]:
    """The calls that the operation makes to the outside when nothing goes wrong."""
    trial = operation.prepare()
    trial.rig.outside.arm(None)
    operation.act(trial)
    trial.rig.outside.disarm()
    return trial.rig.outside.names


def try_with(operation: Operation, trial: Trial, fault: Fault | None) -> None:
    """The operation with the fault, and everything that has to be true after it."""
    trial.rig.outside.arm(fault)
    done = trial.attempt(operation.act)
    trial.rig.outside.disarm()
    conclude(operation, trial, done=done)


def conclude(operation: Operation, trial: Trial, *, done: bool, journal_lost: bool = False) -> None:
    if journal_lost:
        trial.forgive_lost_journal()
    trial.rig.settle()
    if operation.undo is not None and done:
        if operation.undo == Trial.rm:
            trial.alive()
        operation.undo(trial)
    trial.assert_clean(at_once=True)
    operation.once_more(trial)
    trial.assert_clean(at_once=True)

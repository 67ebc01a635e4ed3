# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The service is killed, or something fails, before each step in the life of a port pool's port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from kuryr_libnetwork.errors import JournalError, LinkError, NeutronUnavailable, OvsdbUnavailable
from tests.conversation.faults.trials import ENGINES, V4, V6, is_labelled
from tests.world.dockerside import Container, DockerNetwork, PluginError
from tests.world.outside import Died, Fault, is_read
from tests.world.rig import DirectDocker, Rig

pytestmark = pytest.mark.usefixtures("uncounted")
COOLING = 130.0
GROUP = "neutron.security_groups"
ERRORS: dict[str, Callable[[], Exception]] = {
    "neutron": lambda: NeutronUnavailable("no answer"),
    "journal": lambda: JournalError("the disk is full"),
    "links": lambda: LinkError("refused"),
    "ovs": lambda: OvsdbUnavailable("no answer"),
}


class Pooled:
    """A host with a network whose pool is full, and a container on it."""

    def __init__(self, engine: int, *, dual: bool = False) -> None:
        self.rig = Rig(role="admin")
        self.docker = DirectDocker(self.rig, engine)
        self.docker.beside = lambda: None
        self.docker.activate()
        self.docker.network_create("10.99.0.0/24")  # of the first network ever, Docker cannot be believed
        self.rig.neutron.create_security_group({"name": "db"})
        self.rig.neutron.extensions()
        self.rig.services.reconciler.round()
        self.clean = self.rig.state()
        self.network: DockerNetwork | None = self.docker.network_create(
            V4, subnet_v6=V6 if dual else None, options={"kuryr.port_pool": "2"}
        )
        self.first = self.docker.run(self.network)
        self.box: Container | None = None
        self.rig.services.labels.work()

    def full(self) -> None:
        self.rig.fill()
        assert len(self.states("ready")) in (2, 3)  # up to the high mark

    def states(self, state: str) -> list[str]:
        return [spare.port_id for spare in self.rig.journal.spares.all() if spare.state == state]

    def run(self) -> None:
        assert self.network is not None
        self.box = self.docker.run(self.network)
        self.rig.services.labels.work()

    def run_otherwise(self) -> None:
        assert self.network is not None
        self.box = self.docker.run(self.network, options={GROUP: "db"})

    def run_exposed(self) -> None:
        assert self.network is not None
        self.box = self.docker.run(self.network, expose=[(6, 80)])

    def run_with_mac(self) -> None:
        assert self.network is not None
        self.box = self.docker.run(self.network, mac="02:42:ac:11:00:02")

    def rm(self) -> None:
        assert self.box is not None
        box, self.box = self.box, None
        self.docker.rm(box)

    def cool(self) -> None:
        self.rig.now += COOLING
        self.rig.fill()

    def network_rm(self) -> None:
        assert self.network is not None
        network, self.network = self.network, None
        for box in filter(None, (self.first, self.box)):
            self.docker.rm(box)
        self.box = None
        self.docker.network_rm(network)

    def check(self) -> None:
        """Assert that each port and interface is known, and that no port is two containers'."""
        rig, journal = self.rig, self.rig.journal
        leased = {lease.port_id for lease in journal.leases.all()}
        spares = {spare.port_id: spare.state for spare in journal.spares.all()}
        assert {port_id for port_id, state in spares.items() if state == "used"} <= leased
        assert leased & {port_id for port_id, state in spares.items() if state != "used"} == set()
        assert {port.id for port in rig.neutron.user_ports()} == leased | set(spares)
        assert {row.port_id for row in rig.ovs.owned()} <= leased | set(spares)
        plugged = {spare.port_id for spare in journal.spares.all() if spare.state == "ready"}
        assert plugged <= {row.port_id for row in rig.ovs.owned()}
        for box in filter(None, (self.first, self.box)):
            (port,) = [each for each in rig.neutron.user_ports() if box.ip in {ip.ip_address for ip in each.fixed_ips}]
            assert is_labelled(port, box.endpoint_id)
            assert port.id in {row.port_id for row in rig.ovs.owned()}

    def conclude(self, *, journal_lost: bool = False) -> None:
        """Whatever happened, all becomes well by itself, and ``network rm`` leaves nothing."""
        rig = self.rig
        rig.fill()
        rig.settle()
        for _ in range(3):
            rig.now += 200
            rig.fill()
        if self.network is not None:
            if not journal_lost:
                self.check()
            self.full()
            if self.box is None:
                self.run()
            if not journal_lost:
                self.check()
            self.network_rm()
            rig.fill()
        rig.settle()
        after = rig.state()
        for part, before in self.clean.items():
            if part != "journal" or not journal_lost:
                assert after[part] == before, part


@dataclass(frozen=True)
class Phase:
    """``ground`` comes before, ``act`` is tried with something in its middle."""

    name: str
    ground: tuple[Callable[[Pooled], None], ...]
    act: Callable[[Pooled], None]
    dual: bool = False

    def prepare(self, engine: int) -> Pooled:
        pooled = Pooled(engine, dual=self.dual)
        for step in self.ground:
            step(pooled)
        return pooled


PHASES = [
    Phase("fill", (), lambda pooled: pooled.rig.fill()),
    Phase("fill-dual", (), lambda pooled: pooled.rig.fill(), dual=True),
    Phase("run", (Pooled.full,), Pooled.run),
    Phase("run-dual", (Pooled.full,), Pooled.run, dual=True),
    Phase("run-otherwise", (Pooled.full,), Pooled.run_otherwise),
    Phase("run-exposed", (Pooled.full,), Pooled.run_exposed),
    Phase("run-with-mac", (Pooled.full,), Pooled.run_with_mac),
    Phase("rm", (Pooled.full, Pooled.run), Pooled.rm),
    Phase("rm-otherwise", (Pooled.full, Pooled.run_otherwise), Pooled.rm),
    Phase("rm-exposed", (Pooled.full, Pooled.run_exposed), Pooled.rm),
    Phase("cool", (Pooled.full, Pooled.run, Pooled.rm), Pooled.cool),
    Phase("network-rm", (Pooled.full, Pooled.run, Pooled.rm), Pooled.network_rm),
]


def calls_of(phase: Phase, engine: int) -> list[str]:
    pooled = phase.prepare(engine)
    pooled.rig.outside.arm(None)
    phase.act(pooled)
    pooled.rig.outside.disarm()
    return pooled.rig.outside.names


def steps() -> Iterator[tuple[Phase, int, int, str]]:
    for engine in ENGINES:
        for phase in PHASES:
            for at, name in enumerate(calls_of(phase, engine)):
                if not is_read(name):
                    yield phase, engine, at, name


def deaths() -> Iterator[object]:
    for phase, engine, at, name in steps():
        yield pytest.param(phase, engine, at, id=f"{engine}-{phase.name}-{at}-{name}")


def failures() -> Iterator[object]:
    for phase, engine, at, name in steps():
        error = ERRORS.get(name.partition(".")[0])
        if error is not None and engine == ENGINES[-1]:
            yield pytest.param(phase, engine, at, error, id=f"{engine}-{phase.name}-{at}-{name}")


def losses() -> Iterator[object]:
    for engine in ENGINES:
        for phase in PHASES:
            for number in range(1, calls_of(phase, engine).count("docker.answer")):
                yield pytest.param(phase, engine, number, id=f"{engine}-{phase.name}-{number}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "error" in metafunc.fixturenames:
        metafunc.parametrize(("phase", "engine", "at", "error"), list(failures()))
    elif "at" in metafunc.fixturenames:
        metafunc.parametrize(("phase", "engine", "at"), list(deaths()))
    elif "number" in metafunc.fixturenames:
        metafunc.parametrize(("phase", "engine", "number"), list(losses()))


def attempt(phase: Phase, pooled: Pooled) -> None:
    try:
        phase.act(pooled)
    except PluginError:
        pooled.box = None
    except Died:  # the filler's own thread
        pooled.rig.revive()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_nothing_happens(phase: Phase, engine: int) -> None:
    """What the other tests expect would not even be so without a fault."""
    pooled = phase.prepare(engine)
    phase.act(pooled)
    pooled.conclude()


def test_the_service_is_killed(phase: Phase, engine: int, at: int) -> None:
    """A port would be nobody's for ever, or two containers', or its address never be used again."""
    pooled = phase.prepare(engine)
    pooled.rig.outside.arm(Fault(at, Died))
    attempt(phase, pooled)
    pooled.rig.outside.disarm()
    if pooled.rig.outside.dead:
        pooled.rig.revive()
    pooled.rig.services.reconciler.finish_interrupted()
    pooled.conclude()


@pytest.mark.parametrize("after", [False, True], ids=["without-effect", "with-its-effect"])
def test_a_step_fails(phase: Phase, engine: int, at: int, error: Callable[[], Exception], after: bool) -> None:
    """One failure of Neutron, the disk or Open vSwitch would cost a port for ever, or the pool."""
    pooled = phase.prepare(engine)
    pooled.rig.outside.arm(Fault(at, error, after=after))
    attempt(phase, pooled)
    pooled.rig.outside.disarm()
    pooled.conclude()


def test_the_journal_is_lost_between_two_calls(phase: Phase, engine: int, number: int) -> None:
    """The container that was just starting would not start, or its port be given to the next one as well."""
    pooled = phase.prepare(engine)
    client = pooled.docker.client
    client.lose_before = client.calls + number
    attempt(phase, pooled)
    client.lose_before = -1
    if pooled.box is not None:
        ips = [ip.ip_address for port in pooled.rig.neutron.user_ports() for ip in port.fixed_ips]
        assert pooled.box.ip in ips
    pooled.conclude(journal_lost=True)

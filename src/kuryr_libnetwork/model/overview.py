# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What an operator is shown of the running service: rows of ``/v1/…`` and of the lists of ``kuryr``.

The names of the members are those of the JSON; they stay as they are.
"""

from __future__ import annotations

from kuryr_libnetwork.model.neutron import FreeAddresses
from kuryr_libnetwork.model.sriov import VfCounters
from kuryr_libnetwork.model.value import Value


class Contact(Value, frozen=True):
    """When a party answered, and failed to, last; in seconds ago, ``None``: never. ``error``: of the last failure."""

    answered: float | None = None
    failed: float | None = None
    error: str = ""

    @property
    def is_lost(self) -> bool:
        """Whether the last that was heard is nothing."""
        return self.failed is not None and (self.answered is None or self.failed < self.answered)


class SubnetRow(Value, frozen=True):
    subnet_id: str
    cidr: str
    gateway: str
    pool_id: str


class PoolState(Value, frozen=True):
    """The port pool of a Docker network: how many ports are to be ready, and are. ``paused``: seconds for which none
    are made.
    """

    wanted: int = 0
    ready: int = 0
    paused: float = 0.0


class NetworkRow(Value, frozen=True):
    """A Docker network. ``network_id``: Neutron's. ``port_pool``: its size as it was asked for; ``spares_…``: as in
    :class:`PoolState`.
    """

    docker_id: str
    state: str
    network_id: str
    subnets: tuple[SubnetRow, ...]
    mtu: int
    vnic_type: str
    physical_network: str
    made: bool
    endpoints: int
    port_pool: str = "0"
    spares_wanted: int = 0
    spares_ready: int = 0
    spares_paused: float = 0.0


class EndpointRow(Value, frozen=True):
    """``container``: its name, where Docker has told it. ``interface``: of this host; ``vf``: PCI address."""

    endpoint_id: str
    state: str
    container: str
    docker_network_id: str
    network_id: str
    port_id: str
    addresses: tuple[str, ...]
    mac_address: str
    interface: str
    vf: str
    driver: str
    sandbox: str


class PortRow(Value, frozen=True):
    """``adopted``: the user made it. ``endpoint_id``: "" while no container has it."""

    port_id: str
    endpoint_id: str
    docker_network_id: str
    network_id: str
    vnic_type: str
    mac_address: str
    addresses: tuple[str, ...]
    adopted: bool
    bound: bool


class SpareRow(Value, frozen=True):
    """A port of a port pool. ``state``: ``used``: a container has it. ``seconds``: for how long it has been so."""

    port_id: str
    docker_network_id: str
    network_id: str
    state: str
    mac_address: str
    addresses: tuple[str, ...]
    security_groups: tuple[str, ...]
    seconds: float


class Drained(Value, frozen=True):
    """What a pool is told to give up: ``ports`` are being deleted."""

    ports: int


class DeviceRow(Value, frozen=True):
    """A VF or PF that a container has, had, or is getting; ``reason``: why it is in quarantine."""

    pci_address: str
    pf: str
    index: int
    vnic_type: str
    physical_network: str
    state: str
    reason: str
    port_id: str
    endpoint_id: str


class SuspectRow(Value, frozen=True):
    """What nobody seems to use. ``seconds``: for how long; ``due_in``: seconds until it is removed, ``None``: not while
    it looks otherwise each time. ``trouble``: why it could not be removed.
    """

    kind: str
    key: str
    reason: str
    seconds: float
    due_in: float
    trouble: str = ""


class RoundRow(Value, frozen=True):
    """The looks for leftovers: how many have begun, and ended, and how long ago the last one, and the last without an
    error, ended (``None``: none has).
    """

    begun: int = 0
    rounds: int = 0
    ended: float | None = None
    succeeded: float | None = None


class Counts(Value, frozen=True):
    """How much there is of everything. ``spares``: ports of port pools by state; ``spares_wanted``: how many are to be
    ready. ``devices``: by state and physical network; ``free_devices``: by physical
    network, "" where the operator has named none; ``free_quota``: by kind of resource, where there is a limit;
    ``addresses``: those free in the subnets of Docker networks; ``stuck``: suspects that could not be removed, by kind.
    """

    networks: dict[str, int] = {}
    endpoints: dict[str, int] = {}
    ports: int = 0
    adopted_ports: int = 0
    pools: int = 0
    intents: int = 0
    devices: dict[tuple[str, str], int] = {}
    free_devices: dict[str, int] = {}
    free_quota: dict[str, int] = {}
    addresses: tuple[FreeAddresses, ...] = ()
    spares: dict[str, int] = {}
    spares_wanted: int = 0
    suspects: dict[str, int] = {}
    stuck: dict[str, int] = {}


class VfUse(Value, frozen=True):
    """What a VF is used for. ``pf``: its network device; ``vf``: the number at the PF; ``network`` and ``port`` are
    Neutron's; ``container``: its name, where Docker has told it.
    """

    pci_address: str
    pf: str
    vf: int
    container: str
    network: str
    port: str


class VfTraffic(Value, frozen=True):
    """What a PF has counted for one of its VFs. ``numa_node``: -1 if there is none."""

    pci_address: str
    pf: str
    vf: int
    numa_node: int
    counted: VfCounters


class VfReport(Value, frozen=True):
    uses: tuple[VfUse, ...] = ()
    traffic: tuple[VfTraffic, ...] = ()


class CallRow(Value, frozen=True):
    """A call of Docker under way. ``request``: its id in the log; ``whom``: the container, port and addresses it is
    for, as far as they are known.
    """

    method: str
    seconds: float
    request: str = ""
    whom: str = ""


class DoneRow(Value, frozen=True):
    """A call of Docker that ended ``ago`` seconds ago. ``outcome``: "ok", or the code of the error."""

    method: str
    seconds: float
    ago: float
    outcome: str = "ok"
    request: str = ""
    whom: str = ""


class NeutronRow(Value, frozen=True):
    """The requests of one kind to Neutron in the last minute; ``median`` and ``slowest`` in seconds."""

    verb: str
    resource: str
    requests: int
    failed: int
    median: float
    slowest: float


class ActivityRow(Value, frozen=True):
    """``waiting``: calls of Docker that no worker has taken yet."""

    waiting: int = 0
    calls: tuple[CallRow, ...] = ()
    recent: tuple[DoneRow, ...] = ()
    neutron: tuple[NeutronRow, ...] = ()


class Wellbeing(Value, frozen=True):
    """``live``: nothing hangs; ``ready``: containers can be connected. ``reasons``: what speaks against either."""

    live: bool
    ready: bool
    reasons: tuple[str, ...] = ()

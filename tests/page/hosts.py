# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Hosts to look at: what a journal has on them, and what the background saw."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kuryr_libnetwork.admin.assembly import lists
from kuryr_libnetwork.admin.pages import Pages, Slow
from kuryr_libnetwork.admin.server import AdminServer, Place, tcp_socket
from kuryr_libnetwork.admin.web import files
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.host.journal import SqliteJournal
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.model.neutron import FixedIp, Port
from kuryr_libnetwork.model.overview import PoolState, Wellbeing
from kuryr_libnetwork.model.records import (
    EndpointRecord,
    LeaseRecord,
    NetworkRecord,
    PlugRecord,
    SpareRecord,
    SubnetRecord,
)
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.rules.leftovers import Suspect
from kuryr_libnetwork.services.background.findings import Findings
from kuryr_libnetwork.services.overview import Overview

HOST = "compute-1"
WELL = Wellbeing(live=True, ready=True)
PF0, PF1 = "0000:3b:00.0", "0000:3b:00.1"
PF_NAMES = {PF0: "ens1f0", PF1: "ens1f1"}


def hexes(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()


def uuid(*words: object) -> str:
    text = hexes(*words)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"


class NoPools:
    """No Docker network keeps ports ready."""

    def age(self, _: SpareRecord) -> float:
        return 0.0

    def states(self) -> dict[str, PoolState]:
        return {}

    def wanted(self) -> int:
        return 0


class World:
    """One host. Every container, VF and network that a test wants is written into its journal."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.wellbeing = WELL
        self.journal: Journal = SqliteJournal(folder / "kuryr.db")
        self.findings = Findings(lambda: self.now)
        self.overview = Overview(self.journal, self.findings, NoPools(), 120.0, lambda _: "", HOST, lambda: None)
        self.findings.note_pfs(PF_NAMES)
        self._names: dict[str, str] = {}
        self._networks: dict[str, str] = {}
        self._statuses: dict[str, str] = {}
        self._suspects: dict[Suspect, float] = {}

    def network(self, name: str, cidr: str, *, vnic_type: str = "", physical_network: str = "", mtu: int = 1442) -> str:
        docker_id = hexes("network", name)
        subnet = SubnetRecord(subnet_id=uuid("s", name), pool_id=uuid("p", name), cidr=cidr, ip_version=4, made=True)
        self.journal.networks.put(
            NetworkRecord(
                docker_id=docker_id,
                neutron_id=uuid("n", name),
                made=not physical_network,
                mtu=mtu,
                subnets=(subnet,),
                vnic_type=vnic_type,
                physical_network=physical_network,
            )
        )
        self._networks[docker_id] = name
        self.findings.note_networks(self._networks)
        return docker_id

    def container(self, name: str, network: str, address: str, *, status: str = "ACTIVE", vf: str = "") -> str:
        """With a veth pair, or with this VF, which must be leased to the port already; answers the endpoint's id."""
        endpoint_id, port_id = hexes("endpoint", name, network), uuid("port", name, network)
        plug = PlugRecord(
            driver="sriov" if vf else "veth",
            binding="hw_veb" if vf else "veth",
            port_id=port_id,
            vif_type="hw_veb" if vf else "ovs",
            host_ifname="" if vf else f"tap{port_id[:11]}",
            container_ifname=f"t_c{port_id[:11]}",
            bridge="" if vf else "br-int",
            pci_address=vf,
        )
        self.journal.endpoints.put(
            EndpointRecord(
                endpoint_id=endpoint_id,
                docker_network_id=network,
                port_id=port_id,
                state="ready",
                mac_address=f"fa:16:3e:{port_id[:2]}:{port_id[2:4]}:{port_id[4:6]}",
                address=f"{address}/24",
                plug=plug,
                sandbox_key=f"/var/run/docker/netns/{endpoint_id[:12]}",
            )
        )
        self.lease(name, network, address, endpoint_id=endpoint_id, vnic_type="direct" if vf else "normal")
        self._names[endpoint_id] = name
        self.findings.note_containers(self._names)
        self.status(port_id, "DOWN" if vf else status)  # VFs are never ACTIVE
        return endpoint_id

    def lease(
        self,
        name: str,
        network: str,
        address: str,
        *,
        endpoint_id: str = "",
        vnic_type: str = "normal",
        original: Port | None = None,
    ) -> str:
        port_id = uuid("port", name, network)
        self.journal.leases.put(
            LeaseRecord(
                port_id=port_id,
                docker_network_id=network,
                neutron_network_id=uuid("n", name),
                mac_address="fa:16:3e:00:00:01",
                vnic_type=vnic_type,
                held=(FixedIp(subnet_id=uuid("s", name), ip_address=address),),
                bound=True,
                original=original,
                endpoint_id=endpoint_id,
            )
        )
        return port_id

    def vf(self, address: str, pf: str, *, owner: str = "", network: str = "", reason: str = "") -> str:
        """Leased for the port of a container, or in quarantine for a reason."""
        self.journal.devices.put(
            DeviceLease(
                pci_address=address,
                pf_address=pf,
                index=int(address[-1]),
                port_id=uuid("port", owner, network),
                vnic_type="direct",
                state="quarantined" if reason else "leased",
                generation="g",
                physical_network="physnet2",
                endpoint_id="" if reason else hexes("endpoint", owner, network),
                reason=reason,
            )
        )
        return address

    def status(self, port_id: str, status: str) -> None:
        self._statuses[port_id] = status
        self.findings.note_statuses(self._statuses)

    def suspect(self, kind: str, key: str) -> None:
        self._suspects[kind, key] = self.now - 40
        seen = self.journal.endpoints.get(key) if kind == "endpoint" else None
        self.findings.note_suspects(self._suspects, {(kind, key): seen})

    def stop(self, endpoint_id: str) -> None:
        """As when its container has been removed."""
        record = self.journal.endpoints.get(endpoint_id)
        assert record is not None
        with self.journal.transaction():
            self.journal.endpoints.drop(endpoint_id)
            self.journal.leases.drop(record.port_id)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the page; answers its address."""
        sock = tcp_socket("127.0.0.1", 0)
        pages = Pages(lambda: self.wellbeing, lists(self.overview), slow=Slow(), local_only=True, files=files())
        server = AdminServer([Place(sock, "tcp", pages)], Health())
        server.start()
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}/"
        finally:
            server.stop()


def small(world: World) -> None:
    """Three wires: two veth pairs and a VF."""
    front = world.network("front", "10.20.0.0/24")
    fast = world.network("fast", "192.168.7.0/24", vnic_type="direct", physical_network="physnet2", mtu=1500)
    world.container("web", front, "10.20.0.127")
    world.container("db", front, "10.20.0.57")
    world.container("dpdk", fast, "192.168.7.12", vf=world.vf("0000:3b:02.1", PF0, owner="dpdk", network=fast))


APPS = ("api", "auth", "billing", "cache", "cart", "catalog", "checkout", "etl", "files", "gateway", "geo", "ingest")


def medium(world: World) -> None:
    """Forty wires, of which several are not well."""
    front = world.network("front", "10.20.0.0/24")
    back = world.network("back", "10.21.0.0/24")
    fast = world.network("fast", "192.168.7.0/24", vnic_type="direct", physical_network="physnet2", mtu=1500)
    for number, app in enumerate(APPS):
        down = "DOWN" if app == "geo" else "ACTIVE"
        world.container(f"{app}-1", front, f"10.20.0.{20 + number}", status=down)
        endpoint = world.container(f"{app}-1", back, f"10.21.0.{20 + number}")
        if app == "etl":
            world.suspect("endpoint", endpoint)
    for number in range(10):
        pf, name = (PF0, PF1)[number % 2], f"vnf-{number}"
        vf = world.vf(f"0000:3b:{2 + number // 8:02x}.{number % 8}", pf, owner=name, network=fast)
        world.container(name, fast, f"192.168.7.{30 + number}", vf=vf)
    for number in range(4):
        world.container(f"worker-{number}", back, f"10.21.0.{100 + number}")
    world.vf("0000:3b:0a.7", PF1, owner="old", network=fast, reason="its MAC is still 02:00:00:00:00:07")
    world.lease("late", front, "10.20.0.200")


def large(world: World) -> None:
    """Three hundred wires on twelve networks."""
    for number in range(12):
        network = world.network(f"team-{number:02}", f"10.{40 + number}.0.0/24")
        for place in range(25):
            name = f"{APPS[(place + number) % len(APPS)]}-{number:02}-{place:02}"
            status = "DOWN" if (number, place) in {(2, 7), (9, 20)} else "ACTIVE"
            if number == 5:
                vf = world.vf(
                    f"0000:3b:{2 + place // 8:02x}.{place % 8}", (PF0, PF1)[place % 2], owner=name, network=network
                )
                world.container(name, network, f"10.{40 + number}.0.{20 + place}", vf=vf)
            else:
                world.container(name, network, f"10.{40 + number}.0.{20 + place}", status=status)

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A host of fakes on which the operators' command is run in-process, with a journal of its own."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from kuryr_libnetwork.cli import kuryr
from kuryr_libnetwork.cli.host.inventory import Host
from kuryr_libnetwork.cli.host.probes import Probes
from kuryr_libnetwork.cli.service_client import AdminClient
from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.errors import EngineUnavailable, HostError, OvsdbUnavailable
from kuryr_libnetwork.host.journal import SqliteJournal
from kuryr_libnetwork.host.journal_view import look, service_runs
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.engine import EngineView
from kuryr_libnetwork.model.links import Link
from kuryr_libnetwork.model.overview import NetworkRow, Wellbeing
from kuryr_libnetwork.model.records import EndpointRecord
from kuryr_libnetwork.model.settings import SriovSettings
from kuryr_libnetwork.model.sriov import DeviceLease
from tests.fakes.neutron import FakeNeutron
from tests.fakes.sriov import FakeNic
from tests.fakes.sriov_profiles import IGB

PF = "0000:01:00.0"
VF0, VF1 = "0000:01:10.0", "0000:01:10.2"
ENDPOINT = "ab" * 32


class FakeEngine:
    """``containers``: names by endpoint; ``None``: it does not answer."""

    def __init__(self) -> None:
        self.containers: dict[str, str] | None = {}

    def view(self) -> EngineView:
        if self.containers is None:
            raise EngineUnavailable("Docker does not answer")
        known = frozenset(self.containers)
        return EngineView(network_ids=frozenset(), endpoint_ids=known, containers=self.containers)


class WellService(AdminClient):
    """What a service answers that says how it is; ``told`` is what a test sets."""

    def __init__(self) -> None:
        super().__init__(None)
        self.told = Wellbeing(live=True, ready=True)
        self.networks: list[NetworkRow] = []

    def get(self, page: str) -> dict[str, Any]:
        if page == "/v1/networks":
            return {"networks": msgspec.to_builtins(self.networks)}
        assert page == "/healthz"
        found: dict[str, Any] = msgspec.to_builtins(self.told)
        return found


class Bench:
    """A host with PF ``pf0`` and two VFs; ``run`` answers exit code, output and errors."""

    def __init__(self, folder: Path) -> None:
        self.nic = FakeNic(IGB, vfs=2)
        self.folder = folder
        self.path = folder / "kuryr.db"
        self.sriov = SriovSettings(mappings={"physnet2": ("pf0",)}, carrier_timeout=1.5)
        self.words: Sequence[str] = ()
        self.neutron: Callable[[], Neutron] = FakeNeutron
        self.plugin_error = ""
        self.docker = "28.5.2"
        self.bridges = ["br-int"]
        self.ovs_error = ""
        self.ovs_settings = {"ovn-encap-ip": "172.31.0.5", "ovn-encap-type": "geneve"}
        self.links: dict[str, Link] = {"172.31.0.5": Link(index=2, name="eth1", mtu=1500)}
        self.kernel = "6.1.0-56-amd64"
        self.iommu = False
        self.engine = FakeEngine()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer = ""
        self.admin: AdminClient = AdminClient(folder / "admin.sock")
        self.program = "/usr/bin/kuryr"
        self.config = folder / "empty.conf"
        self.config.write_text("")

    def ask(self, method: str, body: Mapping[str, str]) -> None:
        """What the service answers."""
        self.asked.append((method, dict(body)))
        if self.answer:
            raise HostError(self.answer)

    def ask_ovs(self) -> list[str]:
        if self.ovs_error:
            raise OvsdbUnavailable(self.ovs_error)
        return self.bridges

    def make_host(self, words: Sequence[str]) -> Host:
        self.words = words
        settings = msgspec.structs.replace(
            config.read(["--config-file", str(self.config)], login=False).settings, sriov=self.sriov
        )
        return Host(
            pci=self.nic.pci,
            control=self.nic.control,
            netdevs=self.nic.netdevs,
            settings=settings,
            look=partial(look, self.path),
            service_runs=partial(service_runs, self.path),
            journal=lambda: closing(SqliteJournal(self.path)),
            ask=self.ask,
            admin=self.admin,
            probes=Probes(
                neutron=lambda: self.neutron(),
                plugin=lambda: self.plugin_error,
                bridges=self.ask_ovs,
                ovs_settings=lambda: self.ovs_settings,
                link_with=lambda address: self.links.get(address),
                docker=lambda: self.docker,
                kernel=self.kernel,
                iommu=self.iommu,
            ),
            engine=self.engine,
            units=self.folder / "units",
            program=self.program,
            config_words=tuple(words),
            root=self.folder / "root",
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        code = kuryr.main(words, self.make_host, out, err)
        return code, out.getvalue(), err.getvalue()

    def listed(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        found, out, err = self.run(*words, "-f", "json")
        assert (found, err) == (code, "")
        rows: list[dict[str, Any]] = json.loads(out)
        return rows

    def refused(self, *words: str) -> str:
        code, out, err = self.run(*words)
        assert (code, out) == (1, "")
        assert err.startswith("kuryr: ")
        assert err.count("\n") == 1
        return err

    def lease(self, **more: Any) -> DeviceLease:
        known = DeviceLease(
            pci_address=VF0,
            pf_address=PF,
            index=0,
            port_id="port-1",
            vnic_type="direct",
            state="leased",
            generation="g",
            endpoint_id=ENDPOINT,
        )
        lease = msgspec.structs.replace(known, **more)
        with closing(SqliteJournal(self.path)) as journal:
            journal.devices.put(lease)
        return lease

    def endpoint(self) -> None:
        with closing(SqliteJournal(self.path)) as journal:
            journal.endpoints.put(
                EndpointRecord(
                    endpoint_id=ENDPOINT, docker_network_id="n", port_id="port-1", state="ready", fingerprint="f"
                )
            )

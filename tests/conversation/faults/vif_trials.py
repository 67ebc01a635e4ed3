# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers on ports of other vif types, to be started and removed with a fault in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kuryr_libnetwork.model.neutron import Port
from tests.conversation.faults.trials import MINE, Operation, Trial, on_each_engine

Vif = tuple[str, dict[str, Any]]


class VifTrial(Trial):
    """The agent of the host binds ports in this way."""

    vif: Vif

    def __init__(self, **cloud: Any) -> None:
        super().__init__(**cloud)
        self.rig.neutron.store.normal_vif = self.vif

    def create_existing(self) -> None:
        self.create(uuid=self.tenant.id)


class HybridTrial(VifTrial):
    vif = ("ovs", {"ovs_hybrid_plug": True, "bridge_name": "br-int"})

    def host_side(self, port: Port) -> tuple[list[str], list[str]]:
        names = [f"{prefix}{port.id}"[:14] for prefix in ("qbr", "qvb", "qvo", "tap")]
        assert sorted(self.rig.links.members(names[0])) == [names[1], names[3]]
        return names, [names[2]]


class BridgeTrial(VifTrial):
    vif = ("bridge", {})

    def host_side(self, port: Port) -> tuple[list[str], list[str]]:
        bridge, tap = f"brq{port.network_id}"[:14], f"tap{port.id}"[:14]
        assert self.rig.links.members(bridge) == [tap]
        return [bridge, tap], []


class ScriptTrial(VifTrial):
    vif = ("sdn", {"zone": "a"})

    def host_side(self, port: Port) -> tuple[list[str], list[str]]:
        tap = f"tap{port.id}"[:14]
        assert self.rig.scripts.bound[port.id][:3] == (tap, port.device_id, port.mac_address)
        return [tap], []


def _create(trial: Trial) -> None:
    assert isinstance(trial, VifTrial)
    trial.create_existing()


def _run(trial: Trial) -> None:
    trial.run()


def _adopt(trial: Trial) -> None:
    trial.run(ip=MINE)


def operations() -> Iterator[Operation]:
    for kind, trial in (("hybrid", HybridTrial), ("bridge", BridgeTrial), ("script", ScriptTrial)):
        for name, run in (("fresh", _run), ("adopt", _adopt)):
            yield Operation(f"run-{kind}-{name}", run, Trial.rm, (_create,), trial=trial)
            yield Operation(f"rm-{kind}-{name}", Trial.rm, None, (_create,), (run,), trial=trial)


OPERATIONS = on_each_engine(operations())

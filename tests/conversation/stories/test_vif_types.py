# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers on ports that Neutron's agents bind in other ways than OVN: what Docker's user sees."""

from __future__ import annotations

from typing import Any

import pytest

from kuryr_libnetwork.calls import count_calls
from kuryr_libnetwork.errors import BindingScriptFailed
from tests.world.dockerside import DockerNetwork, PluginError
from tests.world.rig import DirectDocker, Rig


def world(vif_type: str, **details: Any) -> tuple[Rig, DirectDocker, DockerNetwork]:
    rig = Rig()
    rig.neutron.store.normal_vif = (vif_type, details)
    docker = DirectDocker(rig)
    return rig, docker, docker.network_create()


@pytest.mark.parametrize(
    ("vif_type", "details"),
    [("ovs", {"ovs_hybrid_plug": True}), ("bridge", {}), ("tap", {}), ("sdn", {"zone": "a"})],
)
def test_run_and_rm_cost_what_they_always_cost(vif_type: str, details: dict[str, Any]) -> None:
    """Clouds with other agents than OVN would have slower containers, or leave something on the host."""
    rig, docker, net = world(vif_type, **details)
    before = rig.state()
    with count_calls() as calls:
        box = docker.run(net)
    assert calls.neutron == 2
    with count_calls() as calls:
        docker.rm(box)
    assert calls.neutron == 1
    assert rig.state() == before


@pytest.mark.parametrize("vif_type", ["vhostuser", "midonet"])
def test_what_cannot_be_is_said_and_leaves_nothing(vif_type: str) -> None:
    """A container would start without a network, or its port stay behind."""
    rig, docker, net = world(vif_type)
    before = rig.state()
    with pytest.raises(PluginError, match=f"has binding:vif_type {vif_type}: "):
        docker.run(net)
    assert rig.state() == before


def test_a_script_that_refuses_is_believed() -> None:
    """The container would start without a network, as with upstream, which only logs what a script says."""
    rig, docker, net = world("sdn")
    before = rig.state()
    rig.scripts.fail_next("run", BindingScriptFailed("/bindir/sdn bind p ended with 2: no such zone"))
    with pytest.raises(PluginError, match="ended with 2: no such zone"):
        docker.run(net)
    assert rig.state() == before


def test_an_unbind_that_fails_is_tried_again_by_the_reconciler() -> None:
    """What the script has set up in its network would stay for a container that is gone."""
    rig, docker, net = world("sdn")
    rig.services.reconciler.round()
    before = rig.state()
    box = docker.run(net)
    for _ in range(3):  # DeleteEndpoint, ReleaseAddress, and one look of the reconciler
        rig.scripts.fail_next("run", BindingScriptFailed("the controller is down"))
    docker.rm(box)
    assert len(rig.scripts.bound) == 1
    rig.services.reconciler.round()
    assert len(rig.scripts.bound) == 1
    rig.services.reconciler.round()
    assert rig.scripts.bound == {}
    rig.settle()
    assert rig.state() == before

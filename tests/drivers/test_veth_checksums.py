# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from kuryr_libnetwork.model.links import VethSpec
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from tests.fakes.host import FakeLinks, FakeOvs, FakeScripts


class Recorder(FakeLinks):
    def __init__(self) -> None:
        super().__init__()
        self.made: list[VethSpec] = []

    def create_veth(self, spec: VethSpec) -> None:
        self.made.append(spec)
        super().create_veth(spec)


@pytest.mark.parametrize(("datapath", "offloaded"), [("system", True), ("netdev", False), (None, True)])
def test_checksums_are_finished_where_the_datapath_is_in_user_space(datapath: str | None, offloaded: bool) -> None:
    """Ping would work and TCP hang on hosts with DPDK or without the kernel module of Open vSwitch."""
    links = Recorder()
    driver = VethDriver(links, FakeOvs(), FakeScripts())
    details = {"bridge_name": "br-int"} | ({"datapath_type": datapath} if datapath else {})
    port = Port(id="0f9e3a55-7c1b", network_id="n", mac_address="fa:16:3e:0:0:1", vif_type="ovs", vif_details=details)
    driver.plug(driver.plan(port, "e1"), port, "e1", 1442)
    assert [spec.tx_checksum for spec in links.made] == [offloaded]

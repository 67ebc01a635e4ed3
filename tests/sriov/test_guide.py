# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""docs/sriov.md from its first to its last command, on a real SR-IOV stack: an emulated 82576 (igb)."""

from __future__ import annotations

import configparser
from typing import Any

import pytest

from lab.api import Lab
from lab.process import wait_for
from lab.sriov.api import Machine
from tests.sriov import document
from tests.sriov.guide import Card, Guide
from tests.sriov.reader import Reader

pytestmark = pytest.mark.timeout(900)
ML2_CONF = "/etc/neutron/plugins/ml2/ml2_conf.ini"
MTU = 1400


def all_ok(report: str) -> bool:
    lines = report.splitlines()
    return bool(lines) and all(line.startswith("ok: ") for line in lines)


def test_step_1_virtual_functions(step1: list[str], machine: Machine) -> None:
    """`kuryr vf create` would not make VFs, or make such as no container can get."""
    created, listed = step1
    assert "pf0 (0000:01:00.0) has 4 VFs; it had 0" in created
    assert listed.count("free") == 4
    assert machine.read("/sys/class/net/pf0/device/sriov_numvfs").strip() == "4"


def test_step_2_neutron_server(machine: Machine, lab: Lab, reader: Reader) -> None:
    """The guide's settings for neutron-server would differ from this Neutron's, which does bind VFs."""
    machine.run(["mkdir", "-p", ML2_CONF.rpartition("/")[0]])
    machine.write(ML2_CONF, lab.paths.neutron_conf.read_text())
    printed, checked = reader.follow(document.SERVER)
    assert "sriovnicswitch" in printed
    assert all_ok(checked)
    machine.write(ML2_CONF, lab.paths.neutron_conf.read_text().replace(",sriovnicswitch", ""))
    refused = machine.run(["kuryr", "config", "neutron-server", "--check", ML2_CONF], check=False)
    assert (refused.returncode, "add sriovnicswitch" in refused.stdout) == (1, True)


def test_step_3_agent(machine: Machine, reader: Reader) -> None:
    """With the guide's settings Neutron's agent would not be alive, with both cards on the physical network."""
    printed, checked, agents = reader.follow(document.AGENT)
    wanted = next(line for line in printed.splitlines() if line.startswith("#physical_device_mappings"))
    file = configparser.ConfigParser()
    file.read_string(machine.read("/etc/neutron/plugins/ml2/sriov_agent.ini"))
    mappings = file["sriov_nic"]["physical_device_mappings"]
    assert wanted == f"#physical_device_mappings = {mappings}".replace(machine.physical_network, "PHYSICAL_NETWORK")
    assert all_ok(checked)
    (row,) = [line for line in agents.splitlines() if "NIC Switch agent" in line]
    assert f"| {machine.name} " in row
    assert "| :-) " in row


def test_step_4_service(step4: list[str], machine: Machine) -> None:
    """The service would not accept the guide's four driver names for SR-IOV."""
    _, checked = step4
    assert all_ok(checked)
    lines = machine.read(machine.kuryr_conf).splitlines()
    assert [line for line in lines if "_drivers" in line] == [
        "enabled_port_drivers = kuryr_libnetwork.port_driver.drivers.veth, kuryr_libnetwork.port_driver.drivers.sriov",
        "enabled_drivers = kuryr.lib.binding.drivers.veth, kuryr.lib.binding.drivers.hw_veb",
    ]


def vf_at_home(guide: Guide, index: int) -> tuple[Any, ...]:
    """Name, MAC, MTU and whether it is up; MAC, VLAN, spoof check, trust and link state at the PF."""
    picture = Card(guide.machine).picture()
    return picture[guide.vfs()[index]], picture["pf0 vfs"][index]


def test_the_four_commands(guide: Guide, reader: Reader) -> None:
    """Upstream's guide would not run: the container must get the very VF of its port, and give it back as it was."""
    assert guide.vfs()[1] == reader.values["0000:01:10.2"]
    before = vf_at_home(guide, 1)
    *_, doctor = reader.follow(document.NETWORK)
    guide.claim(network="net04")
    assert " wrong " not in doctor
    (network,) = guide.lab.neutron("GET", "/v2.0/networks?name=net04")["networks"]
    guide.change("network", network["id"], mtu=MTU)
    *_, box = reader.follow(document.COMMANDS)
    guide.claim(containers=[box], networks=["kuryr_net"], port="sriov_port")
    (port,) = guide.lab.neutron("GET", "/v2.0/ports?name=sriov_port")["ports"]
    assert_inside(guide, box, port)
    assert_on_the_page(guide, box, port)
    guide.rm(box)
    assert vf_at_home(guide, 1) == before
    after = guide.get("port", port["id"])
    assert (after["binding:host_id"], after["binding:vif_type"], after["device_id"]) == ("", "unbound", "")
    profile = {"physical_network": "physnet2", "pci_vendor_info": "8086:10ca", "pci_slot": "0000:01:10.2"}
    assert after["binding:profile"] == profile


def assert_inside(guide: Guide, box: str, port: dict[str, Any]) -> None:
    """What the container has of the port of the page's third command."""
    link = guide.link(box)
    assert link["parentdev"] == "0000:01:10.2"
    assert (link["address"], link["mtu"]) == (port["mac_address"], MTU)
    assert (
        guide.machine.docker_inspect(box)["NetworkSettings"]["Networks"]["kuryr_net"]["MacAddress"] == link["address"]
    )
    assert "inet 10.10.0.5/24" in guide.inside(box, "ip", "address", "show", "eth0")
    routes = guide.inside(box, "ip", "route").splitlines()
    assert [route.split()[0] for route in routes] == ["default", "10.10.0.0/24"]
    assert "default via 10.10.0.1 dev eth0" in routes[0]
    assert guide.at_pf(1)["vlan_list"][0]["vlan"] == 150


def assert_on_the_page(guide: Guide, box: str, port: dict[str, Any]) -> None:
    """The page shows which container has the VF, and on which card it is; such a port is never ACTIVE."""
    name = guide.machine.docker_inspect(box)["Name"].removeprefix("/")
    assert wait_for(lambda: guide.wire_of(box)["container"] == name, 60)
    wire = guide.wire_of(box)
    assert (wire["port_id"], wire["device"], wire["device_state"]) == (port["id"], "0000:01:10.2", "leased")
    assert (wire["uplink"], wire["marks"]) == ("pf:0000:01:00.0", [])


def test_without_typing_an_address(guide: Guide, reader: Reader, physical: dict[str, Any]) -> None:
    """The VF would not be in its network's VLAN: no connection, on a card or over the wire, or one to somebody else."""
    net, other = guide.docker_network(physical), guide.make_network("net05", 151, "10.20.0.0/24")
    on_pf0 = [guide.run_with(net, "kuryr.vnic_type=direct", "kuryr.pf=pf0") for _ in range(2)]
    automatic, *_, fast, fast_on_pf1 = reader.follow(document.AUTOMATIC, kuryr_net=net)
    guide.claim(containers=[automatic, fast, fast_on_pf1], networks=["fast"])
    slots = {name: guide.pci_of(name) for name in (*on_pf0, automatic, fast, fast_on_pf1)}
    assert len(set(slots.values())) == len(slots)
    assert {slots[name] for name in on_pf0} <= set(guide.vfs("pf0"))
    # `spread` takes the card with more free VFs, so this one is on the other side of the wire.
    assert slots[automatic] in guide.vfs("pf1")
    assert slots[fast_on_pf1] in guide.vfs("pf1")
    assert guide.port_of(fast_on_pf1, "fast")["network_id"] == other["id"]
    assert guide.reaches(on_pf0[0], guide.address(on_pf0[1], net))
    assert guide.reaches(on_pf0[0], guide.address(automatic, net))
    assert guide.reaches(fast, guide.address(fast_on_pf1, "fast"))
    intruder = physical["cidr"].replace(".0/24", ".200/24")
    guide.machine.docker("exec", "--privileged", fast, "ip", "address", "add", intruder, "dev", "eth0")
    assert not guide.reaches(fast, guide.address(on_pf0[0], net), 5)

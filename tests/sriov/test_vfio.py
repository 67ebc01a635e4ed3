# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A VF on vfio-pci for a program in a container, as DPDK uses it: the section "DPDK" of docs/sriov.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.sriov.api import Machine
from tests.sriov import document
from tests.sriov.guide import Guide
from tests.sriov.reader import Reader, operated_with

pytestmark = pytest.mark.timeout(900)
INDEX = 2
PROGRAM = Path(__file__).with_name("vfio_program.py")
IN_CONTAINER = 'echo $$ >"/sys/fs/cgroup/docker/$1/cgroup.procs" && exec python3 - "/proc/$2/root" "$3" "$4"'
"""Under the container's rules for devices, and with its device files; the image has no Python of its own."""


@pytest.fixture(scope="module")
def group(configured: Machine, reader: Reader) -> Iterator[str]:
    """The host's part of the section; the VF's IOMMU group. All VFs are made anew at the end."""
    count = int(configured.read("/sys/class/net/pf0/device/sriov_numvfs"))
    *_, group, _ = reader.follow(document.VFIO_HOST)
    yield group.strip()
    configured.set_vfs("pf0", count)


@pytest.fixture(scope="module")
def allowed(configured: Machine, group: str) -> Iterator[str]:
    with operated_with(configured, document.page()[document.VFIO_HOST].settings):
        yield group


def shown(machine: Machine, slot: str) -> dict[str, Any]:
    (row,) = [row for row in json.loads(machine.shell("kuryr vf list -f json")) if row["PCI address"] == slot]
    return dict(row)


def found_by_program(machine: Machine, box: str, group: str, slot: str) -> dict[str, Any]:
    """What a program in the container sees of the device, by VFIO alone."""
    state = machine.docker_inspect(box)
    words = ["sh", "-c", IN_CONTAINER, "sh", state["Id"], str(state["State"]["Pid"]), group, slot]
    return dict(json.loads(machine.run(words, stdin=PROGRAM.read_text()).stdout))


# The first, for what comes after it has the service allow it.
def test_an_operator_who_has_not_allowed_it(group: str, guide: Guide, physical: dict[str, Any]) -> None:
    """A VF that the operator keeps for a virtual machine would be given to a container."""
    slot, net = guide.vfs()[INDEX], guide.docker_network(physical)
    wanted = f"name={net},driver-opt=kuryr.vnic_type=direct,driver-opt=kuryr.pci_slot={slot}"
    words = ["run", "--rm", "--network", wanted, f"--device=/dev/vfio/{group}", "busybox", "true"]
    said = guide.machine.docker(*words, check=False).stderr
    assert "no free VF on physnet2: 1 bound to vfio-pci ([sriov] allow_vfio)" in said
    assert shown(guide.machine, slot)["State"] == "unusable"


def test_a_program_gets_the_vf_of_a_port(allowed: str, guide: Guide, reader: Reader, physical: dict[str, Any]) -> None:
    """A DPDK program would have no device, or one that sends with another MAC, or into another VLAN."""
    slot = guide.vfs()[INDEX]
    assert (slot, shown(guide.machine, slot)["State"]) == (reader.values["0000:01:10.4"], "free")
    net = guide.docker_network(physical)
    (box,) = reader.follow(document.VFIO_RUN, **{"kuryr_net": net, "/dev/vfio/13": f"/dev/vfio/{allowed}"})
    guide.claim(containers=[box])
    port = guide.port_of(box, net)
    found = guide.at_pf(INDEX)
    assert (found["address"], found["vlan_list"][0]["vlan"], found["spoofchk"]) == (port["mac_address"], 150, True)
    assert guide.inside(box, "ls", "/sys/class/net").split() == ["lo"]
    assert guide.inside(box, "ls", "/dev/vfio").split() == [allowed, "vfio"]
    seen = found_by_program(guide.machine, box, allowed, slot)
    assert (seen["vendor"], seen["device"], seen["mac"]) == (0x8086, 0x10CA, port["mac_address"])
    row = shown(guide.machine, slot)
    assert (row["State"], row["Driver"], row["Port"], row["Note"]) == ("leased", "vfio-pci", port["id"], "")
    doctor = guide.machine.run(["kuryr", "doctor", "-f", "json"], check=False).stdout
    links = {link["Link"]: (link["Status"], link["Found"]) for link in json.loads(doctor)}
    assert (links["IOMMU"], links["drivers of VFs"]) == (("ok", "on"), ("ok", "igbvf, vfio-pci"))
    guide.rm(box)
    row = shown(guide.machine, slot)
    assert (row["State"], row["Driver"], row["Port"]) == ("free", "vfio-pci", "")


def test_a_port_that_names_the_vf(allowed: str, guide: Guide, physical: dict[str, Any]) -> None:
    """A port made for a program would be refused, or not be given back as it was."""
    slot, address = guide.vfs()[INDEX], physical["cidr"].replace(".0/24", ".5")
    port = guide.port(physical, slot, address)
    box = guide.run(guide.docker_network(physical), f"--ip={address}", f"--device=/dev/vfio/{allowed}")
    assert guide.at_pf(INDEX)["address"] == port["mac_address"]
    assert guide.get("port", port["id"])["binding:profile"]["pci_slot"] == slot
    guide.rm(box)
    after = guide.get("port", port["id"])
    assert (after["binding:host_id"], after["device_id"], after["binding:profile"]) == ("", "", port["binding:profile"])
    assert (shown(guide.machine, slot)["State"], shown(guide.machine, slot)["Driver"]) == ("free", "vfio-pci")

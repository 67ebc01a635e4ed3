# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""PCI functions, in sysfs and in the fake; and errors that only sysfs can cause."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from kuryr_libnetwork.errors import DeviceError
from kuryr_libnetwork.host.sysfs import SysfsPci, normal_address
from kuryr_libnetwork.interfaces.sriov import PciFunctions
from kuryr_libnetwork.model.sriov import PhysicalFunction, VirtualFunction
from tests.adapters.sysfs_tree import SysfsTree
from tests.fakes.sriov import FakeNic
from tests.fakes.sriov_profiles import IGB

PF = "0000:01:00.0"
VFS = ["0000:01:10.0", "0000:01:10.2", "0000:01:10.4", "0000:01:10.6"]
THIRD = VFS[2]


def igb(folder: Path) -> SysfsTree:
    """The card that :class:`FakeNic` has, too: four VFs of seven."""
    tree = SysfsTree(folder)
    pf = {"vendor": IGB.vendor_id, "device": IGB.pf_device, "driver": IGB.pf_driver, "net": "pf0"}
    tree.pf(PF, total=IGB.total_vfs, vf_device=IGB.vf_device, vf_driver=IGB.vf_driver, **pf)
    tree.write(tree.devices / PF / "sriov_numvfs", "4")
    tree.writes.clear()
    return tree


class Joined(threading.Thread):
    """A thread whose error the test gets."""

    def __init__(self, work: Callable[[], object], errors: list[Exception]) -> None:
        super().__init__()
        self._work = work
        self._errors = errors

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001  # a thread's boundary: the test asserts that there is none
            self._errors.append(error)


class World:
    """A host with that card, and what happens to it from outside."""

    def __init__(self, pci: PciFunctions, tree: SysfsTree | None, nic: FakeNic | None) -> None:
        self.pci = pci
        self._tree = tree
        self._nic = nic

    def send_away(self, address: str) -> None:
        if self._tree is not None:
            self._tree.send_away(address)
        if self._nic is not None:
            self._nic.move(self._nic.of(address).name, "/sandbox", "eth0")


@pytest.fixture
def tree(tmp_path: Path) -> SysfsTree:
    return igb(tmp_path / "sys")


@pytest.fixture(params=["sysfs", "fake"])
def world(request: pytest.FixtureRequest, tree: SysfsTree) -> World:
    if request.param == "fake":
        nic = FakeNic()
        return World(nic.pci, None, nic)
    return World(SysfsPci(tree.root, tree.write), tree, None)


def addresses(pci: PciFunctions) -> list[str]:
    return [vf.pci_address for vf in pci.virtual_functions(PF)]


def third(pci: PciFunctions) -> VirtualFunction:
    vf = pci.virtual_function(THIRD)
    assert vf is not None
    return vf


# -- sysfs and the fake --


def test_a_pf_is_shown_whole(world: World) -> None:
    """A VF would be chosen by wrong facts."""
    expected = PhysicalFunction(
        pci_address=PF,
        vendor_id="8086",
        device_id="10c9",
        driver="igb",
        netdevs=("pf0",),
        total_vfs=7,
        num_vfs=4,
    )
    assert world.pci.physical_functions() == [expected]
    assert world.pci.physical_function(PF) == expected


def test_vfs_are_shown_whole_and_in_order(world: World) -> None:
    """The PF would be told to set up another VF than the one that the container gets."""
    found = world.pci.virtual_functions(PF)
    assert [vf.pci_address for vf in found] == VFS
    assert [vf.index for vf in found] == [0, 1, 2, 3]
    assert found[2] == world.pci.virtual_function(THIRD)
    assert found[2] == VirtualFunction(
        pci_address=THIRD,
        pf_address=PF,
        index=2,
        vendor_id="8086",
        device_id="10ca",
        driver="igbvf",
        netdevs=("pf0v2",),
    )
    assert found[2].pci_vendor_info == "8086:10ca"


@pytest.mark.parametrize(
    "address", ["0000:01:10.1", "01:10.4", "../0000:01:10.4", "0000:01:10.4/physfn", "0000:01:*.?", ".*", "", "\0"]
)
def test_what_is_no_function_is_none(world: World, address: str) -> None:
    """A port's profile could name any file of the host, or match another function."""
    assert world.pci.virtual_function(address) is None
    assert world.pci.physical_function(address) is None
    assert world.pci.virtual_functions(address) == []
    with pytest.raises(DeviceError):
        world.pci.unbind(address)


def test_a_pf_is_no_vf_and_a_vf_no_pf(world: World) -> None:
    """A whole card would be given out instead of one of its VFs."""
    assert world.pci.virtual_function(PF) is None
    assert world.pci.physical_function(THIRD) is None


def test_upper_case_is_the_same_function(world: World) -> None:
    """Neutron's profile in upper case would find nothing."""
    world.pci.set_num_vfs(PF, 7)
    assert addresses(world.pci)[-1] == "0000:01:11.4"
    assert world.pci.virtual_function("0000:01:10.4".upper()) == third(world.pci)


def test_a_device_elsewhere_is_known_as_such(world: World) -> None:
    """A VF in a container would be taken for one without a driver, and bound again under it."""
    world.send_away(THIRD)
    assert (third(world.pci).netdevs, third(world.pci).netdev_elsewhere) == ((), True)


def test_unbound_and_bound_again(world: World) -> None:
    """The repair of a VF whose device is lost would not bring it back."""
    world.send_away(THIRD)
    world.pci.unbind(THIRD)
    assert (third(world.pci).driver, third(world.pci).netdevs, third(world.pci).netdev_elsewhere) == ("", (), False)
    world.pci.unbind(THIRD)
    name = world.pci.bind(THIRD, "igbvf", 1)
    assert (third(world.pci).driver, third(world.pci).netdevs) == ("igbvf", (name,))
    assert world.pci.bind(THIRD, "igbvf", 1) == name


def test_only_vfs_are_unbound(world: World) -> None:
    """The host would lose its card, with all of its VFs."""
    with pytest.raises(DeviceError, match="is no VF"):
        world.pci.unbind(PF)
    assert world.pci.physical_functions()[0].driver == "igb"
    with pytest.raises(DeviceError, match="is no VF"):
        world.pci.bind(PF, "igb", 0)


def test_a_driver_that_is_not_there_is_named(world: World) -> None:
    """An operator would look for the fault at the VF."""
    world.pci.unbind(THIRD)
    with pytest.raises(DeviceError, match="no driver nothing loaded"):
        world.pci.bind(THIRD, "nothing", 0)


def test_a_bound_vf_whose_device_is_away_is_said(world: World) -> None:
    """A container's device would be announced as a fresh one."""
    world.send_away(THIRD)
    with pytest.raises(DeviceError, match="no network device"):
        world.pci.bind(THIRD, "igbvf", 0)


@pytest.mark.parametrize("count", [7, 4, 1, 0])
def test_the_number_of_vfs_is_set(world: World, count: int) -> None:
    """The kernel refuses any other number while there are VFs."""
    world.pci.set_num_vfs(PF, count)
    assert len(world.pci.virtual_functions(PF)) == count
    assert world.pci.physical_functions()[0].num_vfs == count


@pytest.mark.parametrize("count", [8, -1])
def test_a_number_that_cannot_be_is_refused(world: World, count: int) -> None:
    """All VFs would be gone before the kernel refuses the number."""
    with pytest.raises(DeviceError, match=f"can have 0 to 7 VFs, not {count}"):
        world.pci.set_num_vfs(PF, count)
    assert addresses(world.pci) == VFS


def test_the_same_number_changes_nothing(world: World) -> None:
    """Each start of the service would take the VFs from all containers."""
    world.send_away(THIRD)
    world.pci.set_num_vfs(PF, 4)
    assert third(world.pci).netdev_elsewhere


def test_a_vf_cannot_be_divided(world: World) -> None:
    """A mistyped address in the configuration would end in a traceback."""
    with pytest.raises(DeviceError, match="cannot have VFs"):
        world.pci.set_num_vfs(THIRD, 2)


# -- sysfs alone --


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("0000:01:10.4", "0000:01:10.4"),
        ("10000:E1:1F.7", "10000:e1:1f.7"),
        ("abcdef01:00:00.0", "abcdef01:00:00.0"),
        ("000:01:10.4", ""),
        ("0000:01:20.4", ""),
        ("0000:01:10.8", ""),
        ("0000:01:10.4\n", ""),
        ("\N{ARABIC-INDIC DIGIT ZERO}000:01:10.4", ""),
    ],
)
def test_addresses_are_whole_and_lower_case(text: str, normal: str) -> None:
    """Functions behind VMD have domains of five digits; anything else would become a path."""
    assert normal_address(text) == normal


def test_only_network_functions_with_vfs_are_pfs(tree: SysfsTree) -> None:
    """An NVMe disk with VFs or an ordinary card would be offered to containers."""
    ids = {"vendor": "8086", "device": "0001"}
    tree.function("0000:02:00.0", **ids, **{"class": "0x010802", "sriov_totalvfs": "8"})
    tree.function("0000:03:00.0", **ids, net="eth0")
    tree.function("0000:04:00.0", **ids, sriov_totalvfs="0")
    tree.function("0000:05:00.0", **ids, sriov_totalvfs="63", numa_node="1")
    found = SysfsPci(tree.root).physical_functions()
    assert [(pf.pci_address, pf.numa_node, pf.driver, pf.netdev_elsewhere) for pf in found] == [
        (PF, -1, "igb", False),
        ("0000:05:00.0", 1, "", False),
    ]


def test_several_devices_of_a_function_are_all_shown(tree: SysfsTree) -> None:
    """Cards with two ports on one function, and those in switchdev mode, would show a device at random."""
    (tree.devices / PF / "net" / "pf1").mkdir()
    pf = SysfsPci(tree.root).physical_function(PF)
    assert pf is not None
    assert pf.netdevs == ("pf0", "pf1")


def test_the_pfs_own_device_is_told_from_its_representors(tree: SysfsTree) -> None:
    """In switchdev mode, VFs would be set up at the representor of another one: ``eth10`` is before ``pf0``."""
    folder = tree.devices / PF / "net"
    for name, port_name in {"pf0": "p0", "eth10": "pf0vf0", "eth9": "pf0vf1"}.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "phys_port_name").write_text(port_name + "\n")
    pf = SysfsPci(tree.root).physical_function(PF)
    assert pf is not None
    assert (pf.netdevs, pf.representors, pf.netdev_elsewhere) == (("pf0",), ("eth10", "eth9"), False)


def test_the_ports_of_one_function_are_in_order(tree: SysfsTree) -> None:
    """The settings of a VF would be those of the other port, after somebody renamed one."""
    (tree.devices / PF / "net" / "a-second-port").mkdir()
    for name, number in {"pf0": "0", "a-second-port": "1"}.items():
        (tree.devices / PF / "net" / name / "dev_port").write_text(number + "\n")
    pf = SysfsPci(tree.root).physical_function(PF)
    assert pf is not None
    assert (pf.netdevs, pf.representors) == (("pf0", "a-second-port"), ())


def test_without_a_pci_bus_there_is_nothing(tmp_path: Path) -> None:
    """The service would not start on a host without PCI."""
    assert SysfsPci(tmp_path).physical_functions() == []
    assert SysfsPci(tmp_path).virtual_functions(PF) == []


def test_without_autoprobe_the_driver_is_named_and_forgotten(tree: SysfsTree) -> None:
    """The kernel refuses to bind, or the VF could never be given to another driver again."""
    pci = SysfsPci(tree.root, tree.write)
    (tree.devices / PF / "sriov_drivers_autoprobe").write_text("0\n")
    pci.unbind(THIRD)
    assert pci.bind(THIRD, "igbvf", 1) == "fresh4"
    assert tree.writes[-3:] == [("driver_override", "igbvf"), ("drivers_probe", THIRD), ("driver_override", "\n")]


def test_a_driver_for_programs_has_no_device_to_wait_for(tree: SysfsTree) -> None:
    """A VF for DPDK could not be made: the kernel refuses a driver that lists no devices, and none would ever come."""
    pci = SysfsPci(tree.root, tree.write)
    tree.driver("vfio-pci")
    pci.unbind(THIRD)
    assert pci.bind(THIRD, "vfio-pci", 30) == ""
    assert pci.bind(THIRD, "vfio-pci", 30) == ""
    assert tree.writes[-3:] == [("driver_override", "vfio-pci"), ("drivers_probe", THIRD), ("driver_override", "\n")]
    vf = pci.virtual_function(THIRD)
    assert vf is not None
    assert (vf.driver, vf.netdevs) == ("vfio-pci", ())


def test_an_override_of_the_operator_is_put_back(tree: SysfsTree) -> None:
    """At the next start of the host the VF would not be the virtual machine's any more."""
    pci = SysfsPci(tree.root, tree.write)
    pci.unbind(THIRD)
    tree.write(tree.devices / THIRD / "driver_override", "vfio-pci")
    pci.bind(THIRD, "igbvf", 1)
    assert (tree.devices / THIRD / "driver_override").read_text() == "vfio-pci\n"


def test_an_override_is_cleared_when_the_driver_refuses(tree: SysfsTree) -> None:
    """The refused driver would get the VF at the next scan of the bus."""

    def refuse(path: Path, text: str) -> None:
        if path.name == "drivers_probe":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        tree.write(path, text)

    pci = SysfsPci(tree.root, refuse)
    (tree.devices / PF / "sriov_drivers_autoprobe").write_text("0\n")
    pci.unbind(THIRD)
    with pytest.raises(DeviceError, match="drivers_probe: Input/output error"):
        pci.bind(THIRD, "igbvf", 1)
    assert (tree.devices / THIRD / "driver_override").read_text() == "(null)\n"


def test_a_vf_of_another_driver_is_not_taken_from_it(tree: SysfsTree) -> None:
    """A virtual machine would lose its device while it runs."""
    pci = SysfsPci(tree.root, tree.write)
    tree.driver("vfio-pci")
    pci.unbind(THIRD)
    (tree.devices / THIRD / "driver").symlink_to("../../drivers/vfio-pci")
    with pytest.raises(DeviceError, match="it is bound to vfio-pci"):
        pci.bind(THIRD, "igbvf", 0)


@pytest.mark.parametrize("driver", ["../devices", "", ".."])
def test_a_driver_is_a_plain_name(tree: SysfsTree, driver: str) -> None:
    """A name from outside would become a path below sysfs."""
    pci = SysfsPci(tree.root, tree.write)
    pci.unbind(THIRD)
    with pytest.raises(DeviceError, match="no driver"):
        pci.bind(THIRD, driver, 0)


def test_a_device_that_comes_late_is_waited_for(tree: SysfsTree) -> None:
    """The VF would be reported as lost: iavf creates its device seconds after it was bound."""
    pci = SysfsPci(tree.root, tree.write)
    late = threading.Thread(target=lambda: (tree.devices / THIRD / "net" / "late0").mkdir())
    tree.send_away(THIRD)
    late.start()
    assert pci.bind(THIRD, "igbvf", 30) == "late0"
    late.join()


def test_a_refused_number_of_vfs_is_one_clear_line(tree: SysfsTree) -> None:
    """An operator would get a traceback in place of the kernel's reason."""

    def refuse(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DeviceError, match=r"^cannot write '0' to .*/sriov_numvfs: No space left on device$"):
        SysfsPci(tree.root, refuse).set_num_vfs(PF, 2)


def test_a_write_that_hangs_costs_no_caller(tree: SysfsTree) -> None:
    """A card with broken firmware would block one worker after another, until Docker gets no answers."""
    release = threading.Event()

    def hang(path: Path, text: str) -> None:
        release.wait(60)

    pci = SysfsPci(tree.root, hang, write_limit=0.01)
    with pytest.raises(DeviceError, match="did not finish writing '0'"):
        pci.set_num_vfs(PF, 2)
    with pytest.raises(DeviceError, match="still works on an earlier write"):
        pci.set_num_vfs(PF, 2)
    release.set()


@pytest.mark.parametrize("autoprobe", ["1", "0"])
def test_two_vfs_are_bound_at_the_same_moment(tree: SysfsTree, autoprobe: str) -> None:
    """All VFs of a driver share its file ``bind``: of two containers that end together, one VF would lose its
    driver.
    """
    both = threading.Barrier(2)

    def meet(path: Path, text: str) -> None:
        if path.name in ("bind", "drivers_probe"):
            both.wait(30)
        tree.write(path, text)

    pci = SysfsPci(tree.root, meet)
    (tree.devices / PF / "sriov_drivers_autoprobe").write_text(autoprobe + "\n")
    for address in VFS[:2]:
        pci.unbind(address)
    errors: list[Exception] = []
    threads = [Joined(partial(pci.bind, address, "igbvf", 30), errors) for address in VFS[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [vf.driver for vf in pci.virtual_functions(PF)] == ["igbvf"] * 4


def test_a_second_write_for_the_same_function_waits_for_the_first(tree: SysfsTree) -> None:
    """An operator's command and the service at the same VF would fail each other, although the kernel is only busy."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(path: Path, text: str) -> None:
        if (path.name, text) == ("sriov_numvfs", "0") and not begun.is_set():
            begun.set()
            go_on.wait(30)
        tree.write(path, text)

    pci = SysfsPci(tree.root, slow)
    errors: list[Exception] = []
    threads = [Joined(partial(pci.set_num_vfs, PF, 0), errors) for _ in range(2)]
    threads[0].start()
    begun.wait(30)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert pci.virtual_functions(PF) == []


def test_a_file_that_is_not_there_is_not_made(tree: SysfsTree) -> None:
    """On a kernel without the file, a file of that name would hide the fault."""
    pci = SysfsPci(tree.root)
    (tree.devices / PF / "sriov_numvfs").unlink()
    with pytest.raises(DeviceError, match="No such file"):
        pci.set_num_vfs(PF, 2)
    assert not (tree.devices / PF / "sriov_numvfs").exists()

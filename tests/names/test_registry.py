# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The names of drivers that kuryr.conf may have."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from kuryr_libnetwork.errors import ConfigError, UnsupportedVif
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.settings import SriovSettings
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from kuryr_libnetwork.port_driver.machine import Machine
from kuryr_libnetwork.port_driver.parts import DriverParts, SriovParts, VethParts
from kuryr_libnetwork.port_driver.qos import QosRules
from kuryr_libnetwork.port_driver.registry import DriverNames, DriverRegistry, build_registry, check_names
from tests.fakes.host import FakeJournal, FakeLinks, FakeOvs, FakeScripts
from tests.fakes.neutron import FakeNeutron
from tests.fakes.sriov import FakeNic

PORT_DRIVER = "kuryr_libnetwork.port_driver.drivers.veth"
BINDING = "kuryr.lib.binding.drivers.veth"


NIC = FakeNic()
LINKS = FakeLinks()
LINKS.add("ens3", mac="fa:16:3e:00:00:aa", up=True)
PARTS = DriverParts(
    neutron=FakeNeutron(),
    host="h1",
    veth=VethParts(FakeLinks(), FakeOvs(), FakeScripts()),
    sriov=SriovParts(
        leases=FakeJournal().devices,
        pci=NIC.pci,
        control=NIC.control,
        netdevs=NIC.netdevs,
        qos=QosRules(FakeNeutron()),
        neighbours=list,
        settings=SriovSettings(),
        now=lambda: 0.0,
    ),
    machine=Machine(LINKS, FakeNeutron(), "ens3"),
)


class SmartDriver(VethDriver):
    """What another package could bring."""

    def __init__(self, parts: DriverParts) -> None:
        super().__init__(*parts.veth)

    name = "smart"
    vnic_types = frozenset({"normal", "smart-nic"})
    bindings = frozenset({"smartbind"})


def build(
    drivers: Sequence[str] = (PORT_DRIVER,),
    default: str = PORT_DRIVER,
    bindings: Sequence[str] = (BINDING,),
    binding: str = BINDING,
) -> DriverRegistry:
    return build_registry(DriverNames(drivers, default, bindings, binding), PARTS)


def port(vnic_type: str) -> Port:
    return Port(id="p1", network_id="n", vnic_type=vnic_type)


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package is installed, with one driver that works and one that does not."""
    folder = tmp_path / "other-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        f"[kuryr_libnetwork.port_drivers]\nsmart = {__name__}:SmartDriver\nbroken = no_such_module:Driver\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("name", [PORT_DRIVER, "veth"])
@pytest.mark.parametrize("binding", [BINDING, "veth", "kuryr_libnetwork.binding.veth"])
def test_every_spelling_of_old_files_is_understood(name: str, binding: str) -> None:
    """A service with the kuryr.conf of an existing cloud would not start."""
    registry = build((name,), PORT_DRIVER, (binding,), BINDING)
    assert registry.for_port(port("normal")).name == "veth"
    assert registry.named("veth") is registry.for_port(port("normal"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"drivers": ["veht"], "default": "veht"},
            r"enabled_port_drivers = veht: there is no .*; known: nested, sriov, veth, vlan",
        ),
        ({"drivers": ["my.own.veth"], "default": "my.own.veth"}, r"my\.own\.veth: there is no such port driver"),
        (
            {"drivers": ["veth", "sriov"]},
            r"enabled_drivers = veth: port driver sriov needs one of hostdev_physical, hw_veb",
        ),
        ({"drivers": ["nested", "veth"]}, r"enabled_drivers = veth: port driver nested needs one of ipvlan, macvlan"),
        ({"drivers": ["vlan"], "default": "vlan"}, r"enabled_drivers = veth: port driver vlan needs one of vlan"),
        ({"default": "vlan"}, r"default_port_driver = vlan: must be one of .*enabled_port_drivers \(veth\)"),
        (
            {"bindings": ["bridge"]},
            (
                r"\[binding\] enabled_drivers = bridge: there is no .*; known: hostdev_physical, "
                r"hw_veb, ipvlan, macvlan, macvtap, veth, vlan"
            ),
        ),
        ({"bindings": ["macvlan"]}, r"default_driver = kuryr.*veth: must be one of .*enabled_drivers \(macvlan\)"),
        ({"binding": "ipvlan"}, r"\[binding\] default_driver = ipvlan: must be one of .*enabled_drivers \(veth\)"),
    ],
)
def test_what_cannot_be_had_is_said(arguments: dict[str, Any], message: str) -> None:
    """A typo or a driver that is not there would show at the first container only, or with a traceback."""
    with pytest.raises(ConfigError, match=message):
        build(**arguments)
    words = {"drivers": [PORT_DRIVER], "default": PORT_DRIVER, "bindings": [BINDING], "binding": BINDING, **arguments}
    with pytest.raises(ConfigError, match=message):
        check_names(DriverNames(words["drivers"], words["default"], words["bindings"], words["binding"]))


def test_the_four_names_of_the_sriov_guide() -> None:
    """The guide's kuryr.conf would load no SR-IOV driver, as with upstream (docs/compatibility.md, B3)."""
    registry = build(
        (PORT_DRIVER, "kuryr_libnetwork.port_driver.drivers.sriov"),
        PORT_DRIVER,
        (BINDING, "kuryr.lib.binding.drivers.hw_veb"),
    )
    for vnic_type in ("direct", "macvtap", "direct-physical"):
        assert registry.for_port(port(vnic_type)).name == "sriov"
    assert registry.for_port(port("normal")).name == "veth"


@pytest.mark.parametrize(
    ("driver", "bindings", "binding", "used"),
    [
        ("nested", ["kuryr.lib.binding.drivers.macvlan"], "kuryr.lib.binding.drivers.macvlan", "macvlan"),
        ("kuryr_libnetwork.port_driver.drivers.nested", ["macvlan", "ipvlan"], "ipvlan", "ipvlan"),
        ("nested", [BINDING, "ipvlan"], BINDING, "ipvlan"),
        ("kuryr_libnetwork.port_driver.drivers.vlan", ["kuryr.lib.binding.drivers.vlan"], "vlan", "vlan"),
    ],
)
def test_containers_in_a_virtual_machine(driver: str, bindings: list[str], binding: str, used: str) -> None:
    """kuryr.conf could not choose these drivers, as with upstream (docs/compatibility.md, B3), or get another one."""
    made = build((driver,), driver, bindings, binding).for_port(port("normal"))
    assert made.name == driver.rpartition(".")[2]
    assert made.recover(port("normal")).binding == used


def test_a_vnic_type_without_driver_is_refused() -> None:
    """A port for SR-IOV would be plugged like an ordinary one."""
    with pytest.raises(UnsupportedVif, match=r"no port driver available for vnic_type direct .*enabled: veth"):
        build().for_port(port("direct"))


def test_a_driver_that_is_not_enabled_any_more_is_named() -> None:
    """After a change of kuryr.conf an old interface would end the call with a traceback."""
    with pytest.raises(UnsupportedVif, match=r"sriov.*enabled_port_drivers"):
        build().named("sriov")


@pytest.mark.usefixtures("others")
def test_the_default_driver_is_taken_first_whatever_the_order() -> None:
    """``default_port_driver`` would be without effect, as it is upstream."""
    registry = build(("veth", "smart"), "smart", ("veth", "smartbind"))
    assert registry.for_port(port("normal")).name == "smart"
    assert registry.named("veth").name == "veth"
    registry = build(("smart", "veth"), "veth", ("veth", "smartbind"))
    assert registry.for_port(port("normal")).name == "veth"
    assert registry.for_port(port("smart-nic")).name == "smart"
    check_names(DriverNames(["smart", "veth"], "veth", ["veth", "smartbind"], "veth"))


@pytest.mark.usefixtures("others")
def test_a_driver_without_its_binding_is_refused() -> None:
    """The driver would be loaded and then fail for each container."""
    with pytest.raises(ConfigError, match=r"enabled_drivers = veth: port driver smart needs one of smartbind"):
        build(("veth", "smart"))


@pytest.mark.usefixtures("others")
def test_a_driver_that_cannot_be_loaded_is_named() -> None:
    """A broken package of somebody else would end the start with a traceback."""
    with pytest.raises(ConfigError, match=r"broken: no_such_module:Driver cannot be loaded"):
        build(("veth", "broken"))
    with pytest.raises(ConfigError, match=r"known: broken, nested, smart, sriov, veth, vlan"):
        build(("veth", "unknown"))


@pytest.mark.parametrize("binding", ["veth", "hw_veb", "macvlan", "ipvlan", "vlan"])
@pytest.mark.parametrize("driver", ["veth", "sriov", "nested", "vlan"])
def test_upstreams_module_paths_can_be_imported(driver: str, binding: str) -> None:
    """Tools that look whether the modules named in kuryr.conf exist would say that they do not."""
    assert util.find_spec(f"kuryr_libnetwork.port_driver.drivers.{driver}") is not None
    assert util.find_spec(f"kuryr.lib.binding.drivers.{binding}") is not None

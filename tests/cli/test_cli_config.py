# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr config``: settings for the guide's steps, and the check of files."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.model.settings import SriovSettings
from tests.cli.operator_bench import VF1, Bench
from tests.fakes.sriov_profiles import IGB

HOST = socket.gethostname()
AGENT = "[securitygroup]\nfirewall_driver = noop\n[sriov_nic]\n"
BOTH = "[DEFAULT]\nenabled_port_drivers = veth, sriov\n[binding]\nenabled_drivers = veth,hw_veb\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def checked(bench: Bench, which: str, text: str) -> tuple[int, list[str]]:
    path = bench.folder / "file"
    path.write_text(text)
    code, out, err = bench.run("config", which, "--check", str(path))
    assert err == ""
    return code, out.splitlines()


def wrong(bench: Bench, which: str, text: str) -> str:
    code, lines = checked(bench, which, text)
    assert code == 1
    (line,) = [line for line in lines if not line.startswith("ok: ")]
    return line


def test_settings_of_kuryr_are_those_of_the_guide(bench: Bench) -> None:
    """An operator who pastes them would get other drivers than the guide's, or a file that does not load."""
    bench.nic.add_pf(IGB, 1, "0000:02:00.0", "pf1")
    bench.nic.add_pf(IGB, 1, "0000:03:00.0", "mgmt")
    bench.nic.of("0000:03:00.0").default_route = True
    bench.sriov = SriovSettings(mappings={"physnet2": ("pf0",)}, exclusions={"pf0": frozenset({VF1})})
    code, out, _ = bench.run("config", "kuryr")
    assert code == 0
    assert "#physical_device_mappings = physnet2:pf0,PHYSICAL_NETWORK:pf1\n" in out
    assert "mgmt" not in out
    path = bench.folder / "kuryr.conf"
    path.write_text(out)
    found = config.read(["--config-file", str(path)], login=False).settings
    assert found.plugin.enabled_port_drivers == (
        "kuryr_libnetwork.port_driver.drivers.veth",
        "kuryr_libnetwork.port_driver.drivers.sriov",
    )
    assert found.binding.enabled_drivers == ("kuryr.lib.binding.drivers.veth", "kuryr.lib.binding.drivers.hw_veb")
    assert (found.sriov.mappings, found.sriov.exclusions) == (bench.sriov.mappings, bench.sriov.exclusions)


@pytest.mark.parametrize("which", ["kuryr", "sriov-agent", "neutron-server"])
def test_what_is_printed_passes_the_check(bench: Bench, which: str) -> None:
    """The command would contradict itself."""
    bench.config.write_text("[DEFAULT]\nhost = other-name\n")
    bench.sriov = SriovSettings(mappings={"physnet2": ("pf0",)}, exclusions={"pf0": frozenset({VF1})})
    code, lines = checked(bench, which, bench.run("config", which)[1])
    assert code == 0
    assert all(line.startswith("ok: ") for line in lines)


def test_settings_where_nothing_is_mapped(bench: Bench) -> None:
    """The operator would not learn which PFs wait for a network's name."""
    bench.sriov = SriovSettings()
    for which in ("kuryr", "sriov-agent"):
        _, out, _ = bench.run("config", which)
        assert "# no mapping is known: " in out
        assert "\n#physical_device_mappings = PHYSICAL_NETWORK:pf0\n" in out
    assert "network_vlan_ranges = PHYSICAL_NETWORK:1000:1999" in bench.run("config", "neutron-server")[1]


def test_a_kuryr_conf_that_lacks_a_driver(bench: Bench) -> None:
    """SR-IOV ports would be refused after the restart, for a reason that the check did not see."""
    assert checked(bench, "kuryr", BOTH)[0] == 0
    assert wrong(bench, "kuryr", BOTH.replace(", sriov", "")) == (
        "wrong: [DEFAULT] enabled_port_drivers: veth: add kuryr_libnetwork.port_driver.drivers.sriov"
    )
    assert wrong(bench, "kuryr", BOTH.replace("enabled_drivers", "#enabled_drivers")).endswith(
        "[binding] enabled_drivers: not set: add kuryr.lib.binding.drivers.veth, kuryr.lib.binding.drivers.hw_veb"
    )


def test_a_mapping_that_differs(bench: Bench) -> None:
    """The service would give out VFs that the agent announces for another network."""
    line = wrong(bench, "sriov-agent", AGENT + "physical_device_mappings = physnet3:pf0\n")
    assert line.endswith("= physnet3:pf0: differs for pf0: the service has physnet2:pf0".removeprefix("= "))
    line = wrong(bench, "sriov-agent", AGENT)
    assert line.endswith("physical_device_mappings: not set: differs for pf0: the service has physnet2:pf0")
    line = wrong(bench, "sriov-agent", AGENT + "physical_device_mappings = pf0\n")
    assert line.endswith("must be PHYSICAL_NETWORK:DEVICE, such as physnet2:eth3")


def test_no_mapping_at_all(bench: Bench) -> None:
    """The agent would run, be alive, and bind no port."""
    bench.sriov = SriovSettings()
    assert "without it no port can be bound" in wrong(bench, "sriov-agent", AGENT)
    assert checked(bench, "sriov-agent", AGENT + "physical_device_mappings = physnet3:pf0\n")[0] == 0


def test_exclusions_that_differ(bench: Bench) -> None:
    """A VF that the operator keeps for something else would be given to a container."""
    text = AGENT + "physical_device_mappings = physnet2:pf0\nexclude_devices = "
    assert wrong(bench, "sriov-agent", text + f"pf0:{VF1}\n").endswith("the service excludes other VFs of pf0")
    assert wrong(bench, "sriov-agent", text + "pf0\n").endswith("such as eth3:0000:07:00.2;0000:07:00.3")


def test_another_host_name(bench: Bench) -> None:
    """Neutron would look for the agent under another name, and no port could be bound."""
    line = wrong(bench, "sriov-agent", AGENT + "physical_device_mappings = physnet2:pf0\n[DEFAULT]\nhost = x\n")
    assert line == f"wrong: [DEFAULT] host: x: the service calls this host {HOST}; both must say the same"


def test_the_agents_firewall(bench: Bench) -> None:
    """The agent would claim to filter what bypasses the host."""
    text = "[sriov_nic]\nphysical_device_mappings = physnet2:pf0\n"
    assert checked(bench, "sriov-agent", text)[0] == 0
    line = wrong(bench, "sriov-agent", text + "[securitygroup]\nfirewall_driver = openvswitch\n")
    assert "[securitygroup] firewall_driver: openvswitch: set it to neutron.agent.firewall" in line


def test_neutron_server(bench: Bench) -> None:
    """Ports would end in binding_failed because Neutron does not know the mechanism or the network."""
    good = "[ml2]\nmechanism_drivers = ovn,sriovnicswitch\n[ml2_type_vlan]\nnetwork_vlan_ranges = physnet2:1:9\n"
    assert checked(bench, "neutron-server", good)[0] == 0
    assert wrong(bench, "neutron-server", good.replace(",sriovnicswitch", "")).endswith("ovn: add sriovnicswitch")
    other = good.replace("physnet2", "physnet3") + "[ml2_type_flat]\nflat_networks = physnet4\n"
    assert "physical network physnet2: named by neither: add physnet2:FIRST:LAST" in wrong(
        bench, "neutron-server", other
    )
    assert checked(bench, "neutron-server", other.replace("physnet4", "physnet2"))[0] == 0
    assert checked(bench, "neutron-server", other.replace("physnet4", "*"))[0] == 0


def test_a_file_that_is_not_there(bench: Bench) -> None:
    """A wrong path would be taken for an empty file."""
    assert "/nowhere/x: cannot be read" in bench.refused("config", "kuryr", "--check", "/nowhere/x")

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr vf create``."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kuryr_libnetwork.cli.host import boot_unit
from kuryr_libnetwork.errors import DeviceError, LinkError
from tests.cli.operator_bench import PF, VF0, VF1, Bench

UNIT = "kuryr-vfs-0000-01-00.0.service"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_vf_create(bench: Bench) -> None:
    """VFs would be made with the PF up, where they may never get a carrier, or the PF would stay down."""
    code, out, _ = bench.run("vf", "create", "pf0", "--count", "4")
    assert code == 0
    assert out == f"pf0 is down\npf0 ({PF}) has 4 VFs; it had 2\npf0 is up\n"
    assert len(bench.nic.pci.virtual_functions(PF)) == 4
    assert bench.nic.of(PF).up


def test_vf_create_that_changes_nothing(bench: Bench) -> None:
    """The boot unit, or a second run, would destroy VFs that are in use."""
    bench.lease()
    code, out, _ = bench.run("vf", "create", PF, "--count", "2")
    assert (code, out) == (0, "pf0 has 2 VFs already: nothing changed\n")


def test_vf_create_brings_the_pf_up_after_a_failure(bench: Bench) -> None:
    """A PF would stay down because the kernel refused the number."""
    bench.nic.pci.fail_next("set_num_vfs", DeviceError("no memory"))
    code, _, err = bench.run("vf", "create", "pf0", "--count", "4")
    assert (code, err) == (1, "kuryr: no memory\n")
    assert bench.nic.of(PF).up


def test_vf_create_without_carrier(bench: Bench) -> None:
    """The operator would look for the cause of dead containers anywhere but at the cable."""
    bench.nic.carrier_after["pf0"] = 9
    _, out, _ = bench.run("vf", "create", "pf0", "--count", "1")
    assert out.splitlines()[-1] == "pf0 is up, but has no carrier after 1.5 s: is a cable plugged in?"


def test_vf_create_keeps_what_is_used(bench: Bench) -> None:
    """Running containers, virtual machines or the host itself would lose their network."""
    words = ("vf", "create", "pf0", "--count", "4")
    assert "it can have 0 to 7 VFs, not 8" in bench.refused(*words[:-1], "8")
    bench.nic.of(PF).used = "has address 10.0.0.1"
    assert "pf0 has address 10.0.0.1, and would be down meanwhile; --keep-up" in bench.refused(*words)
    bench.lease(pci_address=PF)
    assert "it is itself given to port port-1" in bench.refused(*words)
    bench.lease()
    bench.nic.of(VF1).used = "is in bridge br0"
    assert f"2 in use: {VF0} is leased (port port-1); {VF1} is in bridge br0" in bench.refused(*words)
    bench.nic.move("pf0v1", "/netns", "eth0")
    assert f"{VF1} has its network device in another namespace" in bench.refused(*words)
    bench.nic.pci.unbind(VF1)
    bench.nic.functions[VF1].driver = "vfio-pci"
    assert f"{VF1} is bound to vfio-pci" in bench.refused(*words)
    assert bench.nic.of(PF).up


def test_vf_create_on_a_pf_without_a_device_here(bench: Bench) -> None:
    """VFs would be made on a PF that a container has, and the PF could not be brought up."""
    words = ("vf", "create", PF, "--count", "4")
    bench.nic.move("pf0", "/netns", "eth0")
    assert "its network device is in another namespace" in bench.refused(*words)
    bench.nic.devices.clear()
    assert "it has no network driver" in bench.refused(*words)


def test_vf_create_keeps_the_pf_up_on_request(bench: Bench) -> None:
    """A host reached through the PF would be cut off, or could never have VFs."""
    bench.nic.of(PF).used = "has address 10.0.0.1"
    bench.nic.netdevs.fail_next("configure", LinkError("it was taken down"))
    code, out, _ = bench.run("vf", "create", "pf0", "--count", "4", "--keep-up")
    assert (code, out) == (0, f"pf0 ({PF}) has 4 VFs; it had 2\npf0 is up\n")


def test_vf_create_on_a_card_that_wants_its_pf_up(bench: Bench) -> None:
    """Broadcom's driver would refuse to make VFs on a PF that is down."""
    bench.nic.functions[PF].driver = "bnxt_en"
    bench.nic.of(PF).up = False
    code, out, _ = bench.run("vf", "create", "pf0", "--count", "4")
    assert (code, out) == (0, f"pf0 ({PF}) has 4 VFs; it had 2\npf0 is up\n")
    assert bench.nic.of(PF).up


def test_leases_from_before_a_reboot_do_not_hinder(bench: Bench) -> None:
    """After a power failure no VFs would be made, and no container could start."""
    bench.lease()
    bench.nic.pci.set_num_vfs(PF, 0)
    assert bench.run("vf", "create", "pf0", "--count", "4")[0] == 0


def test_persist(bench: Bench) -> None:
    """The VFs would be gone after a reboot, or come after Docker's containers."""
    code, out, _ = bench.run("--config-file", "/etc/k.conf", "vf", "create", "pf0", "--count", "4", "--persist")
    unit = bench.folder / "units" / UNIT
    link = bench.folder / "units" / "multi-user.target.wants" / unit.name
    assert code == 0
    assert f"wrote {unit}" in out
    assert link.resolve() == unit
    text = unit.read_text()
    assert f"ExecStart=/usr/bin/kuryr --config-file /etc/k.conf vf create {PF} --count 4\n" in text
    assert "Before=docker.service kuryr-libnetwork.service neutron-sriov" in text
    assert "After=sys-subsystem-net-devices-pf0.device" in text


def test_persist_again_and_take_back(bench: Bench) -> None:
    """A second count would not replace the first, or VFs that were removed would come back at boot."""
    bench.run("vf", "create", "pf0", "--count", "4", "--persist")
    bench.run("vf", "create", "pf0", "--count", "3", "--persist", "--keep-up")
    unit = bench.folder / "units" / UNIT
    assert unit.read_text().count("--count 3 --keep-up\n") == 1
    bench.run("vf", "create", "pf0", "--count", "0", "--persist")
    assert [path for path in (bench.folder / "units").rglob("*") if not path.is_dir()] == []


def test_persist_where_nothing_can_be_written(bench: Bench) -> None:
    """The operator would believe that the VFs survive a reboot."""
    (bench.folder / "units").write_text("")
    code, _, err = bench.run("vf", "create", "pf0", "--count", "2", "--persist")
    assert code == 1
    assert "the VFs are there, but will not be after a reboot" in err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(bench: Bench) -> None:
    """The unit would be refused at boot, and no VFs be made."""
    bench.program = "/bin/true"
    bench.run("--config-file", "a b.conf", "vf", "create", "pf0", "--count", "2", "--persist")
    words = ["systemd-analyze", "verify", str(bench.folder / "units" / UNIT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("word", "text"), [("/etc/k.conf", "/etc/k.conf"), ("/a b", '"/a b"'), ('/50%$"\\', '"/50%%$$\\"\\\\"')]
)
def test_words_in_a_unit(word: str, text: str) -> None:
    """systemd would read another path than the operator's at boot."""
    assert boot_unit.quoted(word) == text


def test_paths_in_a_unit_are_whole(bench: Bench) -> None:
    """A configuration file named from the present folder would not be found at boot."""
    bench.run("--config-file", "k.conf", "vf", "create", "pf0", "--count", "2", "--persist")
    text = (bench.folder / "units" / UNIT).read_text()
    assert f"--config-file {Path('k.conf').absolute()} vf create" in text


@pytest.mark.parametrize(
    ("name", "text"), [("eth0", "eth0"), ("en-s1", r"en\x2ds1"), (".x", r"\x2ex"), ("ä:_.", r"\xc3\xa4:_.")]
)
def test_names_of_systemds_devices(name: str, text: str) -> None:
    """The unit would wait for a device that never comes."""
    assert boot_unit.escaped(name) == text


def test_unit_of_a_pf_without_a_device(bench: Bench) -> None:
    """A unit written while the PF's device is away would hold no name to wait for."""
    bench.nic.devices.clear()
    pf = bench.nic.pci.physical_functions()[0]
    assert "sys-subsystem-net-devices-0000:01:00.0.device" in boot_unit.content(
        bench.make_host([]), pf, 2, keep_up=False
    )

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The operators' command ``kuryr``: lists, repair, release, and the program itself."""

from __future__ import annotations

import io
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from kuryr_libnetwork.cli import kuryr
from kuryr_libnetwork.errors import LinkError
from kuryr_libnetwork.host.journal import SqliteJournal
from kuryr_libnetwork.host.journal_view import look
from kuryr_libnetwork.model.settings import SriovSettings
from kuryr_libnetwork.model.sriov import VF_DRIVERS, VfSettings
from tests.cli.operator_bench import ENDPOINT, PF, VF0, VF1, Bench
from tests.fakes.sriov_profiles import IGB, PROFILES, Profile


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# -- lists -------------------------------------------------------------------------------------------------------


def test_pf_list(bench: Bench) -> None:
    """An operator or his program would not see which PF is on which physical network, and how many VFs it has."""
    assert bench.listed("pf", "list") == [
        {
            "Name": "pf0",
            "PCI address": PF,
            "Driver": "igb",
            "Device": "8086:10c9",
            "NUMA": -1,
            "VFs": 2,
            "VFs possible": 7,
            "Physical networks": ["physnet2"],
            "Note": "",
        }
    ]


def test_pf_list_says_what_is_in_the_way(bench: Bench) -> None:
    """VFs that are never given out would look as if they were."""
    bench.nic.add_pf(IGB, 0, "0000:02:00.0", "pf1")
    bench.nic.add_pf(IGB, 1, "0000:03:00.0", "pf2")
    bench.nic.add_pf(IGB, 1, "0000:04:00.0", "pf3")
    bench.nic.of("0000:03:00.0").default_route = True
    bench.nic.move("pf3", "/netns", "eth0")
    bench.lease(pci_address=PF)
    notes = [row["Note"] for row in bench.listed("pf", "list")]
    assert notes == [
        "leased as a whole to port port-1",
        "not mapped: its VFs are not given out",
        "not mapped: its VFs are not given out",
        "its network device is in another namespace",
    ]
    bench.sriov = SriovSettings()
    notes = [row["Note"] for row in bench.listed("pf", "list")]
    assert notes[1:3] == ["has no VFs: kuryr vf create", "carries a default route: its VFs are not given out"]
    bench.nic.devices.clear()
    assert bench.listed("pf", "list")[1]["Note"] == "has no network driver"


def test_vf_list(bench: Bench) -> None:
    """An operator would not see who has a VF, and whether the NIC enforces what the port asks for."""
    wanted = VfSettings(mac="fa:16:3e:00:00:01", vlan=7, spoofchk=True, trust=False)
    bench.nic.control.apply("pf0", 0, wanted)
    bench.nic.move("pf0v0", "/netns", "eth0")
    bench.lease(wanted=wanted)
    bench.engine.containers = {ENDPOINT: "web", "cd" * 32: "other"}
    first, second = bench.listed("vf", "list")
    assert {key: first[key] for key in ("PCI address", "PF", "Index", "Driver", "Network device", "State", "Note")} == {
        "PCI address": VF0,
        "PF": "pf0",
        "Index": 0,
        "Driver": "igbvf",
        "Network device": "(elsewhere)",
        "State": "leased",
        "Note": "",
    }
    assert (first["Port"], first["Endpoint"], first["Container"]) == ("port-1", ENDPOINT, "web")
    assert (first["Wanted"]["vlan"], first["Found"]["vlan"], first["Found"]["spoofchk"]) == (7, 7, True)
    assert (second["State"], second["Port"], second["Container"], second["Wanted"]) == ("free", "", "", None)
    bench.engine.containers = None
    assert bench.listed("vf", "list")[0]["Container"] == ""


def test_vf_list_for_people(bench: Bench) -> None:
    """The table would show Python's words for settings."""
    _, out, _ = bench.run("vf", "list", "-c", "PCI address", "-c", "Wanted", "-c", "Found")
    assert f"| {VF0} |        | mac=52:54:00:00:00:03 vlan=0 qos=0 spoofchk=true trust=false" in out
    _, out, _ = bench.run("pf", "list", "-c", "Physical networks")
    assert "| physnet2 " in out


def test_vf_list_shows_settings_that_are_lost(bench: Bench) -> None:
    """A NIC that lost its settings would let a container use foreign addresses, and nobody would see it."""
    bench.lease(wanted=VfSettings(mac="fa:16:3e:00:00:01", vlan=7))
    assert bench.listed("vf", "list")[0]["Note"] == "the NIC's settings are not the wanted ones"


def test_vf_list_shows_why_a_vf_is_not_given_out(bench: Bench) -> None:
    """The operator would search himself for the reason of "no free VF"."""
    bench.nic.of(VF1).up = True
    bench.lease(state="quarantined", reason="MAC cannot be restored")
    rows = bench.listed("vf", "list", "--pf", PF)
    assert [(row["State"], row["Note"]) for row in rows] == [
        ("quarantined", "MAC cannot be restored"),
        ("unusable", "is up"),
    ]
    bench.sriov = SriovSettings(mappings={"physnet9": ("eth9",)})
    assert bench.listed("vf", "list")[1]["Note"] == "its PF is not mapped to a physical network"


def test_vf_list_without_an_answer_of_the_pf(bench: Bench) -> None:
    """One PF in trouble would hide all VFs of the host."""
    bench.nic.control.fail_next("read", LinkError("no answer"))
    assert [row["Found"] is None for row in bench.listed("vf", "list")] == [True, False]
    bench.nic.move("pf0", "/netns", "eth0")
    assert {row["PF"] for row in bench.listed("vf", "list")} == {PF}


def test_unknown_pf(bench: Bench) -> None:
    """A slip of the keyboard would be answered with an empty list."""
    assert "there is no PF pf9 on this host; there are: pf0/0000:01:00.0" in bench.refused("vf", "list", "--pf", "pf9")


# -- repair ------------------------------------------------------------------------------------------------------


def test_repair_of_a_lost_vf(bench: Bench) -> None:
    """A VF whose container is gone would be lost until the next reboot."""
    bench.nic.move("pf0v0", "/netns", "eth0")
    assert "in another namespace; if no container there needs it, say --lost" in bench.refused("vf", "repair", VF0)
    code, out, _ = bench.run("vf", "repair", VF0, "--lost")
    assert (code, out) == (0, f"VF {VF0} was bound to driver igbvf again; its network device is pf0v0\n")


def test_repair_of_a_vf_without_driver(bench: Bench) -> None:
    """A VF that lost its driver could not be mended without knowing its name."""
    bench.nic.pci.unbind(VF0)
    assert bench.run("vf", "repair", VF0.upper())[0] == 0
    bench.nic.pci.unbind(VF0)
    bench.nic.pci.unbind(VF1)
    assert bench.run("vf", "repair", VF0)[0] == 0
    assert bench.nic.functions[VF0].driver == "igbvf"
    bench.nic.pci.unbind(VF0)
    bench.nic.functions[PF].driver = ""
    assert "has no driver; say which by --driver" in bench.refused("vf", "repair", VF0)
    assert bench.run("vf", "repair", VF0, "--driver", "igbvf")[0] == 0


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_command_that_a_refusal_names_works_for_each_family(profile: Profile) -> None:
    """A VF that was not probed has no driver, nor have its neighbours; the operator would have to know its name."""
    assert VF_DRIVERS.get(profile.pf_driver, profile.pf_driver) == profile.vf_driver


def test_a_vf_is_given_to_a_program(bench: Bench) -> None:
    """The operator would wait for a network device that never comes, and read of an error."""
    code, out, _ = bench.run("vf", "repair", VF0, "--driver", "vfio-pci")
    told = f"VF {VF0} was bound to driver vfio-pci again; it has no network device: it is for a program\n"
    assert (code, out) == (0, told)
    assert bench.nic.functions[VF0].driver == "vfio-pci"


def test_a_driver_that_is_not_there_leaves_the_vf_with_its_own(bench: Bench) -> None:
    """After a slip of the keyboard, or without the module, the VF would have no driver at all."""
    said = bench.refused("vf", "repair", VF0, "--driver", "vfoi-pci")
    assert "the kernel has no driver vfoi-pci loaded; it has its driver igbvf again" in said
    vf = bench.nic.pci.virtual_function(VF0)
    assert vf is not None
    assert (vf.driver, vf.netdevs) == ("igbvf", ("pf0v0",))


def test_repair_leaves_alone_what_is_used(bench: Bench) -> None:
    """A running container or virtual machine would lose its network."""
    bench.nic.of(VF1).used = "is in bridge br0"
    assert "is not repaired: pf0v1 is in bridge br0" in bench.refused("vf", "repair", VF1)
    bench.nic.pci.unbind(VF1)
    bench.nic.functions[VF1].driver = "vfio-pci"
    assert "it is bound to vfio-pci" in bench.refused("vf", "repair", VF1)
    bench.lease()
    assert "it is leased (port port-1, endpoint abababababab)" in bench.refused("vf", "repair", VF0)
    bench.lease(state="taking", endpoint_id="")
    assert "it is taking (port port-1, endpoint none yet)" in bench.refused("vf", "repair", VF0)
    bench.lease(state="quarantined")
    assert bench.run("vf", "repair", VF0)[0] == 0
    assert f"there is no VF {PF} on this host" in bench.refused("vf", "repair", PF)


# -- release -----------------------------------------------------------------------------------------------------


def test_release(bench: Bench) -> None:
    """A quarantined VF, or one whose container is gone, could never be used again."""
    bench.lease(state="quarantined", reason="MAC cannot be restored")
    code, out, _ = bench.run("vf", "release", "01:10.0")
    assert (code, out) == (0, f"{VF0} will be restored and checked when the service starts\n")
    assert [(lease.state, lease.reason) for lease in look(bench.path).devices] == [("returning", "")]


def test_release_of_what_a_container_has(bench: Bench) -> None:
    """A running container would lose its network."""
    bench.lease()
    bench.endpoint()
    assert "endpoint abababababab of a container has it: docker rm" in bench.refused("vf", "release", VF0)
    assert "there is no lease of it" in bench.refused("vf", "release", VF1)


def test_release_beside_the_running_service(bench: Bench) -> None:
    """Two programs would write the journal at once, or the operator would have to stop the service."""
    lease = bench.lease(endpoint_id="")
    with closing(SqliteJournal(bench.path)):
        assert bench.run("vf", "release", VF0)[:2] == (0, f"{VF0} is as it was, and free\n")
        bench.answer = f"{VF0} stays in quarantine: the PF does not answer"
        assert "stays in quarantine: the PF does not answer" in bench.refused("vf", "release", VF0)
    assert bench.asked == [("/Kuryr.ReleaseDevice", {"PciAddress": VF0})] * 2
    assert look(bench.path).devices == (lease,)


# -- the program -------------------------------------------------------------------------------------------------


def test_without_words_it_explains_itself(bench: Bench) -> None:
    """The operator would land in a shell of cliff's that needs another package."""
    code, out, _ = bench.run()
    assert code == 0
    assert all(command in out for command in kuryr.COMMANDS)


def test_a_wrong_configuration_is_one_line(tmp_path: Path) -> None:
    """The operator would read a traceback."""
    path = tmp_path / "kuryr.conf"
    path.write_text("[sriov]\nallow_vfio = perhaps\n")
    err = io.StringIO()
    assert kuryr.main(["--config-file", str(path), "pf", "list"], stderr=err, stdout=io.StringIO()) == 1
    assert err.getvalue() == f"kuryr: {path}: [sriov] allow_vfio = perhaps: must be true or false\n"


def test_the_real_host_needs_no_login(tmp_path: Path, bench: Bench) -> None:
    """The commands could not be used before kuryr.conf is complete."""
    path = tmp_path / "kuryr.conf"
    path.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[sriov]\nphysical_device_mappings = p:eth3\n")
    folder = tmp_path / "conf.d"
    folder.mkdir()
    words = ["--config-file", str(path), "--config-dir", str(folder)]
    host = kuryr.real_host(words)
    assert host.settings.sriov.mappings == {"p": ("eth3",)}
    assert host.leases() == {}
    assert not host.service_runs()
    with host.journal() as journal:
        assert journal.devices.all() == []
    assert replace(host, units=tmp_path).config_words == tuple(words)
    assert bench.run(*words, "pf", "list")[0] == 0
    assert tuple(bench.words) == tuple(words)

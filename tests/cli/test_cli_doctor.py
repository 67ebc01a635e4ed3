# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr doctor``: a host on which all is well, and each link of the chain broken."""

from __future__ import annotations

import io
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from kuryr_libnetwork.cli import kuryr
from kuryr_libnetwork.cli.host.doctor_text import text_of
from kuryr_libnetwork.cli.host.findings import wrong
from kuryr_libnetwork.cli.host.probes import ask_plugin
from kuryr_libnetwork.cli.service_client import AdminClient
from kuryr_libnetwork.errors import ConfigError, NeutronForbidden, NeutronRefused, NeutronUnavailable
from kuryr_libnetwork.model.overview import NetworkRow, Wellbeing
from kuryr_libnetwork.model.settings import SriovSettings
from kuryr_libnetwork.rules.roles import Account
from tests.cli.operator_bench import PF, VF0, VF1, Bench, WellService
from tests.fakes.neutron import FakeNeutron
from tests.fakes.sriov_profiles import IGB

HOST = socket.gethostname()
ORDINARY = [
    "kuryr.conf",
    "Neutron",
    "roles",
    "quotas",
    "default security group",
    "Docker finds the plugin",
    "the service",
    "Docker",
    "Neutron's agent",
    "Open vSwitch",
    "integration bridge",
    "MTU of the tunnels",
]
DRIVERS = "[DEFAULT]\nenabled_port_drivers = veth,sriov\n[binding]\nenabled_drivers = veth,hw_veb\n"


@pytest.fixture
def cloud() -> FakeNeutron:
    cloud = FakeNeutron(hosts=(), role="admin")
    add_agent(cloud)
    cloud.seed_network(**{"provider:physical_network": "physnet2", "mtu": 1500})
    return cloud


@pytest.fixture
def bench(tmp_path: Path, cloud: FakeNeutron) -> Bench:
    bench = Bench(tmp_path)
    bench.config.write_text(DRIVERS)
    bench.neutron = lambda: cloud
    bench.admin = WellService()
    return bench


def add_agent(cloud: FakeNeutron, host: str = HOST, **attributes: Any) -> None:
    cloud.store.tables["agents"].clear()
    wanted = {"alive": True, "configurations": {"device_mappings": {"physnet2": ["pf0"]}}, **attributes}
    cloud.seed_agent(host, "NIC Switch agent", **wanted)
    cloud.seed_agent(HOST, "OVN Controller agent", alive=True)


def links(bench: Bench, code: int) -> dict[str, tuple[str, str, str]]:
    rows = bench.listed("doctor", code=code)
    return {row["Link"]: (row["Status"], row["Found"], row["What to do"]) for row in rows}


def one_wrong(bench: Bench) -> tuple[str, str, str]:
    found = links(bench, 1)
    ((name, (_, told, advice)),) = [(name, link) for name, link in found.items() if link[0] == "wrong"]
    return name, told, advice


def test_all_is_well(bench: Bench) -> None:
    """A healthy host would be reported sick, or the exit code would say so."""
    found = links(bench, 0)
    assert {status for status, _, _ in found.values()} == {"ok"}
    assert list(found) == [
        *ORDINARY,
        "kernel",
        "PF",
        "VFs",
        "drivers of VFs",
        "quarantine",
        "IOMMU",
        "drivers for VFs",
        "role for binding:profile",
        "Neutron's SR-IOV agent",
        "mapping of physical networks",
        "networks in Neutron",
        "MTU",
    ]


def test_a_host_without_vfs_is_well(bench: Bench) -> None:
    """Every ordinary host would be called sick, and its operator look for a NIC that nobody needs."""
    bench.config.write_text("")
    bench.sriov = SriovSettings()
    bench.kernel = "5.10.0"
    bench.nic.functions.clear()
    found = links(bench, 0)
    assert list(found) == [*ORDINARY, "SR-IOV"]
    assert {name: link[0] for name, link in found.items() if link[0] != "ok"} == {"SR-IOV": "not checked"}
    assert found["integration bridge"][1] == "br-int"


def test_a_virtual_machine_needs_no_bridge(bench: Bench) -> None:
    """Containers in a virtual machine have no Open vSwitch, and need none."""
    bench.config.write_text("[DEFAULT]\nenabled_port_drivers = nested\ndefault_port_driver = nested\n")
    bench.sriov = SriovSettings()
    assert [name for name in links(bench, 0) if name in ("Neutron's agent", "Open vSwitch")] == []


def ordinary(bench: Bench) -> Bench:
    bench.config.write_text("")
    bench.sriov = SriovSettings()
    return bench


def test_the_service(bench: Bench) -> None:
    """A service that says itself what it lacks would be called well, or one that hangs."""
    service = WellService()
    service.told = Wellbeing(live=True, ready=False, reasons=("Neutron has not answered yet",))
    bench.admin = service
    assert one_wrong(ordinary(bench)) == (
        "the service",
        "Neutron has not answered yet",
        "docs/runbook.md, KuryrNotReady",
    )
    bench.admin = AdminClient(bench.folder / "none.sock")
    assert one_wrong(bench)[1].startswith(f"the service does not answer at {bench.folder}/none.sock")
    bench.config.write_text("[admin]\nsocket =\n")
    assert links(bench, 0)["the service"] == ("not checked", "", "[admin] socket is empty")


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("28.5.2", "ok"),
        ("29.0.0", "wrong"),
        ("29.0.2", "wrong"),
        ("29.0.3", "ok"),
        ("29.1.0-rc.1", "ok"),
        ("", "not checked"),
    ],
)
def test_engines_that_crash(bench: Bench, version: str, status: str) -> None:
    """Docker would die with the first container, and the plugin be blamed."""
    bench.docker = version
    assert links(ordinary(bench), int(status == "wrong"))["Docker"][0] == status


def test_the_agent_of_ordinary_ports(bench: Bench, cloud: FakeNeutron) -> None:
    """binding_failed would be all that the operator ever sees."""
    agents = cloud.store.tables["agents"]
    agents.clear()
    assert links(ordinary(bench), 0)["Neutron's agent"][0] == "not checked"
    cloud.seed_agent(f"{HOST}.example.org", "Open vSwitch agent", alive=True)
    name, told, advice = one_wrong(bench)
    assert (name, told) == ("Neutron's agent", f"none on host {HOST}")
    assert f"{HOST}.example.org" in advice
    agents.clear()
    cloud.seed_agent(HOST, "Open vSwitch agent", alive=False)
    assert one_wrong(bench)[:2] == ("Neutron's agent", f"Open vSwitch agent is not alive on {HOST}")
    agents.clear()
    cloud.seed_agent(HOST, "Open vSwitch agent", alive=True, admin_state_up=False)
    assert one_wrong(bench)[1] == "Open vSwitch agent is disabled"
    cloud.fail_next("find_agents", NeutronForbidden("not for you"))
    assert links(bench, 0)["Neutron's agent"] == ("not checked", "", "not for you")


def test_a_host_for_vfs_alone(bench: Bench, cloud: FakeNeutron) -> None:
    """A healthy host without Open vSwitch would be called wrong."""
    cloud.store.tables["agents"].clear()
    cloud.seed_agent("elsewhere", "Open vSwitch agent", alive=True)
    cloud.seed_agent(HOST, "NIC Switch agent", alive=True, configurations={"device_mappings": {"physnet2": ["pf0"]}})
    status, _, advice = links(bench, 0)["Neutron's agent"]
    assert (status, f"none on host {HOST} except SR-IOV's" in advice) == ("not checked", True)


def test_open_vswitch(bench: Bench, cloud: FakeNeutron) -> None:
    """A container's port would be plugged into nothing; a host whose agent has bridges of Linux be called sick."""
    bench.ovs_error = "no permission"
    name, told, advice = one_wrong(ordinary(bench))
    assert (name, told) == ("Open vSwitch", "no permission")
    assert "[ovs] ovsdb_connection" in advice
    assert links(bench, 1)["integration bridge"][0] == "not checked"
    agents = cloud.store.tables["agents"]
    agents.clear()
    assert links(bench, 0)["Open vSwitch"][0] == "not checked"
    cloud.seed_agent(HOST, "Linux bridge agent", alive=True)
    assert links(bench, 0)["Open vSwitch"][0] == "not checked"


def test_the_integration_bridge(bench: Bench, cloud: FakeNeutron) -> None:
    """As above."""
    agents = cloud.store.tables["agents"]
    agents.clear()
    cloud.seed_agent(HOST, "Open vSwitch agent", alive=True, configurations={"integration_bridge": "br-own"})
    name, told, _ = one_wrong(ordinary(bench))
    assert (name, told) == ("integration bridge", "there is no br-own; there are br-int")
    bench.bridges = ["br-ex", "br-own"]
    assert links(bench, 0)["integration bridge"] == ("ok", "br-own", "")
    agents.clear()
    assert links(bench, 0)["integration bridge"][0] == "not checked"
    bench.bridges = []
    assert links(bench, 0)["integration bridge"][0] == "not checked"


def test_it_makes_nothing(bench: Bench, cloud: FakeNeutron) -> None:
    """The look at the role would leave ports in Neutron."""
    links(bench, 0)
    assert cloud.user_ports() == []


def test_old_kernel(bench: Bench) -> None:
    """VFs would be lost in containers that died, and nobody would know why."""
    bench.kernel = "5.10.0-30-amd64"
    name, told, advice = one_wrong(bench)
    assert (name, told) == ("kernel", "5.10.0-30-amd64")
    assert "before 5.14" in advice
    bench.kernel = "unknown"
    assert links(bench, 0)["kernel"][0] == "not checked"


def test_no_pf(bench: Bench) -> None:
    """The operator would search Neutron for a NIC that the BIOS hides."""
    bench.nic.functions.clear()
    found = links(bench, 1)
    assert found["PF"][0] == "wrong"
    assert "BIOS" in found["PF"][2]
    assert found["VFs"][0] == found["drivers of VFs"][0] == "not checked"


def test_sick_pf(bench: Bench) -> None:
    """A PF that is down, without driver, or misspelt would look well."""
    bench.nic.of(PF).up = False
    assert one_wrong(bench)[:2] == ("PF", "pf0 is down")
    bench.nic.of(PF).up = True
    bench.sriov = SriovSettings()
    bench.nic.functions[PF].representors = ("eth10",)
    assert "pf0 is in switchdev mode" in links(bench, 1)["PF"][1]
    bench.nic.functions[PF].representors = ()
    bench.nic.move("pf0", "/netns", "eth0")
    assert links(bench, 1)["PF"] == ("wrong", f"{PF} has no network device here", "load the driver; ip link set PF up")


def test_misspelt_pf(bench: Bench) -> None:
    """A slip of the keyboard in the mapping would look like a cloud without VFs."""
    bench.sriov = SriovSettings(mappings={"physnet2": ("pf0", "pf9")})
    assert links(bench, 1)["PF"][:2] == ("wrong", "pf9 is not there")


def test_no_vfs(bench: Bench) -> None:
    """The operator would not learn the command that makes VFs."""
    bench.nic.pci.set_num_vfs(PF, 0)
    assert one_wrong(bench) == ("VFs", "pf0 has none", "kuryr vf create pf0 --count N --persist")


def test_vf_without_network_device(bench: Bench) -> None:
    """A lost VF would be counted as there."""
    bench.nic.pci.unbind(VF0)
    assert one_wrong(bench) == ("drivers of VFs", f"no network device here: {VF0}", f"kuryr vf repair {VF0}")
    bench.nic.functions[VF0].driver = "vfio-pci"
    assert one_wrong(bench)[:2] == ("drivers of VFs", f"bound for user space: {VF0}")


def test_leased_vfs_are_well(bench: Bench) -> None:
    """Every running container would be reported as a fault."""
    bench.nic.move("pf0v0", "/netns", "eth0")
    bench.lease()
    assert links(bench, 0)["drivers of VFs"][0] == "ok"


def test_quarantine(bench: Bench) -> None:
    """VFs would become fewer and fewer without a word."""
    bench.lease(state="quarantined", reason="wrong MAC", pci_address=VF1)
    name, told, advice = one_wrong(bench)
    assert (name, told) == ("quarantine", f"{VF1}: wrong MAC")
    assert advice == f"kuryr vf repair {VF1}, then kuryr vf release {VF1}"


def test_iommu(bench: Bench) -> None:
    """vfio-pci would fail with the kernel's words, or an IOMMU be asked for that nobody needs."""
    bench.sriov = SriovSettings(mappings={"physnet2": ("pf0",)}, allow_vfio=True)
    assert one_wrong(bench)[0] == "IOMMU"
    bench.iommu = True
    assert links(bench, 0)["IOMMU"][1] == "on"


def test_drivers_not_enabled(bench: Bench) -> None:
    """Ports would be refused although everything else is right."""
    bench.config.write_text("")
    name, told, _ = one_wrong(bench)
    assert (name, told) == (
        "drivers for VFs",
        "not enabled: kuryr_libnetwork.port_driver.drivers.sriov, kuryr.lib.binding.drivers.hw_veb",
    )


def test_wrong_configuration(bench: Bench) -> None:
    """A login that is missing would end the command instead of being a link of the chain."""

    def neutron() -> FakeNeutron:
        raise ConfigError("[neutron] auth_type is not set")

    bench.neutron = neutron
    assert one_wrong(bench)[:2] == ("kuryr.conf", "[neutron] auth_type is not set")
    assert links(bench, 1)["Neutron"][0] == "not checked"


def test_plugin(bench: Bench) -> None:
    """Docker's "plugin not found" would not be explained."""
    bench.plugin_error = "the service does not answer"
    assert one_wrong(bench)[:2] == ("Docker finds the plugin", "the service does not answer")


def test_neutron_away(bench: Bench, cloud: FakeNeutron) -> None:
    """What hangs on Neutron would be called wrong, or well, without having been looked at."""
    cloud.fail_next("extensions", NeutronUnavailable("no route to host"))
    found = links(bench, 1)
    assert found["Neutron"][:2] == ("wrong", "no route to host")
    for link in ("roles", "role for binding:profile", "Neutron's SR-IOV agent", "mapping of physical networks", "MTU"):
        assert found[link][0] == "not checked"


def test_role(bench: Bench, cloud: FakeNeutron) -> None:
    """The first container would fail with a policy's name."""
    cloud.fail_next("create_port", NeutronForbidden("rule:create_port:binding:profile is disallowed"))
    name, _, advice = one_wrong(bench)
    assert (name, advice) == ("role for binding:profile", "give the user of [neutron] the role service")
    cloud.fail_next("create_port", NeutronRefused("quota"))
    assert links(bench, 0)["role for binding:profile"] == ("not checked", "", "quota")


def with_roles(cloud: FakeNeutron, *roles: str) -> None:
    cloud.told_account = Account(user="kuryr", project="service", roles=frozenset(roles))


def test_roles(bench: Bench, cloud: FakeNeutron) -> None:
    """The first container would find out what the service's user may not do, by a policy's name."""
    with_roles(cloud, "member", "reader")
    name, told, advice = one_wrong(bench)
    assert name == "roles"
    assert told.startswith("member (user kuryr, project service): no container can start: ")
    assert "no VF is found for a container" in told
    give = "openstack role add --project service --user kuryr"
    assert advice == f"{give} service; {give} admin"
    with_roles(cloud, "service")
    assert one_wrong(bench)[2] == f"{give} member; {give} admin"
    bench.sriov = SriovSettings()
    with_roles(cloud, "service", "member")
    assert links(bench, 0)["roles"] == ("ok", "member, service (user kuryr, project service)", "")


def test_more_roles_than_needed(bench: Bench, cloud: FakeNeutron) -> None:
    """An operator would leave the service the whole cloud, or be told that a host is sick which has too many rights."""
    bench.sriov = SriovSettings()
    status, told, _ = links(bench, 0)["roles"]
    assert status == "ok"
    assert told.startswith(
        "admin, member, service (user kuryr, project service): the roles service and member are enough"
    )
    assert told.endswith("openstack role remove --project service --user kuryr admin")


def test_roles_that_are_not_known(bench: Bench, cloud: FakeNeutron) -> None:
    """A cloud without Keystone would be called wrong, or a Keystone that does not answer be called well."""
    cloud.told_account = None
    assert links(bench, 0)["roles"] == ("ok", "none: this cloud has no Keystone", "")
    cloud.fail_next("account", NeutronUnavailable("no token"))
    assert links(bench, 0)["roles"] == ("not checked", "", "no token")


def test_an_administrator_alone_may_not_write_profiles(bench: Bench, cloud: FakeNeutron) -> None:
    """What one link tries would be told by two, or the command that mends it by none."""
    cloud.policy.role = "admin-only"
    cloud.told_account = cloud.policy.account
    name, told, advice = one_wrong(bench)
    assert (name, told) == ("role for binding:profile", "refused by Neutron's policy")
    assert advice == "openstack role add --project service --user kuryr service"


def test_agents_are_shown_to_administrators_only(bench: Bench, cloud: FakeNeutron) -> None:
    """With the least roles a healthy agent would be called missing."""
    cloud.policy.role = "service"
    cloud.told_account = cloud.policy.account
    bench.sriov = SriovSettings()
    status, _, advice = links(bench, 0)["Neutron's SR-IOV agent"]
    assert (status, advice) == (
        "not checked",
        f"agents are shown to the role admin only: openstack network agent list --host {HOST}",
    )


def test_agent(bench: Bench, cloud: FakeNeutron) -> None:
    """binding_failed would be all that the operator ever sees."""
    add_agent(cloud, alive=False)
    assert one_wrong(bench)[:2] == ("Neutron's SR-IOV agent", f"not alive on {HOST}")
    add_agent(cloud, admin_state_up=False)
    assert one_wrong(bench)[:2] == ("Neutron's SR-IOV agent", f"disabled on {HOST}")
    add_agent(cloud, host=f"{HOST}.example.org")
    _, told, advice = one_wrong(bench)
    assert told == f"it calls this host {HOST}.example.org"
    assert advice == f"set host = {HOST}.example.org in [DEFAULT] of kuryr.conf"
    add_agent(cloud, host="elsewhere")
    assert one_wrong(bench)[1] == f"none on host {HOST}"
    cloud.fail_next("find_agents", NeutronForbidden("not for you"))
    assert links(bench, 0)["Neutron's SR-IOV agent"] == ("not checked", "", "not for you")


def test_mapping(bench: Bench, cloud: FakeNeutron) -> None:
    """The service would choose VFs of a PF that Neutron has on another network."""
    add_agent(cloud, configurations={"device_mappings": {"physnet3": ["pf0"]}})
    assert one_wrong(bench)[:2] == ("mapping of physical networks", "agent: physnet3:pf0; service: physnet2:pf0")
    add_agent(cloud, configurations={})
    assert one_wrong(bench)[1] == "agent: none; service: physnet2:pf0"
    bench.sriov = SriovSettings()
    assert links(bench, 0)["mapping of physical networks"][1] == "the service has none; the agent: none, either"


def test_without_a_mapping_of_ours_the_agents_counts(bench: Bench, cloud: FakeNeutron) -> None:
    """On a host set up by the guide, which has no mapping in kuryr.conf, networks and MTU would never be checked."""
    bench.sriov = SriovSettings()
    cloud.seed_network(**{"provider:physical_network": "physnet2", "mtu": 9000})
    assert one_wrong(bench)[0] == "MTU"
    assert links(bench, 1)["networks in Neutron"][:2] == ("ok", "physnet2: 2")


def test_networks(bench: Bench, cloud: FakeNeutron) -> None:
    """A misspelt physical network would look like a cloud without free VFs."""
    bench.nic.add_pf(IGB, 1, "0000:02:00.0", "pf1")
    bench.sriov = SriovSettings(mappings={"physnet2": ("pf0",), "physnet9": ("pf1",)})
    add_agent(cloud, configurations={"device_mappings": {"physnet2": ["pf0"], "physnet9": ["pf1"]}})
    assert one_wrong(bench)[:2] == ("networks in Neutron", "none on physnet9")
    cloud.fail_next("find_networks", NeutronUnavailable("lost"))
    assert links(bench, 0)["networks in Neutron"] == ("not checked", "", "lost")
    bench.sriov = SriovSettings()
    add_agent(cloud, configurations={})
    assert links(bench, 0)["networks in Neutron"][0] == "not checked"


def test_mtu(bench: Bench, cloud: FakeNeutron) -> None:
    """Large packets would vanish between containers."""
    cloud.seed_network(**{"provider:physical_network": "physnet2", "mtu": 9000})
    assert one_wrong(bench) == ("MTU", "pf0 has 1500, a network on it 9000", "ip link set pf0 mtu 9000")


# -- the service's socket ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'HTTP/1.1 200 OK\r\n\r\n{"Implements": ["NetworkDriver", "IpamDriver"]}', ""),
        (b'HTTP/1.1 200 OK\r\n\r\n{"Implements": ["VolumeDriver"]}', "is not a network plugin"),
        (b"HTTP/1.1 200 OK\r\n\r\n[]", "is not a network plugin"),
        (b"hello", "is not a network plugin: hello"),
    ],
)
def test_what_answers_at_the_socket(tmp_path: Path, answer: bytes, words: str) -> None:
    """Something else at the plugin's socket would be taken for the service."""
    path = tmp_path / "kuryr.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            channel, _ = server.accept()
            with channel:
                assert channel.recv(65536).startswith(b"POST /Plugin.Activate ")
                channel.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        told = ask_plugin(path, [str(tmp_path)])
        thread.join()
    assert (words in told) if words else told == ""


def test_nothing_at_the_socket(tmp_path: Path) -> None:
    """A service that does not run, or whose socket Docker never finds, would look well."""
    assert "does not answer at" in ask_plugin(tmp_path / "kuryr.sock", [str(tmp_path)])
    assert "Docker does not look for plugins in" in ask_plugin(tmp_path / "kuryr.sock")


# -- the project, and the way between hosts --------------------------------------------------------------------------


def network(mtu: int, physical_network: str = "") -> NetworkRow:
    return NetworkRow(
        docker_id="d",
        state="ready",
        network_id="n",
        subnets=(),
        mtu=mtu,
        vnic_type="normal",
        physical_network=physical_network,
        made=True,
        endpoints=0,
    )


def with_networks(bench: Bench, *networks: NetworkRow) -> Bench:
    service = WellService()
    service.networks = list(networks)
    bench.admin = service
    return ordinary(bench)


def test_a_quota_that_is_used_up(bench: Bench, cloud: FakeNeutron) -> None:
    """No container would start, and the doctor call the host well."""
    assert links(ordinary(bench), 0)["quotas"][1] == "no limits"
    cloud.store.quotas.update(ports=0, subnets=7)
    assert one_wrong(bench) == ("quotas", "none left: port", "openstack quota set --ports N service")
    cloud.store.quotas.update(ports=12)
    assert links(bench, 0)["quotas"][1] == "port: 12 left, subnet: 7 left"
    cloud.fail_next("quota", NeutronForbidden("no"))
    assert links(bench, 0)["quotas"] == ("not checked", "", "no")


def test_the_default_group_is_explained(bench: Bench) -> None:
    """Whoever cannot reach his container would look for a fault of the network."""
    assert links(ordinary(bench), 0)["default security group"][1].startswith("containers reach each other; others are")


def test_tunnels_without_room(bench: Bench, cloud: FakeNeutron) -> None:
    """Small packets would pass and large ones be lost, which is the hardest fault to find."""
    assert links(with_networks(bench, network(1442), network(9000, "physnet1")), 0)["MTU of the tunnels"] == (
        "ok",
        "eth1 has 1500, tunnels add 58, networks have at most 1442",
        "",
    )
    assert one_wrong(with_networks(bench, network(1442), network(1450))) == (
        "MTU of the tunnels",
        "eth1 has 1500, tunnels add 58, and networks have 1450",
        "ip link set eth1 mtu 1508, on every host",
    )
    cloud.told_account = Account(user="kuryr", project="service", roles=frozenset({"service", "member"}))
    status, _, why = links(bench, 0)["MTU of the tunnels"]
    assert (status, "for a network that is tunnelled" in why) == ("not checked", True)


def test_tunnels_that_are_not_known(bench: Bench) -> None:
    """A host whose tunnels end elsewhere would be called sick."""
    assert links(with_networks(bench), 0)["MTU of the tunnels"][1].endswith("no Docker network is tunnelled")
    bench.links.clear()
    assert links(bench, 0)["MTU of the tunnels"][0] == "not checked"
    bench.ovs_settings.clear()
    assert links(bench, 0)["MTU of the tunnels"] == ("not checked", "", "it is not known where this host's tunnels end")


# -- at a terminal ---------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_a_terminal_it_is_lines_that_fit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 80 columns a table breaks commands and paths into pieces, which nobody can read or copy."""
    monkeypatch.setenv("COLUMNS", "80")
    bench.docker = "29.0.1"
    out = Terminal()
    assert kuryr.main(("doctor",), ordinary(bench).make_host, out, io.StringIO()) == 1
    lines = out.getvalue().splitlines()
    assert "ok           Neutron: answers" in lines
    place = lines.index("wrong        Docker: 29.0.1")
    assert lines[place + 1].startswith("             -> these releases crash")
    assert max(map(len, lines)) <= 80
    out = Terminal()
    kuryr.main(("doctor", "-f", "json"), bench.make_host, out, io.StringIO())
    assert json.loads(out.getvalue())[0]["Link"] == "kuryr.conf"


def test_paths_stay_whole_on_a_narrow_terminal() -> None:
    """A path could not be copied."""
    long = "/" + "x" * 60
    assert text_of([wrong("a link", long, "look at it")], 20) == [
        "wrong  a link:",
        f"       {long}",
        "       -> look at it",
    ]
    assert text_of([], 80) == []

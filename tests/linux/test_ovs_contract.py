# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the drivers rely on in Open vSwitch, tested on a real one and on the fake."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from kuryr_libnetwork.errors import BridgeNotFound, Conflict, OvsdbUnavailable, SwitchSilent
from kuryr_libnetwork.host.links import KernelLinks
from kuryr_libnetwork.host.ovs_view import View
from kuryr_libnetwork.host.ovsdb import OvsDatabase
from kuryr_libnetwork.interfaces.host import Ovs
from kuryr_libnetwork.model.links import OvsInterface, VethSpec
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from lab.process import wait_for
from tests.fakes.host import FakeOvs, FakeScripts
from tests.linux.namespace import Namespace, Switch, namespace, switch

BRIDGES = ("br-int", "br-other")
NETDEV = ("--", "set", "bridge", "br-other", "datapath_type=netdev")
TIMEOUT = 20.0
TAP = OvsInterface(name="tap1", bridge="br-int", port_id="port1", endpoint_id="e1", mac="fa:16:3e:00:00:01")


@pytest.fixture(scope="module")
def inside() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture(scope="module")
def real(inside: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switch]:
    with switch(tmp_path_factory.mktemp("ovs"), inside, *BRIDGES) as started:
        yield started


@pytest.fixture
def database(real: Switch) -> Iterator[OvsDatabase]:
    made = OvsDatabase(real.address, TIMEOUT)
    yield made
    for row in made.owned():
        made.unplug(row.port_id)
    made.close()


@pytest.fixture(params=["real", "fake"])
def ovs(request: pytest.FixtureRequest) -> Ovs:
    if request.param == "fake":
        return FakeOvs(BRIDGES)
    database: OvsDatabase = request.getfixturevalue("database")
    return database


def changed(**fields: str) -> OvsInterface:
    return msgspec.structs.replace(TAP, **fields)


def test_an_interface_is_plugged_and_seen(ovs: Ovs) -> None:
    """The port would never become active, or the reconciler would not find the interface."""
    ovs.plug(TAP)
    assert ovs.owned() == [TAP]


def test_plugging_again_changes_nothing(ovs: Ovs) -> None:
    """A repeated call of Docker would fail, or plug twice."""
    ovs.plug(TAP)
    ovs.plug(TAP)
    assert ovs.owned() == [TAP]


def test_an_interface_of_ours_on_another_bridge_is_moved(ovs: Ovs) -> None:
    """After Neutron has bound the port to another bridge, the container would stay on the old one."""
    ovs.plug(TAP)
    moved = changed(bridge="br-other", endpoint_id="e2")
    ovs.plug(moved)
    assert ovs.owned() == [moved]


def test_a_name_that_served_another_port_is_taken_over(ovs: Ovs) -> None:
    """A row left by a crash would keep its name from being used, or the port would get another one's identity."""
    ovs.plug(TAP)
    ovs.plug(changed(port_id="port2"))
    assert ovs.owned() == [changed(port_id="port2")]


def test_a_port_has_one_interface_only(ovs: Ovs) -> None:
    """Two interfaces would claim one Neutron port, and the wrong one could get its packets."""
    ovs.plug(changed(name="tap1a"))
    ovs.plug(TAP)
    assert ovs.owned() == [TAP]


def isolated(**fields: str) -> OvsInterface:
    return msgspec.structs.replace(changed(**fields), isolated=True)


def test_an_interface_may_start_isolated(ovs: Ovs) -> None:
    """Until Neutron's agent sets its VLAN, the port would be a trunk of all VLANs, and see other tenants' networks."""
    ovs.plug(isolated())
    assert ovs.owned() == [isolated()]
    ovs.plug(isolated(endpoint_id="e2"))
    assert ovs.owned() == [isolated(endpoint_id="e2")]


def test_one_that_no_agent_has_seen_is_isolated_by_the_next_call(ovs: Ovs) -> None:
    """An interface that an earlier release plugged while the agent hung would not be isolated."""
    ovs.plug(TAP)
    ovs.plug(isolated())
    assert ovs.owned() == [isolated()]


@pytest.fixture
def agent(ovs: Ovs, request: pytest.FixtureRequest) -> Callable[[], None]:
    """Neutron's agent gives the interface its VLAN."""
    if isinstance(ovs, FakeOvs):
        return ovs.agent_acts
    return partial(give_vlan, request.getfixturevalue("real"), 7)


def give_vlan(real: Switch, vlan: int) -> None:
    clear = ["--", "clear", "Port", "tap1"]
    given = [f"tag={vlan}", "other_config:net_uuid=n", *clear, "vlan_mode", *clear, "trunks"]
    real.vsctl("--no-wait", "set", "Port", "tap1", *given)


@pytest.mark.parametrize("wanted", [TAP, isolated()], ids=["open", "isolated"])
def test_what_the_agent_did_stays(ovs: Ovs, agent: Callable[[], None], wanted: OvsInterface) -> None:
    """A repeated call would take a running container off its network."""
    ovs.plug(isolated())
    agent()
    ovs.plug(wanted)
    assert ovs.owned() == [TAP]


@pytest.mark.parametrize("fields", [{"bridge": "br-other"}, {"port_id": "port2"}], ids=["bridge", "port"])
def test_for_another_port_or_bridge_the_isolation_begins_anew(
    ovs: Ovs, agent: Callable[[], None], fields: dict[str, str]
) -> None:
    """A container would be in the VLAN that its row had for another port."""
    ovs.plug(isolated())
    agent()
    ovs.plug(isolated(**fields))
    assert ovs.owned() == [isolated(**fields)]


def test_after_an_unplug_the_isolation_begins_anew(ovs: Ovs, agent: Callable[[], None]) -> None:
    """The next interface of that name would be in the VLAN of the last one."""
    ovs.plug(isolated())
    agent()
    ovs.unplug(TAP.port_id)
    ovs.plug(isolated())
    assert ovs.owned() == [isolated()]


def test_nothing_of_a_row_stays_for_another_port(real: Switch, database: OvsDatabase) -> None:
    """A container would be in the VLAN, and Neutron's agent restore the network, that its row had for somebody else."""
    database.plug(isolated())
    give_vlan(real, 7)
    database.plug(changed(port_id="port2"))
    shown = real.vsctl("get", "Port", "tap1", "tag", "vlan_mode", "trunks", "other_config")
    assert shown.splitlines() == ["[]", "[]", "[]", "{}"]


def test_only_its_agent_changes_the_vlan(real: Switch, database: OvsDatabase) -> None:
    """A repeated call would take a running container off its network, or the agent forget which one that is."""
    database.plug(isolated())
    give_vlan(real, 7)
    database.plug(isolated(endpoint_id="e2"))
    shown = real.vsctl("get", "Port", "tap1", "tag", "vlan_mode", "trunks", "other_config")
    assert shown.splitlines() == ["7", "[]", "[]", "{net_uuid=n}"]


@pytest.fixture
def taps(inside: Namespace) -> Iterator[None]:
    """The interfaces themselves, as far as these tests name them."""
    links = KernelLinks()
    pairs = [VethSpec(host_name=f"tap{n}", container_name=f"t_c{n}", mac="", mtu=1400, alias="x") for n in (1, 2)]
    for pair in pairs:
        inside.run(links.create_veth, pair)
    yield
    for pair in pairs:
        inside.run(links.delete, pair.host_name)


@contextmanager
def frozen(ovs: Ovs, real: Switch | None) -> Iterator[None]:
    """ovs-vswitchd does not move."""
    if isinstance(ovs, FakeOvs):
        ovs.frozen = True
        yield
        ovs.frozen = False
        return
    assert real is not None
    real.freeze()
    try:
        yield
    finally:
        real.thaw()


@pytest.fixture
def real_if_any(ovs: Ovs, request: pytest.FixtureRequest) -> Switch | None:
    if isinstance(ovs, FakeOvs):
        return None
    found: Switch = request.getfixturevalue("real")
    return found


@pytest.mark.usefixtures("taps")
def test_packets_pass_when_the_switch_has_connected_the_interface(ovs: Ovs) -> None:
    """A container would start before, or never: its interface is in a database that nobody reads."""
    other = changed(name="tap2", port_id="port2", bridge="br-other")
    for interface in (TAP, other, TAP, changed(bridge="br-other"), changed(port_id="port3")):
        ovs.plug(interface)
        ovs.wait_connected(interface.name)
        ovs.wait_connected(interface.name)
    assert ovs.unconnected() == []


@pytest.mark.usefixtures("taps")
def test_a_switch_that_does_not_move_is_given_up(ovs: Ovs, real_if_any: Switch | None) -> None:
    """A container would start and have no network, or its start never end; later all is as before."""
    quick = ovs if real_if_any is None else OvsDatabase(real_if_any.address, 0.5)
    with frozen(quick, real_if_any):
        quick.plug(TAP)
        with pytest.raises(SwitchSilent, match="ovs-vswitchd has not connected interface tap1"):
            quick.wait_connected("tap1")
        assert quick.unconnected() == ["tap1"]
        quick.unplug("port1")
        quick.plug(TAP)  # its number of before is of another row
        with pytest.raises(SwitchSilent):
            quick.wait_connected("tap1")
    patient = ovs
    patient.plug(TAP)
    patient.wait_connected("tap1")
    assert patient.unconnected() == []
    if isinstance(quick, OvsDatabase):
        quick.close()


def test_an_interface_that_cannot_be_connected_is_said(real: Switch) -> None:
    """The container would have no network, and only ovs-vswitchd's log say why."""
    database = OvsDatabase(real.address, 0.5)
    database.plug(changed(name="tap-none"))
    with pytest.raises(SwitchSilent, match=r"interface tap-none to its bridge within 0\.5 s: .*No such device"):
        database.wait_connected("tap-none")
    assert database.unconnected() == ["tap-none"]
    database.unplug(TAP.port_id)
    database.close()


@pytest.mark.usefixtures("taps")
def test_what_is_seen_of_an_interface(ovs: Ovs) -> None:
    """A container would get a port whose interface is gone, or is another port's by now."""
    assert ovs.seen("tap1") is None
    ovs.plug(TAP)
    ovs.wait_connected("tap1")
    view = ovs.seen("tap1")
    assert view is not None
    assert (view.port_id, view.connected) == ("port1", True)
    ovs.plug(changed(port_id="port2"))
    ovs.wait_connected("tap1")
    replaced = ovs.seen("tap1")
    assert replaced is not None
    assert replaced.port_id == "port2"
    ovs.unplug("port2")
    ovs.owned()
    assert ovs.seen("tap1") is None


@pytest.mark.usefixtures("taps")
def test_an_interface_that_the_agent_has_isolated_is_seen(real: Switch, database: OvsDatabase) -> None:
    """A container would get a port that was deleted in Neutron: its agent lets no packet pass there."""
    database.plug(isolated())
    for tag, dead in (("7", False), ("4095", True), ("7", False)):
        real.vsctl("set", "port", "tap1", f"tag={tag}")
        database.owned()
        view = database.seen("tap1")
        assert view is not None
        assert view.dead is dead


@pytest.mark.usefixtures("taps")
def test_what_ovn_says_of_an_interface_is_seen_as_it_changes(real: Switch, database: OvsDatabase) -> None:
    """A container would get a port that has no flows yet, or has none any more, and its first packets would be lost."""
    database.plug(TAP)
    database.wait_connected("tap1")
    for change, installed in (
        (["external_ids:ovn-installed=true"], True),
        (["external_ids:ovn-installed=false"], False),
        (["external_ids:ovn-installed=true"], True),
    ):
        real.vsctl("set", "interface", "tap1", *change)
        database.owned()
        view = database.seen("tap1")
        assert view is not None
        assert view.installed is installed
    real.vsctl("remove", "interface", "tap1", "external_ids", "ovn-installed")
    database.owned()
    view = database.seen("tap1")
    assert view is not None
    assert (view.connected, view.installed) == (True, False)


@pytest.mark.usefixtures("taps")
def test_the_wait_asks_the_database_nothing(
    real: Switch, database: OvsDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start of a container would cost transactions more, or seconds."""
    from ovsdbapp.backend.ovs_idl import transaction

    made: list[object] = []
    original = transaction.Transaction.commit

    def commit(work: object) -> object:
        made.append(work)
        return original(work)

    monkeypatch.setattr(transaction.Transaction, "commit", commit)
    database.plug(TAP)
    database.wait_connected("tap1")
    assert len(made) == 1
    assert int(real.vsctl("get", "Interface", "tap1", "ofport")) > 0


def test_a_missing_bridge_is_said(ovs: Ovs) -> None:
    """A typo in the agent's bridge mapping would end in a traceback, or in a container without network."""
    with pytest.raises(BridgeNotFound, match="br-nowhere"):
        ovs.plug(changed(bridge="br-nowhere"))
    assert ovs.owned() == []


def test_somebody_elses_interface_is_left_alone(ovs: Ovs) -> None:
    """An uplink of the operator could be taken over by a container."""
    with pytest.raises(Conflict, match="br-other"):
        ovs.plug(changed(name="br-other"))
    assert ovs.owned() == []


def test_unplugging_names_what_went_and_succeeds_twice(ovs: Ovs) -> None:
    """A second cleaning up would fail, or another port would lose its interface."""
    other = changed(name="tap2", port_id="port2")
    ovs.plug(TAP)
    ovs.plug(other)
    assert ovs.unplug("port1") == ["tap1"]
    assert ovs.unplug("port1") == []
    assert ovs.owned() == [other]


def test_no_port_has_no_interface(ovs: Ovs) -> None:
    """One record without a port id would unplug every container of the host."""
    ovs.plug(TAP)
    assert ovs.unplug("") == []
    assert ovs.owned() == [TAP]


def test_twenty_at_once(ovs: Ovs) -> None:
    """Containers started at once would lose their places in the bridge to each other."""
    wanted = [changed(name=f"tap{number}", port_id=f"port{number}") for number in range(20)]
    threads = [threading.Thread(target=ovs.plug, args=(interface,)) for interface in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row.port_id for row in ovs.owned()) == sorted(row.port_id for row in wanted)


def test_the_identity_is_upstreams_and_others_keys_stay(real: Switch, database: OvsDatabase) -> None:
    """ovn-controller would not bind the port, or a repeated plug would drop what it has written."""
    database.plug(TAP)
    real.vsctl("--no-wait", "set", "Interface", "tap1", "external_ids:ovn-installed=true")
    database.plug(changed(endpoint_id="e2"))
    text = real.vsctl("get", "Interface", "tap1", "external_ids")
    assert text == (
        '{attached-mac="fa:16:3e:00:00:01", iface-id=port1, iface-status=active, '
        'ovn-installed="true", owner=kuryr, vm-uuid=e2}'
    )


def test_a_bridge_made_this_moment_is_seen(real: Switch, database: OvsDatabase) -> None:
    """The first container after the agent made its bridge would be refused."""
    database.owned()
    for number in range(5):
        real.vsctl("--no-wait", "add-br", f"br-new{number}")
        database.plug(changed(bridge=f"br-new{number}"))
        database.unplug(TAP.port_id)
        real.vsctl("--no-wait", "del-br", f"br-new{number}")
        with pytest.raises(BridgeNotFound):
            database.plug(changed(bridge=f"br-new{number}"))


@pytest.mark.parametrize(
    ("step", "change"),
    [
        ("_insert", ("del-br", "br-other", "--", "add-br", "br-other", *NETDEV)),
        ("_mark", ("del-port", "tap1")),
    ],
)
def test_a_change_by_others_before_the_commit_is_noticed(
    real: Switch, database: OvsDatabase, monkeypatch: pytest.MonkeyPatch, step: str, change: tuple[str, ...]
) -> None:
    """A container would start without network, plugged into a row that was gone by then."""
    wanted = changed(bridge="br-other")
    if step == "_mark":
        database.plug(wanted)
    original = getattr(View, step)
    waiting = [change]

    def interrupted(view: object, *rows: object) -> None:
        original(view, *rows)
        if waiting:
            real.vsctl("--no-wait", *waiting.pop())

    monkeypatch.setattr(View, step, interrupted)
    database.plug(changed(bridge="br-other", endpoint_id="e2"))
    assert [(row.bridge, row.endpoint_id) for row in database.owned()] == [("br-other", "e2")]


def test_the_database_may_restart(real: Switch, database: OvsDatabase) -> None:
    """After an upgrade of Open vSwitch the service would have to be restarted, too."""
    database.plug(TAP)
    real.stop_server()
    real.start_server()
    database.plug(changed(name="tap2", port_id="port2"))
    assert {row.name for row in database.owned()} == {"tap1", "tap2"}


def test_a_database_that_hangs_is_given_up(real: Switch) -> None:
    """A hanging ovsdb-server would hang every call of Docker, and with it Docker."""
    database = OvsDatabase(real.address, 0.5)
    database.owned()
    assert real.server is not None
    real.server.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(OvsdbUnavailable, match=rf"{real.address} within 0.5 s"):
            database.owned()
    finally:
        real.server.send_signal(signal.SIGCONT)
    database.close()


def test_a_database_that_hangs_is_waited_for_once(real: Switch) -> None:
    """Docker's calls after the one that failed would each wait as long: 40 s for one docker run."""
    database = OvsDatabase(real.address, 2.5)
    database.owned()
    assert real.server is not None
    real.server.send_signal(signal.SIGSTOP)
    try:
        for seconds in ("2.5", "2"):
            with pytest.raises(OvsdbUnavailable, match=rf"within {seconds} s; "):
                database.owned()
    finally:
        real.server.send_signal(signal.SIGCONT)
    assert database.owned() == []
    database.close()


def test_no_database_is_said_and_later_found(inside: Namespace, tmp_path: Path) -> None:
    """A service started before Open vSwitch would stay without it, or the error would not name the option."""
    folder = tmp_path / "late"
    folder.mkdir()
    database = OvsDatabase(f"unix:{folder}/db.sock", 0.2)
    with pytest.raises(OvsdbUnavailable, match="ovsdb_connection"):
        database.unplug("port")
    with switch(folder, inside):
        patient = OvsDatabase(f"unix:{folder}/db.sock", TIMEOUT)
        assert patient.owned() == []
        patient.close()
    database.close()


def test_the_driver_gives_a_port_a_working_interface(inside: Namespace, real: Switch, database: OvsDatabase) -> None:
    """The interface would be in the database but not in the data path of Open vSwitch."""
    port = Port(
        id="0f9e3a55-7c1b-4d6e-9a57-1b2c3d4e5f60",
        network_id="n",
        mac_address="FA:16:3E:00:00:02",
        vif_type="ovs",
        vif_details={"bridge_name": "br-other"},
    )
    driver = VethDriver(KernelLinks(), database, FakeScripts())
    plug = inside.run(driver.plan, port, "e1")
    inside.run(driver.plug, plug, port, "e1", 1442)
    real.vsctl("wait-until", "Interface", plug.host_ifname, "ofport>0", "admin_state=up")
    assert real.vsctl("port-to-br", plug.host_ifname) == "br-other"
    inside.run(driver.unplug, plug)
    assert database.owned() == []
    assert inside.run(KernelLinks().get, plug.host_ifname) is None


def test_a_host_without_open_vswitch_has_nothing_of_ours_in_it(tmp_path: Path) -> None:
    """A host that has only VFs would wait for Open vSwitch every minute, and log errors."""
    assert OvsDatabase(f"unix:{tmp_path}/db.sock", 0.5).owned() == []


def test_where_tunnels_end_is_read(real: Switch, database: OvsDatabase) -> None:
    """The doctor would not see that packets do not fit into the tunnels."""
    real.vsctl("--no-wait", "set", "open", ".", "external_ids:ovn-encap-ip=10.0.0.1")
    assert wait_for(lambda: database.settings().get("ovn-encap-ip") == "10.0.0.1", TIMEOUT)

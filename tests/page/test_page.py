# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What an operator sees on the page, and can do there."""

from __future__ import annotations

from selenium.webdriver.common.keys import Keys

from kuryr_libnetwork.model.overview import Wellbeing
from tests.page.hosts import PF0, World, hexes, large, medium, small, uuid
from tests.page.viewer import NARROW, Viewer

WIRES = ".wire"


def test_who_is_wired_where(viewer: Viewer, world: World) -> None:
    """Fails if a container, its address, its port or where it leads is not on the page."""
    small(world)
    with world.served() as address:
        viewer.open(address)
        port = uuid("port", "web", hexes("network", "front"))
        assert viewer.items(WIRES) == [
            (
                f"dpdk, 192.168.7.12, port {uuid('port', 'dpdk', hexes('network', 'fast'))[:8]}, "
                "device 0000:3b:02.1, to PF ens1f0"
            ),
            (
                f"db, 10.20.0.57, port {uuid('port', 'db', hexes('network', 'front'))[:8]} ACTIVE, "
                f"interface tap{uuid('port', 'db', hexes('network', 'front'))[:11]}, to bridge br-int"
            ),
            f"web, 10.20.0.127, port {port[:8]} ACTIVE, interface tap{port[:11]}, to bridge br-int",
        ]
        assert viewer.items(".network") == [
            "Network fast, 192.168.7.0/24, 1 wire",
            "Network front, 10.20.0.0/24, 2 wires",
        ]
        assert [each.text.splitlines()[0] for each in viewer.all("#uplinks li")] == ["br-int", "ens1f0"]
        assert viewer.one("#health").text == "ready"
        assert viewer.one("#host").text == "compute-1"
        assert viewer.complaints() == []


def test_wires_end_at_their_rails(viewer: Viewer, world: World) -> None:
    """Fails if the drawing leads a VF to the bridge, or a pair to a card."""
    small(world)
    with world.served() as address:
        viewer.open(address)
        middle = "const r = e => { const b = e.getBoundingClientRect(); return Math.round((b.left + b.right) / 2) };"
        rails = viewer.run(middle + "return [...document.querySelectorAll('.rail')].map(r)")
        joints = viewer.run(middle + "return [...document.querySelectorAll('.wire .joint')].map(r)")
        assert len(set(rails)) == 2
        assert joints == [rails[1], rails[0], rails[0]]


def test_a_container_that_stops_goes_and_one_that_starts_comes(viewer: Viewer, world: World) -> None:
    """Fails if the page shows how it was, or does not tell it those who do not see it."""
    small(world)
    with world.served() as address:
        viewer.open(address)
        world.stop(hexes("endpoint", "web", hexes("network", "front")))
        viewer.sooner(lambda: viewer.text("#news") == "web is gone")
        assert len(viewer.items(WIRES)) == 2
        world.container("new", hexes("network", "front"), "10.20.0.9")
        viewer.sooner(lambda: viewer.text("#news") == "new is new")
        assert len(viewer.items(WIRES)) == 3


def test_what_has_not_changed_is_not_fetched_again(viewer: Viewer, world: World) -> None:
    """Fails if a page that is looked at over a slow line fetches all wires every two seconds."""
    small(world)
    script = """return performance.getEntriesByType('resource').filter((e) => e.name.endsWith('wiring'))
        .map((e) => e.responseStatus)"""
    with world.served() as address:
        viewer.open(address)
        viewer.sooner(lambda: len(viewer.run(script)) > 2)
        assert viewer.run(script)[:2] == [200, 304]
        assert len(viewer.items(WIRES)) == 3


def test_what_is_not_well_is_told_in_words(viewer: Viewer, world: World) -> None:
    """Fails if only a colour says that something is wrong."""
    medium(world)
    with world.served() as address:
        viewer.open(address)
        found = {each.text for each in viewer.all(".wire .badge")}
        assert found == {"▼ DOWN", "◆ suspect", "■ quarantined"}
        [quarantined] = [each for each in viewer.items(WIRES) if "quarantined" in each]
        assert "its MAC is still 02:00:00:00:00:07" in quarantined
        assert viewer.one("#troubles").text == "Only troubles 3"
        viewer.one("#troubles").click()
        assert len(viewer.items(WIRES)) == 3
        assert viewer.one("#found").text == "3 of 40 wires"
        assert viewer.one("#troubles").get_attribute("aria-pressed") == "true"


def test_the_state_of_the_service(viewer: Viewer, world: World) -> None:
    """Fails if the page looks well while the service is not, or has gone."""
    small(world)
    world.wellbeing = Wellbeing(live=True, ready=False, reasons=("Neutron has not answered yet",))
    with world.served() as address:
        viewer.open(address)
        assert viewer.one("#health").text == "not ready: Neutron has not answered yet"
        world.wellbeing = Wellbeing(live=False, ready=False, reasons=("the journal hangs",))
        viewer.sooner(lambda: viewer.one("#health").text == "hangs: the journal hangs")
    viewer.sooner(lambda: viewer.one("#stale").text.startswith("The service does not answer"))
    assert "shown is how it was at" in viewer.one("#stale").text
    assert len(viewer.items(WIRES)) == 3


def test_an_empty_host(viewer: Viewer, world: World) -> None:
    """Fails if an operator cannot tell a host without networks from a page that does not work."""
    with world.served() as address:
        viewer.open(address, wires=False)
        viewer.sooner(lambda: viewer.one("#empty h2").text == "Nothing is wired here yet")


def test_a_click_shows_the_port_and_the_commands(viewer: Viewer, world: World) -> None:
    """Fails if an operator has to put together the commands that show the same."""
    small(world)
    with world.served() as address:
        viewer.open(address)
        viewer.all(WIRES)[0].click()
        port = uuid("port", "dpdk", hexes("network", "fast"))
        assert viewer.one("#details h2").text == "dpdk"
        facts = viewer.one("#details dl").text
        assert port in facts
        assert PF0 in facts
        assert "DOWN, as always for a port of this kind" in facts
        commands = [each.text for each in viewer.all("#details code")]
        assert f"openstack port show {port}" in commands
        assert "kuryr vf list" in commands
        viewer.press(Keys.ESCAPE)
        assert not viewer.one("#details").is_displayed()
        assert viewer.focused().startswith("dpdk")


def test_details_follow_and_say_when_it_is_gone(viewer: Viewer, world: World) -> None:
    """Fails if what an operator reads has long been otherwise."""
    small(world)
    with world.served() as address:
        viewer.open(address)
        viewer.all(WIRES)[2].click()
        world.status(uuid("port", "web", hexes("network", "front")), "DOWN")
        viewer.sooner(lambda: "▼ DOWN" in viewer.one("#details").text)
        assert "openstack network agent list --host compute-1" in viewer.one("#details").text
        world.stop(hexes("endpoint", "web", hexes("network", "front")))
        viewer.sooner(lambda: "It is gone." in viewer.one("#details").text)
        assert viewer.one("#details h2").text == "web"


def test_a_container_on_two_networks(viewer: Viewer, world: World) -> None:
    """Fails if nobody can see that two wires are of one container."""
    medium(world)
    with world.served() as address:
        viewer.open(address)
        [wire] = [
            each for each in viewer.all(WIRES) if (each.get_attribute("aria-label") or "").startswith("api-1, 10.21")
        ]
        wire.click()
        assert len(viewer.all(".wire.is-kin")) == 2
        other = viewer.one("#details .go")
        assert other.text == "front: 10.20.0.20"
        other.click()
        viewer.sooner(lambda: "10.20.0.20" in viewer.one("#details dl").text)


def test_search(viewer: Viewer, world: World) -> None:
    """Fails if a container is not found by what an alert or a log names."""
    medium(world)
    port = uuid("port", "geo-1", hexes("network", "front"))
    with world.served() as address:
        viewer.open(address)
        found = {
            "geo-1 front": 1,
            port: 1,
            f"tap{port[:11]}": 1,
            "0000:3b:03.1": 1,
            "10.20.0.30": 1,
            "FAST vnf": 10,
            "quarantined": 1,
            "nothing of the kind": 0,
        }
        viewer.press("/")
        assert viewer.focused() == "search"
        for words, count in found.items():
            viewer.search(words)
            assert (words, len(viewer.items(WIRES))) == (words, count)
            assert viewer.one("#found").text == f"{count} of 40 wires"
        assert viewer.one("#empty h2").text == "Nothing matches"


def test_a_host_with_three_hundred_wires(viewer: Viewer, world: World) -> None:
    """Fails if one container that is down is lost among three hundred that are not."""
    large(world)
    with world.served() as address:
        viewer.open(address)
        assert viewer.one("#found").text == "12 networks, 300 wires"
        assert len(viewer.items(WIRES)) < 80
        assert sum("DOWN" in label for label in viewer.items(WIRES)) == 2
        more = viewer.all(".more")[0]
        assert more.text == "21 more, all well"
        more.click()
        assert len(viewer.all(".network")[0].find_elements("css selector", WIRES)) == 25
        assert viewer.all(".more")[0].text == "Show fewer"
        viewer.search("-05-2")
        assert len(viewer.items(WIRES)) == 5


def test_a_host_with_many_cards(viewer: Viewer, world: World) -> None:
    """Fails if rails lie upon each other, or outside of the board, also while details take room from it."""
    network = world.network("fast", "192.168.7.0/24", vnic_type="direct", physical_network="physnet2")
    for number in range(18):
        vf = world.vf(
            f"0000:{number + 16:02x}:02.1", f"0000:{number + 16:02x}:00.0", owner=f"c{number}", network=network
        )
        world.container(f"c{number}", network, f"192.168.7.{number + 4}", vf=vf)
    script = """const right = document.getElementById('board').getBoundingClientRect().right;
        const rails = [...document.querySelectorAll('.rail')].map((e) => Math.round(e.getBoundingClientRect().right));
        return [new Set(rails).size, Math.max(...rails) < right, document.documentElement.scrollWidth <= innerWidth]"""
    with world.served() as address:
        viewer.open(address)
        assert viewer.run(script) == [18, True, True]
        viewer.all(WIRES)[0].click()
        viewer.until(lambda: viewer.run("return document.getElementById('board').dataset.rails") == "dense")
        assert viewer.run(script) == [18, True, True]


def test_on_a_telephone(viewer: Viewer, world: World) -> None:
    """Fails if something can only be seen by scrolling sideways, or where a wire ends is not told there."""
    medium(world)
    with world.served() as address:
        viewer.open(address, NARROW)
        assert viewer.run("return document.documentElement.scrollWidth") <= NARROW[0]
        assert "→ br-int" in viewer.run(
            "const e = document.querySelector('.ends-name');"
            "return getComputedStyle(e, '::before').content.replaceAll('\"', '') + e.textContent"
        )
        viewer.all(WIRES)[3].click()
        assert viewer.one("#details h2").text == "cache-1"
        assert viewer.run("return document.documentElement.scrollWidth") <= NARROW[0]

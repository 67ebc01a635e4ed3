# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The page for those who have no mouse, do not see it, or do not like what moves."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.page.hosts import World, hexes, large, medium, small
from tests.page.viewer import NARROW, WIDE, Viewer

LEAST_CONTRAST = 4.5
"""WCAG 2.1, level AA, for small text."""


def test_every_item_is_reached_by_keys(viewer: Viewer, world: World) -> None:
    """Fails if somebody without a mouse cannot open a port."""
    small(world)
    with world.served() as address:
        viewer.open(address)
        viewer.press("/", Keys.TAB, Keys.TAB)
        assert viewer.focused().startswith("Network fast")
        viewer.press(Keys.DOWN)
        assert viewer.focused().startswith("dpdk")
        viewer.press(Keys.END)
        assert viewer.focused().startswith("web")
        viewer.press(Keys.UP, Keys.LEFT)
        assert viewer.focused().startswith("Network front")
        viewer.press(Keys.LEFT)
        assert viewer.one(".network:last-child").get_attribute("aria-expanded") == "false"
        assert len(viewer.items(".wire")) == 1
        viewer.press(Keys.RIGHT, Keys.RIGHT)
        assert viewer.focused().startswith("db")
        viewer.press(Keys.ENTER)
        assert (viewer.focused(), viewer.one("#details h2").text) == ("details-title", "db")
        viewer.press(Keys.ESCAPE, Keys.HOME)
        assert viewer.focused().startswith("Network fast")


def test_the_focus_can_be_seen_and_is_not_lost(viewer: Viewer, world: World) -> None:
    """Fails if somebody who uses keys has to begin again whenever a container stops."""
    small(world)
    with world.served() as address:
        viewer.open(address)
        viewer.press("/", Keys.TAB, Keys.TAB, Keys.END)
        line = "getComputedStyle(document.activeElement.querySelector('.line'))"
        assert viewer.run(f"return [{line}.outlineStyle, {line}.outlineWidth]") == ["solid", "2px"]
        world.container("aaa", hexes("network", "front"), "10.20.0.3")
        viewer.sooner(lambda: len(viewer.items(".wire")) == 4)
        assert viewer.focused().startswith("web")
        world.stop(hexes("endpoint", "web", hexes("network", "front")))
        viewer.sooner(lambda: len(viewer.items(".wire")) == 3)
        assert viewer.focused().startswith("db")


def test_what_has_the_focus_is_not_below_the_head(viewer: Viewer, world: World) -> None:
    """Fails if somebody who goes up by keys does not see where he is."""
    large(world)
    with world.served() as address:
        viewer.open(address)
        viewer.press("/", Keys.TAB, Keys.TAB, Keys.END, *([Keys.UP] * 30))
        heads = "document.querySelector('.heads').getBoundingClientRect().bottom"
        line = "document.activeElement.querySelector('.line').getBoundingClientRect().top"
        assert viewer.run(f"return {line} >= {heads}")


def test_it_is_a_tree(viewer: Viewer, world: World) -> None:
    """Fails if a screen reader cannot say what belongs to what, and how much there is."""
    medium(world)
    with world.served() as address:
        viewer.open(address)
        script = """return [...document.querySelectorAll('[role=treeitem]')].map((e) => [
            e.getAttribute('aria-level'), e.getAttribute('aria-posinset'), e.getAttribute('aria-setsize'),
            e.parentElement.getAttribute('role'), e.tabIndex])"""
        found: list[list[Any]] = viewer.run(script)
        assert {tuple(each[:1] + each[3:4]) for each in found} == {("1", "tree"), ("2", "group")}
        assert [each[4] for each in found].count(0) == 1
        assert [each[1:3] for each in found if each[0] == "1"] == [[str(n), "4"] for n in range(1, 5)]
        assert viewer.run(
            "return document.querySelectorAll('[id]').length === new Set([...document"
            ".querySelectorAll('[id]')].map((e) => e.id)).size"
        )
        unnamed = """return [...document.querySelectorAll('button, input, [role=tree], aside, section')]
            .filter((e) => !e.hidden && !(e.textContent.trim() || e.getAttribute('aria-label')
                || (e.labels && e.labels.length))).length"""
        assert viewer.run(unnamed) == 0
        live = "return ['news', 'found', 'health'].map((id) => document.getElementById(id))"
        assert viewer.run(live + ".map((e) => e.getAttribute('aria-live') || e.getAttribute('role'))") == [
            "polite",
            "status",
            "status",
        ]


def test_what_has_not_changed_is_not_told_again(viewer: Viewer, world: World) -> None:
    """Fails if a screen reader says how many wires there are whenever any of them changes."""
    small(world)
    with world.served() as address:
        viewer.open(address)
        viewer.run("""window.told = [];
            const observer = new MutationObserver((all) => told.push(...all.map((each) => each.target.id)));
            for (const id of ['found', 'health-text', 'stale', 'news'])
                observer.observe(document.getElementById(id), {childList: true});""")
        world.status(world.journal.endpoints.all()[0].port_id, "DOWN")
        world.status(world.journal.endpoints.all()[1].port_id, "DOWN")
        viewer.sooner(lambda: "DOWN" in viewer.text("#news"))
        assert set(viewer.run("return told")) == {"news"}


def test_many_changes_at_once_are_told_shortly(viewer: Viewer, world: World) -> None:
    """Fails if a screen reader reads three hundred names when a host is emptied."""
    large(world)
    with world.served() as address:
        viewer.open(address)
        with world.journal.transaction():
            for endpoint in world.journal.endpoints.all():
                world.stop(endpoint.endpoint_id)
        viewer.sooner(lambda: "more" in viewer.text("#news"))
        assert viewer.text("#news").count(";") == 3


@pytest.mark.parametrize("still", [True, False])
def test_nothing_moves_for_those_who_do_not_want_it(viewer: Viewer, world: World, *, still: bool) -> None:
    """Fails if prefers-reduced-motion is ignored."""
    small(world)
    with world.served() as address:
        viewer.open(address, still=still)
        world.container("new", hexes("network", "front"), "10.20.0.9")
        viewer.sooner(lambda: len(viewer.items(".wire")) == 4)
        moves = "return [...document.querySelectorAll('.line')].map((e) => getComputedStyle(e).animationName)"
        assert ("arrive" in viewer.run(moves)) is not still


CONTRASTS = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (c) => { const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
    return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]) };
const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c } return [255, 255, 255] };
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !e.checkVisibility() || e.closest('.unseen, noscript, .skip')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), e.className + ': ' + walk.currentNode.textContent.trim()]);
}
return found;
"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_text_can_be_read_in_light_and_dark(viewer: Viewer, world: World, size: tuple[int, int], *, dark: bool) -> None:
    """Fails if a text is too pale for its ground."""
    medium(world)
    with world.served() as address:
        viewer.open(address, size, dark=dark)
        [down] = [each for each in viewer.all(".wire") if "DOWN" in (each.get_attribute("aria-label") or "")]
        viewer.run("arguments[0].scrollIntoView({block: 'center'})", down)
        down.click()
        found: list[tuple[float, str]] = viewer.run(CONTRASTS)
        assert len(found) > 100
        assert [text for contrast, text in found if contrast < LEAST_CONTRAST] == []

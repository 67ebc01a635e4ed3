# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What others may have written is text on the page, whatever it looks like."""

from __future__ import annotations

import pytest

from kuryr_libnetwork.model.records import EndpointRecord
from tests.page.hosts import World
from tests.page.viewer import Viewer

NAMES = (
    "<img src=x onerror=\"document.title='pwned'\">",
    "<script>document.title='pwned'</script>",
    "\"><svg onload=document.title='pwned'>",
    "javascript:document.title='pwned'",
    "{{constructor.constructor('document.title=1')()}}",
    "\u202egnp.exe\u0000\n\u001b[31m",
    "x" * 5000,
)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_hostile_name_is_text(viewer: Viewer, world: World, name: str) -> None:
    """Fails if whoever names a network or container can run a script in an operator's browser."""
    network = world.network(name, "10.20.0.0/24", physical_network=name)
    endpoint_id = world.container(name, network, "10.20.0.5", status=name)
    record = world.journal.endpoints.get(endpoint_id)
    assert isinstance(record, EndpointRecord)
    world.suspect("endpoint", endpoint_id)
    world.vf("0000:3b:02.7", "0000:3b:00.0", reason=name)
    with world.served() as address:
        viewer.open(address)
        viewer.all(".wire")[-1].click()
        names = viewer.run("return [...document.querySelectorAll('.cell-container .chip')].map((e) => e.textContent)")
        assert name in names
        assert name in viewer.run("return [...document.querySelectorAll('.net-name')].map((e) => e.textContent)")
        assert viewer.run("return document.title") == "compute-1 · kuryr"
        assert viewer.run("return document.querySelectorAll('main img, main script, main svg, main a').length") == 0
        assert viewer.run("return document.documentElement.scrollWidth <= innerWidth")
        assert viewer.complaints() == []


def test_the_browser_would_not_run_it_even_then(viewer: Viewer, world: World) -> None:
    """Fails if one mistake in the page is enough: the policy must hold without the page's care."""
    world.network("front", "10.20.0.0/24")
    with world.served() as address:
        viewer.open(address)
        refused = """try { document.body.innerHTML = '<b>x</b>'; return 'taken' } catch (error) { return error.name }"""
        assert viewer.run(refused) == "TypeError"
        script = """const s = document.createElement('img'); s.setAttribute('onerror', "document.title='pwned'");
            s.src = 'x'; document.body.append(s)"""
        assert viewer.run("try {" + script + "; return 'added' } catch (error) { return error.name }") in (
            "added",
            "TypeError",
        )
        viewer.until(
            lambda: any("Content Security Policy" in each or "TrustedScript" in each for each in viewer.complaints())
        )
        assert viewer.run("return document.title") == "compute-1 · kuryr"
        elsewhere = (
            """const done = arguments[0]; fetch('http://127.0.0.1:1/').then(() => done('sent'), (e) => done(e.name))"""
        )
        assert viewer.driver.execute_async_script(elsewhere) == "TypeError"
        assert any("connect-src" in each for each in viewer.complaints())

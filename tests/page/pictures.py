# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of the page in docs: `./dev pictures` takes them, and a test looks whether they are of this page."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lab.paths import REPO, LabPaths
from tests.page.hosts import PF0, PF1, World, hexes
from tests.page.viewer import NARROW, Viewer

FOLDER = REPO / "docs" / "pictures"
SCALE = 2
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Picture(NamedTuple):
    """``opens``: the container whose details are open. ``shows``: texts that can be read on it."""

    name: str
    size: tuple[int, int]
    shows: tuple[str, ...]
    dark: bool = False
    opens: str = ""

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.png"


_BOARD = (
    "compute-1",
    "back",
    "fast",
    "front",
    "web",
    "db",
    "vnf-1",
    "br-int",
    "ens1f0",
    "ens1f1",
    "DOWN",
    "suspect",
    "quarantined",
)
PICTURES = (
    Picture("page", (1280, 720), _BOARD),
    Picture("page-dark", (1280, 720), _BOARD, dark=True),
    Picture(
        "page-details",
        (1280, 800),
        ("cache", "Neutron says that the port is DOWN", "openstack port show"),
        opens="cache",
    ),
    Picture("page-narrow", NARROW, ("web", "back", "br-int", "Only troubles"), dark=True),
)


def showcase(world: World) -> None:
    """A host on which everything can be seen that the page has."""
    front = world.network("front", "10.20.0.0/24")
    back = world.network("back", "10.21.0.0/24")
    fast = world.network("fast", "192.168.7.0/24", vnic_type="direct", physical_network="physnet2", mtu=9000)
    for number, name in enumerate(("web", "proxy", "mail")):
        world.container(name, front, f"10.20.0.{51 + number}")
    for number, name in enumerate(("cache", "db", "queue", "web")):
        status = "DOWN" if name == "cache" else "ACTIVE"
        endpoint = world.container(name, back, f"10.21.0.{71 + number}", status=status)
        if name == "queue":
            world.suspect("endpoint", endpoint)
    for number in range(4):
        name, pf = f"vnf-{number}", (PF0, PF1)[number % 2]
        vf = world.vf(f"0000:3b:{2 if number % 2 == 0 else 10:02x}.{number}", pf, owner=name, network=fast)
        world.container(name, fast, f"192.168.7.{11 + number}", vf=vf)
    world.vf("0000:3b:0a.7", PF1, owner="old", network=fast, reason="its MAC is still 02:00:00:00:00:07")


def look(viewer: Viewer, picture: Picture, take: Callable[[Viewer], None] = lambda _: None) -> list[str]:
    """Show what the picture shows; answers the texts that cannot be seen there."""
    world = World(Path(tempfile.mkdtemp(prefix="kuryr-picture-")))
    showcase(world)
    with world.served() as address:
        viewer.open(address, picture.size, dark=picture.dark, scale=SCALE)
        if picture.opens:
            key = f"endpoint:{hexes('endpoint', picture.opens, hexes('network', 'back'))}"
            viewer.one(f'[data-key="{key}"]').click()
        seen = viewer.one("body").text
        take(viewer)
    return [text for text in picture.shows if text not in seen]


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file."""
    data = path.read_bytes()[:24]
    assert data.startswith(_SIGNATURE)
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with Viewer(LabPaths("pictures").cache) as viewer:
        for picture in PICTURES:
            missing = look(viewer, picture, lambda each, to=picture.path: each.picture(to))  # type: ignore[misc]
            print(picture.path.relative_to(REPO), *(f"does not show {text!r}" for text in missing))


if __name__ == "__main__":
    main()

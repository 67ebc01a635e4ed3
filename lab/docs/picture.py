# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/pictures/overview.svg: what is where, who calls whom. After a change: `python3 -m lab.docs.picture`."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

from lab.paths import REPO

FILE = REPO / "docs" / "pictures" / "overview.svg"
WIDTH, HEIGHT = 880, 410
TOP = 30
TITLE = "A Docker host with kuryr-libnetwork, and the cloud"
TEXT = (
    "docker run asks Docker for a container on a network. Docker calls kuryr-server, which creates a port in Neutron "
    "and plugs the container's interface into Open vSwitch, or gives it a Virtual Function of the network card. "
    "The container's packets then go to the cloud's networks directly, as those of virtual machines do."
)
_STYLE = """\
text { font: 14px sans-serif; fill: #1b1f24 } .small { font-size: 12px; fill: #444c56 } .head { font-weight: bold }
.place { fill: #f6f8fa; stroke: #8c959f } .box { fill: #ffffff; stroke: #57606a }
.ours { fill: #ddf4ff; stroke: #0969da }
.call { stroke: #0969da; fill: none } .data { stroke: #bf3989; fill: none; stroke-width: 2.5 }
.key { font-size: 12px }
"""


@dataclass(frozen=True)
class Box:
    x: int
    y: int
    width: int
    height: int
    title: str
    line: str = ""
    kind: str = "box"


@dataclass(frozen=True)
class Arrow:
    """``kind``: a `call` of a program, or `data`, the container's own packets, which go both ways."""

    points: tuple[tuple[int, int], ...]
    kind: str
    label: str = ""
    at: tuple[int, int] = (0, 0)


BOXES = (
    Box(10, 40, 530, 350, "Docker host", kind="place"),
    Box(600, 40, 270, 350, "OpenStack cloud", kind="place"),
    Box(30, 80, 150, 50, "docker run", "Docker's user, Zun"),
    Box(30, 180, 150, 50, "Docker", "its part libnetwork"),
    Box(290, 180, 220, 50, "kuryr-server", "this project", "ours"),
    Box(30, 310, 150, 50, "container", "eth0, its own address"),
    Box(290, 310, 220, 50, "Open vSwitch, or a VF", "a port of the host's bridge or NIC"),
    Box(620, 80, 230, 50, "Keystone", "who kuryr-server is"),
    Box(620, 180, 230, 50, "Neutron", "networks, ports, security groups"),
    Box(620, 310, 230, 50, "the same network", "virtual machines, routers"),
)
ARROWS = (
    Arrow(((105, 130), (105, 180)), "call", "1", (113, 160)),
    Arrow(((180, 205), (290, 205)), "call", "2 plugin calls", (190, 197)),
    Arrow(((510, 195), (570, 195), (570, 105), (620, 105)), "call"),
    Arrow(((510, 205), (620, 205)), "call", "3 a port", (548, 225)),
    Arrow(((400, 230), (400, 310)), "call", "4 an interface", (408, 275)),
    Arrow(((180, 335), (290, 335)), "data", "packets", (212, 328)),
    Arrow(((510, 335), (620, 335)), "data"),
)


def picture() -> str:
    """The picture's text; the same at every machine."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {TOP} {WIDTH} {HEIGHT}" '
        'role="img" aria-labelledby="t d">\n'
        f'<title id="t">{escape(TITLE)}</title>\n<desc id="d">{escape(TEXT)}</desc>\n<style>\n{_STYLE}</style>\n'
        f"<defs>\n{_head('call', '#0969da')}{_head('data', '#bf3989')}</defs>\n"
        f'<rect y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n'
    )
    key = (
        '<path class="call" d="M20,415 H60" marker-end="url(#call)"/><text class="key" x="68" y="419">calls of programs'
        '</text>\n<path class="data" d="M220,415 H260" marker-start="url(#data)" marker-end="url(#data)"/>'
        '<text class="key" x="272" y="419">packets of containers, which do not pass through kuryr-server</text>\n'
    )
    return head + "".join(map(_box, BOXES)) + "".join(map(_arrow, ARROWS)) + key + "</svg>\n"


def _head(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
        f'<path d="M0,0 L10,5 L0,10 z" fill="{colour}"/></marker>\n'
    )


def _box(box: Box) -> str:
    frame = f'<rect class="{box.kind}" x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="6"/>'
    if box.kind == "place":
        return f'{frame}<text class="head" x="{box.x + 12}" y="{box.y + 24}">{escape(box.title)}</text>\n'
    middle = box.x + box.width // 2
    title = f'<text text-anchor="middle" x="{middle}" y="{box.y + 21}">{escape(box.title)}</text>'
    line = f'<text class="small" text-anchor="middle" x="{middle}" y="{box.y + 39}">{escape(box.line)}</text>'
    return f"{frame}{title}{line}\n"


def _arrow(arrow: Arrow) -> str:
    path = "M" + " L".join(f"{x},{y}" for x, y in arrow.points)
    start = ' marker-start="url(#data)"' if arrow.kind == "data" else ""
    line = f'<path class="{arrow.kind}" d="{path}"{start} marker-end="url(#{arrow.kind})"/>'
    x, y = arrow.at
    return line + (f'<text class="small" x="{x}" y="{y}">{escape(arrow.label)}</text>\n' if arrow.label else "\n")


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(picture())

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What ``kuryr top`` draws, and what of it fits on a small terminal."""

from __future__ import annotations

import msgspec

from kuryr_libnetwork.model.observed import Question
from kuryr_libnetwork.model.overview import ActivityRow, CallRow, DoneRow, EndpointRow, Wellbeing
from kuryr_libnetwork.rules.activity import neutron_rows
from kuryr_libnetwork.rules.top import Frame, lines


def asked(seconds: float, resource: str = "ports", *, answered: bool = True) -> Question:
    return Question(party="neutron", verb="POST", resource=resource, seconds=seconds, answered=answered)


def endpoint(number: int, state: str = "ready", container: str = "") -> EndpointRow:
    return EndpointRow(
        endpoint_id=f"{number:064}",
        state=state,
        container=container,
        docker_network_id="d" * 64,
        network_id="n",
        port_id="p",
        addresses=(f"10.0.0.{number}",),
        mac_address="m",
        interface="" if number == 2 else f"tap{number}",
        vf="0000:01:10.0" if number == 2 else "",
        driver="veth",
        sandbox="",
    )


FRAME = Frame(
    host="h1",
    time="14:03:20",
    wellbeing=Wellbeing(live=True, ready=True),
    activity=ActivityRow(
        waiting=3,
        calls=(CallRow(method="NetworkDriver.CreateEndpoint", seconds=1.234, whom="port p, 10.0.0.5"),),
        recent=(
            DoneRow(method="NetworkDriver.Join", seconds=0.0123, ago=4.4, whom="web"),
            DoneRow(method="IpamDriver.RequestAddress", seconds=20.0, ago=150.0, outcome="neutron-unavailable"),
        ),
        neutron=tuple(neutron_rows([asked(0.1), asked(0.3), asked(0.2), asked(2.0, "subnets", answered=False)])),
    ),
    endpoints=(endpoint(1, container="web"), endpoint(2, "creating"), endpoint(3)),
    networks=1,
)
DRAWN = """\
h1: ready, 14:03:20
1 network, 3 endpoints, 1 call under way, 3 waiting for a worker

CALL UNDER WAY  FOR    WHOM
CreateEndpoint  1.2 s  port p, 10.0.0.5

LAST CALLS      TOOK    AGO    OUTCOME              WHOM
Join            12 ms   4 s    ok                   web
RequestAddress  20.0 s  2 min  neutron-unavailable

NEUTRON, LAST MINUTE  REQUESTS  FAILED  MEDIAN  SLOWEST
POST subnets          1         1       2.0 s   2.0 s
POST ports            3         0       200 ms  300 ms

CONTAINER     NETWORK       ADDRESS   STATE     INTERFACE
000000000000  dddddddddddd  10.0.0.2  creating  0000:01:10.0
000000000000  dddddddddddd  10.0.0.3  ready     tap3
web           dddddddddddd  10.0.0.1  ready     tap1"""


def test_a_frame_says_who_starts_and_who_is_slow() -> None:
    """An operator would not see which container waits, or for whom."""
    assert "\n".join(lines(FRAME)) == DRAWN


def test_a_quiet_host() -> None:
    """An idle service would look like one that does not tell."""
    found = lines(Frame(host="h1", time="t", wellbeing=Wellbeing(live=True, ready=True), activity=ActivityRow()))
    assert found == [
        "h1: ready, t",
        "0 networks, 0 endpoints, 0 calls under way, 0 waiting for a worker",
        "",
        "CALL UNDER WAY: none",
        "",
        "LAST CALLS: none",
        "",
        "NEUTRON, LAST MINUTE: not asked",
        "",
        "CONTAINER: none",
    ]


def test_trouble_is_on_top() -> None:
    """What is wrong would be below the edge of the terminal."""
    for live, state in ((True, "not ready"), (False, "hangs")):
        well = Wellbeing(live=live, ready=False, reasons=("no Neutron", "no agent"))
        found = lines(Frame(host="h1", time="t", wellbeing=well, activity=ActivityRow()))
        assert found[:3] == [f"h1: {state}, t", "no Neutron", "no agent"]


def test_a_small_terminal_has_a_part_of_each() -> None:
    """Lines that are too long, or too many, would push the rest off the terminal."""
    many = Frame(
        host="h1",
        time="t",
        wellbeing=Wellbeing(live=True, ready=True),
        activity=ActivityRow(recent=FRAME.activity.recent * 10, neutron=FRAME.activity.neutron),
        endpoints=tuple(endpoint(number) for number in range(50)),
    )
    for height in (24, 40):
        found = lines(many, 80, height)
        assert len(found) <= height
        assert max(map(len, found)) <= 80
        assert sum(line.startswith("… and ") for line in found) == 2
        assert {line.split("  ")[0] for line in found} >= {"LAST CALLS", "NEUTRON, LAST MINUTE", "CONTAINER"}
    assert lines(many, 20, 24)[1] == "0 networks, 50 endp…"
    assert len(lines(many, 80, 5)) == 5
    assert lines(FRAME, 80, 40) == lines(FRAME)


def test_calls_get_the_lines_that_endpoints_do_not_need() -> None:
    """Half of the terminal would be empty while calls are left out."""
    few = msgspec.structs.replace(
        FRAME, activity=ActivityRow(recent=FRAME.activity.recent * 10), endpoints=(endpoint(1),)
    )
    found = lines(few, 80, 24)
    assert len(found) == 24
    assert "" not in found[-2:]


def test_nothing_is_drawn_that_a_terminal_obeys() -> None:
    """A name could move the cursor, or change the title of the window."""
    row = DoneRow(method="NetworkDriver.Join", seconds=0, ago=0, whom="\x1b]0;x\x07web")
    drawn = lines(Frame(host="h", time="t", wellbeing=FRAME.wellbeing, activity=ActivityRow(recent=(row,))))
    assert all(line.isprintable() for line in drawn)


def test_kinds_of_questions_are_sorted_by_the_slowest() -> None:
    """What holds containers up would be at the end."""
    assert [row.resource for row in neutron_rows([asked(0.1), asked(3.0, "subnets"), asked(0.2)])] == [
        "subnets",
        "ports",
    ]
    assert neutron_rows([]) == []

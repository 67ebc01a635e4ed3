# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A frame of ``kuryr top``: what the service is doing, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from kuryr_libnetwork.model.overview import ActivityRow, CallRow, DoneRow, EndpointRow, NeutronRow, Wellbeing
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.text import printable

SHORT = 12
"""Characters of an id, as Docker shows them."""
NOT_SHOWN = "…"


class Frame(Value, frozen=True):
    """What the admin socket has told. ``time``: of day."""

    host: str
    time: str
    wellbeing: Wellbeing
    activity: ActivityRow
    endpoints: tuple[EndpointRow, ...] = ()
    networks: int = 0


def lines(frame: Frame, width: int = 0, height: int = 0) -> list[str]:
    """``width`` and ``height``: of the terminal, 0: no limit. Last calls and endpoints share what room
    there is; endpoints that are not ready come first.
    """
    activity = frame.activity
    busy = _table(("CALL UNDER WAY", "FOR", "WHOM"), [_call(each) for each in activity.calls], "none")
    recent = _table(("LAST CALLS", "TOOK", "AGO", "OUTCOME", "WHOM"), [_done(each) for each in activity.recent], "none")
    head = [*_head(frame), "", *busy, ""]
    asked = [
        "",
        *_table(
            ("NEUTRON, LAST MINUTE", "REQUESTS", "FAILED", "MEDIAN", "SLOWEST"),
            [_neutron(each) for each in activity.neutron],
            "not asked",
        ),
        "",
    ]
    rows = sorted(frame.endpoints, key=lambda each: (each.state == "ready", each.container, each.endpoint_id))
    names = ("CONTAINER", "NETWORK", "ADDRESS", "STATE", "INTERFACE")
    ends = _table(names, [_endpoint(each) for each in rows], "none")
    if height:
        room = max(4, height - len(head) - len(asked))
        recent = _cut(recent, max(room // 2, room - len(ends)))
        ends = _cut(ends, room - len(recent))
    found = [*head, *recent, *asked, *ends]
    return [_fitting(printable(line).rstrip(), width) for line in (found[:height] if height else found)]


def _head(frame: Frame) -> list[str]:
    found, activity = frame.wellbeing, frame.activity
    state = "ready" if found.ready else "not ready" if found.live else "hangs"
    counts = [
        _counted(frame.networks, "network"),
        _counted(len(frame.endpoints), "endpoint"),
        f"{_counted(len(activity.calls), 'call')} under way, {activity.waiting} waiting for a worker",
    ]
    return [f"{frame.host}: {state}, {frame.time}", *found.reasons, ", ".join(counts)]


def _call(row: CallRow) -> tuple[str, ...]:
    return _verb(row.method), _seconds(row.seconds), row.whom


def _done(row: DoneRow) -> tuple[str, ...]:
    return _verb(row.method), _seconds(row.seconds), _age(row.ago), row.outcome, row.whom


def _neutron(row: NeutronRow) -> tuple[str, ...]:
    return (
        f"{row.verb} {row.resource}",
        str(row.requests),
        str(row.failed),
        _seconds(row.median),
        _seconds(row.slowest),
    )


def _endpoint(row: EndpointRow) -> tuple[str, ...]:
    name = row.container or row.endpoint_id[:SHORT]
    place = row.interface or row.vf
    return name, row.docker_network_id[:SHORT], ", ".join(row.addresses), row.state, place


def _verb(method: str) -> str:
    """Without the name of Docker's interface, which says nothing more."""
    return method.rpartition(".")[2]


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _table(names: Sequence[str], rows: Sequence[tuple[str, ...]], empty: str) -> list[str]:
    if not rows:
        return [f"{names[0]}: {empty}"]
    whole = [tuple(names), *rows]
    widths = [max(len(row[place]) for row in whole) for place in range(len(names))]
    return ["  ".join(text.ljust(widths[place]) for place, text in enumerate(row)) for row in whole]


def _cut(table: list[str], height: int) -> list[str]:
    """The first lines, and how many there are besides."""
    if len(table) <= height:
        return table
    return [*table[: height - 1], f"{NOT_SHOWN} and {len(table) - height + 1} more"]


def _fitting(line: str, width: int) -> str:
    return line if not width or len(line) <= width else line[: width - 1] + NOT_SHOWN


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

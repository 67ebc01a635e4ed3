# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Spoils an answer of Neutron or Keystone in one of the ways in which an answer can be wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tests.fakes.loopback import Answer

_RAW = {"<1e999>": b"1e999", "<digits>": b"9" * 5000, "<deep>": b"[" * 5000 + b"]" * 5000, "<endless>": b"[" * 100_000}
"""JSON that Python would not write; replaces a string in the body."""
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 5, 4097, 2**31, 2**63, 10**300, 1.5, "<1e999>", "<digits>", "<deep>", "<endless>"),
    *(
        "",
        " ",
        "x",
        "a\0b",
        "../x",
        "a?b",
        "caf\xe9",
        "\u202e",
        "x" * 5000,
        "0.0.0.0/0",
        "10.1.0.256",
        "fd00::1",
        "yes",
    ),
    *([], {}, [[]], {"": {}}, [None], ["x", 5], {"id": "x"}, json.loads("[" * 90 + "]" * 90)),
)
PAGE = b"<html><body>It works!</body></html>"
_HTML = (("Content-Type", "text/html"),)
ELSEWHERE = "http://198.51.100.1:9/v2.0/ports"
_WHOLE: tuple[Callable[[bytes], Answer], ...] = (
    lambda body: Answer(200, PAGE, _HTML),
    lambda body: Answer(404, PAGE, _HTML),
    lambda body: Answer(200, b""),
    lambda body: Answer(204),
    lambda body: Answer(200, body[: len(body) // 2]),
    lambda body: Answer(200, body.replace(b'"', b"\xe9", 1)),
    lambda body: Answer(200, body[:1] + b"\0" + body[1:]),
    lambda body: Answer(200, b"[" * 100_000),
    lambda body: Answer(200, b'{"a":' * 100_000),
    lambda body: Answer(200, b"[" + body + b"]"),
    lambda body: Answer(200, b"null"),
    lambda body: Answer(200, b'"x"'),
    lambda body: Answer(200, b"9" * 5000),
    lambda body: Answer(200, b"{}"),
    lambda body: Answer(300, body),
    lambda body: Answer(302, b"", (("Location", ELSEWHERE),)),
    lambda body: Answer(307, b"", (("Location", ELSEWHERE),)),
    lambda body: Answer(308, b"", (("Location", "http://[::1"),)),
    lambda body: Answer(409, b'{"NeutronError":{"type":"X","message":"caf\xe9"}}'),
    lambda body: Answer(409, b'{"NeutronError":{"type":5,"message":' + b"[" * 900 + b"]" * 900 + b"}}"),
    lambda body: Answer(500, b'{"NeutronError":["x"]}'),
    lambda body: Answer(503, b"\0"),
    lambda body: Answer(999, body),
)


class Spoil(NamedTuple):
    """``how``: number of the way; ``place``: number of the value in the body; ``junk``: number of its replacement."""

    how: int
    place: int
    junk: int


WAYS = len(_WHOLE) + 8


def spoiled(answer: Answer, spoil: Spoil, others: Sequence[str] = (), *, made: bool = False) -> Answer:
    """The spoiled answer; unchanged if it has no body. ``others``: ids of other resources.

    ``made``: the answer is about a new resource. Only Neutron knows its id, or that it exists despite a refusal. So the
    id is replaced only by something that is not an id, and a refusal is always an internal error.
    """
    if spoil.how < len(_WHOLE):
        whole = _WHOLE[spoil.how](answer.body)
        refused = made and 400 <= whole.status < 500
        return Answer(500, whole.body, whole.headers) if refused else whole
    try:
        body = json.loads(answer.body)
    except ValueError:
        return answer
    places = list(_places(body))
    if not places:
        return answer
    parent, key = places[spoil.place % len(places)]
    _spoil_value(parent, key, spoil, others)
    if made and key == "id" and isinstance(parent.get(key), str):
        parent[key] = f"../{parent[key]}"
    raw = json.dumps(body).encode()
    for word, real in _RAW.items():
        raw = raw.replace(f'"{word}"'.encode(), real)
    return Answer(answer.status, raw, answer.headers)


def _spoil_value(parent: Any, key: Any, spoil: Spoil, others: Sequence[str]) -> None:
    value, way = parent[key], spoil.how - len(_WHOLE)
    if way == 0:
        del parent[key]
    elif way == 1:
        parent[key] = [value]
    elif way == 2:
        parent[key] = {"x": value}
    elif way == 3 and isinstance(value, list):
        parent[key] = value * 2
    elif way == 4 and isinstance(value, list):
        parent[key] = value[1:]
    elif way == 5 and others:
        parent[key] = others[spoil.junk % len(others)]
    else:
        parent[key] = copy.deepcopy(JUNK[spoil.junk % len(JUNK)])


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a body, as a pair of its container and its key there."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How long Neutron itself takes for the calls of the service, one at a time: ``./dev simulate`` takes it from here
(``--times``).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from bench.commands import Say
from bench.operations import Bench
from bench.stats import Section, median, ms, summary
from lab.people import KURYR

KINDS = ("networks", "subnets", "subnetpools", "ports")
OWNER, LABELLED = "compute:kuryr", {"device_id": "f" * 64, "name": "bench"}


class _Cloud:
    """Resources made by the service's own user, with the times of making and removing them."""

    def __init__(self, bench: Bench) -> None:
        self._ask = bench.lab.session(KURYR).neutron
        self._host = bench.host.name
        self.ids: dict[str, list[str]] = {kind: [] for kind in KINDS}
        self.times: dict[str, list[float]] = defaultdict(list)

    def timed(self, what: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        begin = time.monotonic()
        answer = self._ask(method, f"/v2.0/{path}", body)
        self.times[what].append(time.monotonic() - begin)
        return answer

    def make(self, kind: str, **attributes: Any) -> str:
        single = kind[:-1]
        found = self.timed(f"POST {single}", "POST", kind, {single: {"name": "bench", **attributes}})[single]
        self.ids[kind].append(found["id"])
        return str(found["id"])

    def fill(self, count: int) -> None:
        for number in range(count):
            cidr = f"10.{120 + number // 200}.{number % 200}.0/24"
            network = self.make("networks")
            pool = {"prefixes": [cidr], "default_prefixlen": 24, "min_prefixlen": 24}
            self.make("subnetpools", **pool)
            self.make("subnets", network_id=network, cidr=cidr, ip_version=4)
            tags = {"tags": ["bench-one", "bench-two"]}
            self.timed("PUT tags", "PUT", f"networks/{network}/tags", tags)
            port = self.make("ports", network_id=network, device_owner=OWNER, **{"binding:host_id": self._host})
            self.timed("PUT port, labels", "PUT", f"ports/{port}", {"port": LABELLED})

    def clear(self) -> None:
        for kind in ("ports", "subnets", "networks", "subnetpools"):
            for each in self.ids[kind]:
                self.timed(f"DELETE {kind[:-1]}", "DELETE", f"{kind}/{each}")


def measure(bench: Bench, count: int, say: Say) -> Section:
    say(f"Neutron's own times, with {count} resources of each kind")
    cloud = _Cloud(bench)
    section = Section("neutron_times", "Neutron's own times, medians", ["call", "time", "for each resource"])
    try:
        cloud.fill(count)
        rows = {kind: _list(cloud.timed, kind, cloud.ids[kind][0]) for kind in KINDS}
    finally:
        cloud.clear()
    for what, values in cloud.times.items():
        each = rows[what.split()[1].rstrip(",")] if what.startswith("GET") and what.endswith(", all") else None
        section.rows.append([what, ms(median(values)), "" if each is None else ms(each)])
        section.data[what] = summary(values)
    section.data["rows"] = rows
    return section


def _list(timed: Callable[..., Any], kind: str, one: str) -> float:
    """Seconds for each resource of a list, in addition to those for a list of one."""
    single: list[float] = []
    whole: list[float] = []
    found: list[Any] = []
    for _ in range(5):
        for name, query, times in (
            (f"GET {kind}, one", f"id={one}", single),
            (f"GET {kind}, all", "name=bench", whole),
        ):
            begin = time.monotonic()
            found = timed(name, "GET", f"{kind}?{query}")[kind]
            times.append(time.monotonic() - begin)
    return max(0.0, median(whole) - median(single)) / max(1, len(found) - 1)

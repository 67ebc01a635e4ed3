# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron's REST calls per operation, read from Neutron's own access log."""

from __future__ import annotations

from collections import Counter

from bench.kinds import UPSTREAM
from bench.operations import Bench, Timed
from bench.stats import Section

V6 = ("--ipv6", "--subnet=fd00:bee::/64")
ADDRESS = "10.91.0.50"


def measure(bench: Bench, *, beside: bool) -> Section:
    """``beside``: upstream runs as well."""
    section = Section(
        "neutron_calls", "Neutron calls per operation", ["operation", "calls", "goal", "upstream", "which"]
    )
    upstream = _upstream(bench) if beside else {}
    for name, goal, timed in [*_new(bench), *_dual(bench), *_existing(bench)]:
        methods = [call.method for call in timed.calls]
        which = ", ".join(f"{count} {method}" for method, count in Counter(methods).items())
        theirs = upstream.get(name)
        section.rows.append([name, str(len(methods)), goal, "" if theirs is None else str(theirs), which])
        goal_calls = int(goal[2:]) if goal else None
        section.data[name] = {"calls": len(methods), "goal": goal_calls, "upstream": theirs, "which": methods}
    section.notes.append(
        "Counted in Neutron's access log with the service warm: the very first call reads the extensions once. "
        "The second call of a run is made beside the container's start. Not counted are the background's calls."
    )
    return section


Row = tuple[str, str, Timed]


def _upstream(bench: Bench) -> dict[str, int]:
    """Upstream's calls, by the names of our operations."""
    cidr = ("--subnet=10.94.0.0/24", "--gateway=10.94.0.1")
    done = {"network create, new": bench.create(UPSTREAM.driver, "theirs", *cidr)}
    done["run"] = bench.run("theirs", "one")
    done["rm"] = bench.rm("one")
    done["network rm, new"] = bench.remove_network("theirs")
    return {name: len(timed.calls) for name, timed in done.items()}


def _new(bench: Bench) -> list[Row]:
    cidr = "--subnet=10.90.0.0/24"
    rows = [("network create, new", "≤ 7", bench.create("kuryr", "new", cidr))]
    rows.append(("run", "≤ 2", bench.run("new", "one")))
    rows.append(("run --ip, a free address", "≤ 2", bench.run("new", "two", "--ip=10.90.0.77")))
    rows.append(("inspect of network and container", "≤ 0", _inspect(bench)))
    rows.append(("rm", "≤ 1", bench.rm("one")))
    rows.append(("rm, address chosen", "≤ 1", bench.rm("two")))
    rows.append(("network rm, new", "≤ 4", bench.remove_network("new")))
    return rows


def _inspect(bench: Bench) -> Timed:
    first = bench.docker("inspect", "bench-one")
    second = bench.docker("network", "inspect", "bench-new")
    return Timed(first.seconds + second.seconds, first.calls + second.calls)


def _dual(bench: Bench) -> list[Row]:
    created = bench.create("kuryr", "dual", "--subnet=10.92.0.0/24", *V6)
    rows = [("network create, new, dual stack", "", created)]
    rows.append(("run, dual stack", "≤ 2", bench.run("dual", "one")))
    rows.append(("rm, dual stack", "≤ 1", bench.rm("one")))
    rows.append(("network rm, new, dual stack", "", bench.remove_network("dual")))
    return rows


def _existing(bench: Bench) -> list[Row]:
    with bench.tenant_network("10.91.0.0/24", ADDRESS) as uuid:
        options = ("--subnet=10.91.0.0/24", "-o", f"neutron.net.uuid={uuid}")
        rows = [("network create, existing", "≤ 7", bench.create("kuryr", "tenant", *options))]
        rows.append(("run on it", "≤ 2", bench.run("tenant", "one")))
        rows.append(("run --ip, adopting a port", "≤ 4", bench.run("tenant", "two", f"--ip={ADDRESS}")))
        rows.append(("run --ip on it, a free address", "≤ 3", bench.run("tenant", "three", "--ip=10.91.0.60")))
        rows.append(("run --ip on it, the next one", "≤ 2", bench.run("tenant", "four", "--ip=10.91.0.61")))
        rows.append(("rm on it", "≤ 1", bench.rm("one")))
        rows.append(("rm, adopted port", "≤ 2", bench.rm("two")))
        bench.rm("three", "four")
        rows.append(("network rm, existing", "≤ 4", bench.remove_network("tenant")))
    return rows

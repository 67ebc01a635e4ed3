# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The kinds of networks that are compared: all of them are measured interleaved, in the same run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from bench import upstream
from bench.operations import Bench
from lab.errors import LabError


@dataclass(frozen=True)
class Kind:
    """``driver``: Docker's, "" for no network. ``options``: of ``docker network create``. ``number``: of its
    subnets.
    """

    key: str
    label: str
    driver: str
    number: int
    options: Sequence[str] = field(default=())

    def create(self, bench: Bench, name: str, block: int) -> float:
        """Create a network in that block of addresses; the seconds that it takes."""
        net = f"10.{block + self.number}.0"
        gateway = [f"--gateway={net}.1"] if self.driver == upstream.NAME else []  # which answers with none otherwise
        return bench.create(self.driver, name, f"--subnet={net}.0/24", *gateway, *self.options).seconds

    @contextmanager
    def network(self, bench: Bench, name: str, block: int) -> Iterator[str]:
        """The network's name within the block; Docker's own if the kind has none."""
        if not self.driver:
            yield "none"
            return
        self.create(bench, f"{name}-{self.key}", block)
        try:
            yield f"{name}-{self.key}"
        finally:
            # Upstream loses endpoints if many come at once on a busy machine; the lab is taken down anyway.
            with suppress(LabError) if self.driver == upstream.NAME else nullcontext():
                bench.remove_network(f"{name}-{self.key}")


NONE, BRIDGE = Kind("none", "no network", "", 0), Kind("bridge", "bridge", "bridge", 1)
KURYR, UPSTREAM = Kind("kuryr", "kuryr", "kuryr", 2), Kind("upstream", "upstream", upstream.NAME, 3)


def pooled(option: str) -> Kind:
    """``option``: of ``docker network create``, such as ``kuryr.port_pool=auto``."""
    return Kind("pool", "kuryr, pool", "kuryr", 4, ("-o", option))


@contextmanager
def networks(bench: Bench, kinds: Sequence[Kind], name: str, block: int) -> Iterator[dict[Kind, str]]:
    """One network of each kind."""
    with ExitStack() as after:
        yield {kind: after.enter_context(kind.network(bench, name, block)) for kind in kinds}

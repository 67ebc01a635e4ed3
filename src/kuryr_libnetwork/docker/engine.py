# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's Engine API, for the background only: a plugin call that asks Docker deadlocks.

Why: docs/notes/docker-plugin.md, "Calls at the same time".

What Docker no longer knows is removed. So an answer counts only if it is complete and well-formed: a network listed
without its containers may still have some.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from kuryr_libnetwork.bounded import GaveUp, run_within
from kuryr_libnetwork.contacts import asking
from kuryr_libnetwork.errors import EngineUnavailable
from kuryr_libnetwork.health import described
from kuryr_libnetwork.model.engine import EngineView, NetworkWord
from kuryr_libnetwork.model.observed import DOCKER, Observe, ignore

T = TypeVar("T")
TIMEOUT = 10
"""Seconds that one request may go without receiving anything."""
LIMIT = 60.0
"""Seconds for all requests of one view; there is one request for each network."""
ID_WITH_DATA = "1.44"
"""Docker 25: the first whose engine id is stored with its data, so that another data folder has another id."""
BUILT_IN = {"bridge", "host", "null", "overlay", "macvlan", "ipvlan"}
_Id = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64}|[0-9a-z]{25})$")]
_NoId = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]


class _Said(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A part of an answer. Go writes ``null`` for an empty list or map."""


class _Summary(_Said, frozen=True, kw_only=True):
    id: _Id
    driver: str


class _Config(_Said, frozen=True, kw_only=True):
    subnet: str | None = None


class _Ipam(_Said, frozen=True, kw_only=True):
    options: dict[str, str] | None = None
    config: list[_Config] | None = None


class _Container(_Said, frozen=True, kw_only=True):
    name: str = ""
    endpoint_id: _NoId = msgspec.field(name="EndpointID")
    mac_address: str | None = None


class _Network(_Said, frozen=True, kw_only=True):
    """``containers``: the running ones."""

    id: _Id
    name: str = ""
    options: dict[str, str] | None = None
    ipam: _Ipam | None = msgspec.field(name="IPAM", default=None)
    internal: bool = False
    containers: dict[str, _Container] | None


class _Info(_Said, frozen=True, kw_only=True):
    id: Annotated[str, msgspec.Meta(min_length=1)] = msgspec.field(name="ID")


class DockerEngine:
    """``observe`` is told of each look."""

    def __init__(self, socket_path: Path, observe: Observe = ignore) -> None:
        self._socket_path = socket_path
        self._observe = observe
        self._asks = threading.Lock()

    def view(self) -> EngineView:
        """All networks of drivers that are not Docker's own, and the endpoints of running containers on them.

        Takes at most :data:`LIMIT`. If Docker takes longer, it is not asked again until it has answered.
        """
        with asking(self._observe, DOCKER, "GET", "networks") as question:
            found = self._within_limit()
            question.answered = True
            return found

    def _within_limit(self) -> EngineView:
        if not self._asks.acquire(blocking=False):
            raise self._unavailable("has not answered an earlier request yet")
        try:
            return run_within(LIMIT, lambda _: self._view())
        except GaveUp:
            raise self._unavailable(f"has not listed all its networks within {LIMIT:g} s") from None

    def _view(self) -> EngineView:
        try:
            return self._look()
        finally:
            self._asks.release()

    def _look(self) -> EngineView:
        with self._asking() as client:
            networks = self._networks(client)
            engine_id = self._engine_id(client)
        running = [each for network in networks for each in (network.containers or {}).values() if each.endpoint_id]
        containers = {container.endpoint_id: container.name for container in running}
        return EngineView(
            network_ids=frozenset(network.id for network in networks),
            endpoint_ids=frozenset(containers),
            engine_id=engine_id,
            containers=containers,
            macs={container.endpoint_id: container.mac_address for container in running if container.mac_address},
            words={network.id: _word(network) for network in networks},
        )

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        import docker  # loaded on first use: it is slow, and the first call of Docker must not wait for it
        from docker.errors import DockerException
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        client = None
        try:
            client = docker.APIClient(base_url=f"unix://{self._socket_path}", timeout=TIMEOUT, version="auto")
            yield client
        except (DockerException, RequestException, HTTPError, OSError) as error:
            raise self._unavailable(f"does not answer: {error}") from None
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError, msgspec.MsgspecError) as error:
            # From Docker's client, if the answer is not JSON or has an unexpected form, or from our own checks.
            raise self._unavailable(
                f"sent an answer that cannot be understood; it is ignored: {described(error)}"
            ) from None
        finally:
            if client is not None:
                client.close()

    def _networks(self, client: Any) -> list[_Network]:
        from docker.errors import NotFound

        found = []
        for summary in _read(client.networks(), list[_Summary]):
            if summary.driver in BUILT_IN:
                continue
            try:
                network = _read(client.inspect_network(summary.id), _Network)
            except NotFound:
                continue  # removed since it was listed
            if network.id != summary.id:
                raise ValueError(f"asked for network {summary.id}, got {network.id}")
            found.append(network)
        return found

    def _engine_id(self, client: Any) -> str:
        from docker.utils import version_gte

        return _read(client.info(), _Info).id if version_gte(client.api_version, ID_WITH_DATA) else ""

    def _unavailable(self, what: str) -> EngineUnavailable:
        return EngineUnavailable(f"Docker at {self._socket_path} {what}")


def _read(said: Any, kind: type[T]) -> T:
    """Through JSON once more: Docker's client lets unpaired surrogates pass, which cannot be stored."""
    return msgspec.json.decode(msgspec.json.encode(said), type=kind)


def _word(network: _Network) -> NetworkWord:
    ipam = network.ipam or _Ipam()
    return NetworkWord(
        options=network.options or {},
        ipam_options=ipam.options or {},
        cidrs=tuple(each.subnet or "" for each in ipam.config or []),
        internal=network.internal,
        name=network.name,
    )

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Docker's Engine API says of networks and containers."""

from __future__ import annotations

from kuryr_libnetwork.model.value import Value


class NetworkWord(Value, frozen=True):
    """One network in Docker's words: its name, the user's ``-o``, ``--ipam-opt`` and ``--internal``, and its subnets'
    CIDRs.
    """

    options: dict[str, str] = {}
    ipam_options: dict[str, str] = {}
    cidrs: tuple[str, ...] = ()
    internal: bool = False
    name: str = ""


class EngineView(Value, frozen=True):
    """What Docker knows at one moment: ids of its networks of our driver, and of the endpoints in use on them.

    ``engine_id``: of this engine with its data; "" where the engine does not keep one with its data. ``containers``:
    names of containers by endpoint. ``macs``: their MACs by endpoint. ``words``: what it says of its networks, by
    their ids.
    """

    network_ids: frozenset[str]
    endpoint_ids: frozenset[str]
    engine_id: str = ""
    containers: dict[str, str] = {}
    macs: dict[str, str] = {}
    words: dict[str, NetworkWord] = {}

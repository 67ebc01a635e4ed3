# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A Neutron client created as the service does it, from the lines of a kuryr.conf."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial

from keystoneauth1.adapter import Adapter
from oslo_config import cfg

from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.session import build_adapter


def configured(options: Mapping[str, str]) -> cfg.ConfigOpts:
    """``[neutron]`` with these lines."""
    conf = cfg.ConfigOpts()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("\n".join(["[neutron]", *(f"{name} = {value}" for name, value in options.items())]))
        file.flush()
        conf(args=[], default_config_files=[file.name])
    return conf


def connect(
    options: Mapping[str, str], timeout: float = 20, region_name: str | None = None, endpoint_type: str = "public"
) -> NeutronClient:
    factory = partial(
        build_adapter, configured(options), region_name=region_name, endpoint_type=endpoint_type, timeout=timeout
    )
    return NeutronClient(factory, timeout, sleep=_no_pause)


def with_keystone(options: Mapping[str, str], endpoint: str, timeout: float = 20) -> NeutronClient:
    """A login whose Neutron is not where the catalog says."""

    def factory() -> Adapter:
        adapter = build_adapter(configured(options), timeout=timeout)
        adapter.endpoint_override = endpoint
        return adapter

    return NeutronClient(factory, timeout, sleep=_no_pause)


def without_keystone(endpoint: str, timeout: float = 20) -> NeutronClient:
    return connect({"auth_type": "none", "endpoint": endpoint}, timeout)


def _no_pause(seconds: float) -> None:
    """Try again at once."""

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A warning at the start about what the service's user lacks a role for, before a container fails for it."""

from __future__ import annotations

import logging

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.rules.roles import judge_roles

LOG = logging.getLogger(__name__)


def warn_of_roles(neutron: Neutron, *, physical_networks: bool) -> None:
    """Log one line if something cannot work. No Neutron call.

    ``physical_networks``: whether the service has to see them. Raises :class:`~kuryr_libnetwork.errors.NeutronError`
    if the login failed.
    """
    account = neutron.account()
    if account is None:
        return
    found = judge_roles(account, physical_networks=physical_networks)
    lines = [each.line for each in found if each.level != "advice"]
    if lines:
        LOG.warning("roles of the service's user: %s", "; ".join(lines))

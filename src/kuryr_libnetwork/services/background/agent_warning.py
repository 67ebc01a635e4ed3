# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A warning at the start if Neutron knows this host by another name, before a container fails for it."""

from __future__ import annotations

import logging

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.rules.plugging import unknown_host

LOG = logging.getLogger(__name__)


def warn_of_host(neutron: Neutron, host: str) -> None:
    """Log one line if no agent is on a host of this name; one or two Neutron calls.

    Silent for a user to whom Neutron shows no agents. Raises :class:`~kuryr_libnetwork.errors.NeutronError`.
    """
    account = neutron.account()
    if (account is not None and not account.is_admin) or neutron.find_agents(host=host):
        return
    text = unknown_host(host, neutron.find_agents())
    if text:
        LOG.warning("%s", text)

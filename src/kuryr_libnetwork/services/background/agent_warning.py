# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The start says that this host has another name in Neutron, before a container has to find out."""

from __future__ import annotations

import logging

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.rules.plugging import unknown_host

LOG = logging.getLogger(__name__)


def warn_of_host(neutron: Neutron, host: str) -> None:
    """One line where no agent is on a host of this name, else none; one or two Neutron calls.

    Nothing is asked for a user who is shown no agents. Raises :class:`~kuryr_libnetwork.errors.NeutronError`.
    """
    account = neutron.account()
    if (account is not None and not account.is_admin) or neutron.find_agents(host=host):
        return
    text = unknown_host(host, neutron.find_agents())
    if text:
        LOG.warning("%s", text)

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Waiting for Neutron to report a plugged port as ACTIVE (``[neutron] vif_plugging_is_fatal``)."""

from __future__ import annotations

import tenacity

from kuryr_libnetwork.errors import BindingFailed, NeutronError
from kuryr_libnetwork.interfaces import Neutron
from kuryr_libnetwork.model import Agent, Port
from kuryr_libnetwork.rules.plugging import ACTIVE, GONE, is_settled, why_inactive

REPORTED_VNIC_TYPES = {"normal", "direct-physical"}
"""Nobody reports a VF inside a container as up (sriov §0.1): waiting for it would always time out."""


class PlugWaiter:
    """``timeout`` and ``interval`` in seconds; one Neutron call per interval, none unless ``fatal``."""

    def __init__(self, neutron: Neutron, *, host: str, fatal: bool, timeout: float, interval: float = 1.0) -> None:
        self._neutron = neutron
        self._host = host
        self._fatal = fatal
        self._timeout = timeout
        self._interval = interval

    def wait(self, port: Port) -> None:
        """Raises :class:`~kuryr_libnetwork.errors.BindingFailed` when the time is over; the caller takes back what it did."""
        if not self._fatal or port.vnic_type not in REPORTED_VNIC_TYPES or port.status == ACTIVE:
            return
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda status: not is_settled(status)),
            stop=tenacity.stop_after_delay(self._timeout),
            wait=tenacity.wait_fixed(self._interval),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else "",
        )
        status = retry(self._status, port.id)
        if status != ACTIVE:
            raise BindingFailed(why_inactive(port.id, status, self._timeout, self._host, self._agents()))

    def _status(self, port_id: str) -> str:
        found = self._neutron.find_ports(id=port_id)
        return found[0].status if found else GONE

    def _agents(self) -> list[Agent] | None:
        try:
            return self._neutron.find_agents(host=self._host)
        except NeutronError:
            return None

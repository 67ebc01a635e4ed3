# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Waiting for Neutron to report a plugged port as ACTIVE (``[neutron] vif_plugging_is_fatal``)."""

from __future__ import annotations

import tenacity

from kuryr_libnetwork.errors import BindingFailed
from kuryr_libnetwork.interfaces import Neutron
from kuryr_libnetwork.model import Port

ACTIVE = "ACTIVE"
REPORTED_VNIC_TYPES = {"normal", "direct-physical"}
"""Nobody reports a VF inside a container as up (sriov §0.1): waiting for it would always time out."""


class PlugWaiter:
    """``timeout`` and ``interval`` in seconds; one Neutron call per interval, none unless ``fatal``."""

    def __init__(self, neutron: Neutron, *, fatal: bool, timeout: float, interval: float = 1.0) -> None:
        self._neutron = neutron
        self._fatal = fatal
        self._timeout = timeout
        self._interval = interval

    def wait(self, port: Port) -> None:
        if not self._fatal or port.vnic_type not in REPORTED_VNIC_TYPES or port.status == ACTIVE:
            return
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda status: status != ACTIVE),
            stop=tenacity.stop_after_delay(self._timeout),
            wait=tenacity.wait_fixed(self._interval),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else "",
        )
        status = retry(self._status, port.id)
        if status != ACTIVE:
            raise BindingFailed(
                f"port {port.id} is {status or 'gone'}, not ACTIVE, after {self._timeout:.0f} s ([neutron] "
                "vif_plugging_timeout); is the network agent or ovn-controller of this host alive?"
            )

    def _status(self, port_id: str) -> str:
        found = self._neutron.find_ports(id=port_id)
        return found[0].status if found else ""

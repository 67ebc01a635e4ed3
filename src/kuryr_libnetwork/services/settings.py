# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the use cases need to know of the configuration."""

from __future__ import annotations

from kuryr_libnetwork.model import IpVersion, Value


class ServiceSettings(Value, frozen=True):
    """Names are those of kuryr.conf. ``lock_timeout``: seconds that a call waits for another one on the same object."""

    host: str
    subnetpool_name_prefix: str = "kuryrPool"
    default_subnetpool_v4: str = "kuryr"
    default_subnetpool_v6: str = "kuryr6"
    enable_dhcp: bool = True
    veth_dst_prefix: str = "eth"
    process_external_connectivity: bool = True
    vif_plugging_is_fatal: bool = False
    vif_plugging_timeout: float = 60.0
    agent_alive_timeout: float = 0.0
    lock_timeout: float = 60.0
    reconcile_grace: float = 120.0

    def default_subnetpool(self, version: IpVersion) -> tuple[str, str]:
        """Name of the default pool, and of the option that holds it."""
        if version == 4:
            return self.default_subnetpool_v4, "default_subnetpool_v4"
        return self.default_subnetpool_v6, "default_subnetpool_v6"

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a running service takes over from a configuration that was read again: certificates, lists of
devices, sizes of port pools.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from kuryr_libnetwork.docker.server import PluginServer, Tls
from kuryr_libnetwork.errors import ConfigError
from kuryr_libnetwork.interfaces.drivers import Drivers, Permitted
from kuryr_libnetwork.model.settings import PluginSettings, PortPoolSettings, Settings
from kuryr_libnetwork.rules.reload import permitted, tls_trouble


def tls_of(plugin: PluginSettings) -> Tls | None:
    tcp = plugin.tcp
    if tcp is None or tcp.certificate is None or tcp.key is None:
        return None
    return Tls(tcp.certificate, tcp.key, tcp.client_ca)


class Reload:
    """``running``: what the service was started with. ``pools``: takes over new sizes of port pools."""

    def __init__(
        self, running: Settings, server: PluginServer, drivers: Drivers, pools: Callable[[PortPoolSettings], None]
    ) -> None:
        self._running = running
        self._server = server
        self._drivers = drivers
        self._pools = pools

    def __call__(self, written: Settings) -> list[str]:
        """Take it over; answers why some of it is not taken over."""
        sriov = permitted(self._running.sriov, written.sriov)
        self._running = replace(self._running, sriov=sriov)
        for driver in self._drivers.all():
            if isinstance(driver, Permitted):
                driver.permit(sriov)
        self._pools(written.port_pool)
        return [text for text in (self._certificate(written.plugin),) if text]

    def _certificate(self, written: PluginSettings) -> str:
        """The files may have changed although their names have not."""
        if trouble := tls_trouble(self._running.plugin.tcp, written.tcp):
            return trouble
        running, tls = tls_of(self._running.plugin), tls_of(written)
        if running is None or tls is None:
            return ""
        try:
            self._server.renew(tls)
        except ConfigError as error:
            return f"the certificate in use stays: {error}"
        return ""

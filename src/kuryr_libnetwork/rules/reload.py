# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What of a changed configuration a running service takes over, and what waits for the next start."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from kuryr_libnetwork.model.settings import SriovSettings, TcpSettings


def permitted(running: SriovSettings, written: SriovSettings) -> SriovSettings:
    """The lists of devices and physical networks are taken over; how devices are used stays as it was."""
    return replace(
        running,
        mappings=written.mappings,
        exclusions=written.exclusions,
        specs=written.specs,
        allow_trust=written.allow_trust,
        agents_own=written.agents_own,
    )


def tls_trouble(running: TcpSettings | None, written: TcpSettings | None) -> str:
    """Why the certificate is not read again; "" if it is, or there is none."""
    if running is None or written is None or running.certificate is None or written.certificate is None:
        return ""
    if (running.client_ca is None) != (written.client_ca is None):
        return "[DEFAULT] ssl_ca_file: whether clients have to show a certificate changes only at the next start"
    return ""


def waiting(running: Mapping[str, object], written: Mapping[str, object]) -> list[str]:
    """The options whose values differ, of those that both have."""
    return sorted(name for name in running.keys() & written.keys() if running[name] != written[name])

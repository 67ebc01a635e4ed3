# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What of a changed configuration a running service takes over."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from kuryr_libnetwork.model.settings import DeviceSpec, SriovSettings, TcpSettings
from kuryr_libnetwork.rules.reload import permitted, tls_trouble, waiting

PLAIN = TcpSettings(host="127.0.0.1", port=1)
TLS = replace(PLAIN, certificate=Path("/c"), key=Path("/k"))
MUTUAL = replace(TLS, client_ca=Path("/a"))


def test_lists_are_taken_over_and_nothing_else() -> None:
    """A card that was added would need a restart; or VFs be given back in another way than they were taken."""
    running = SriovSettings(mappings={"a": ("pf0",)}, rebind="never", carrier_timeout=1.0)
    written = SriovSettings(
        mappings={"b": ("pf1",)},
        exclusions={"pf1": frozenset({"0000:01:10.0"})},
        specs=(DeviceSpec(),),
        allow_trust=frozenset({"b"}),
        agents_own=True,
        rebind="always",
        allow_vfio=True,
        carrier_timeout=2.0,
    )
    assert permitted(running, written) == replace(written, rebind="never", allow_vfio=False, carrier_timeout=1.0)


def test_whether_clients_are_asked_for_a_certificate_stays() -> None:
    """Somebody without a certificate would be served by a listener that was opened for those who have one."""
    assert tls_trouble(TLS, MUTUAL).startswith("[DEFAULT] ssl_ca_file: ")
    assert tls_trouble(MUTUAL, TLS)
    for pair in ((TLS, TLS), (MUTUAL, MUTUAL), (None, TLS), (TLS, None), (PLAIN, MUTUAL), (MUTUAL, PLAIN)):
        assert tls_trouble(*pair) == ""


def test_what_waits_for_the_next_start() -> None:
    """An operator would believe that a change is in effect."""
    assert waiting({"b": 1, "a": 2, "same": 3, "gone": 4}, {"b": 2, "a": 1, "same": 3, "new": 5}) == ["a", "b"]

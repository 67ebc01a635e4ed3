# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``[admin]`` of kuryr.conf: where operators and Prometheus ask the service how it is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from oslo_config import cfg

from kuryr_libnetwork.config.reader import Reader
from kuryr_libnetwork.model.settings import AdminSettings
from kuryr_libnetwork.rules.addresses import is_loopback

SECTION = "admin"
LONGEST_SOCKET = 107
"""Bytes; unix(7)."""


def options() -> list[cfg.Opt]:
    """``[admin]``, new in 19."""
    return [
        cfg.StrOpt(
            "socket",
            default="/run/kuryr/admin.sock",
            help="Unix socket, for root only, on which kuryr-server answers operators' questions: /healthz, /metrics, "
            "/v1/networks and so on. The command kuryr asks there. Empty: none. New in 19.",
        ),
        cfg.StrOpt(
            "listen",
            default="",
            help="Also answer at this address, ADDRESS:PORT, such as 127.0.0.1:9697 for Prometheus. Only loopback "
            "addresses are allowed; every user of this host can read there, and nothing can be changed. Empty: "
            "not. New in 19.",
        ),
    ]


def settings(reader: Reader) -> AdminSettings:
    return AdminSettings(socket=_socket(reader), listen=_listen(reader))


def _socket(reader: Reader) -> Path | None:
    text = reader.get("socket", SECTION)
    if text and (not text.startswith("/") or "\0" in text or len(text.encode()) > LONGEST_SOCKET):
        words = f"must be an absolute path of at most {LONGEST_SOCKET} bytes, or empty for none"
        reader.refuse("socket", SECTION, words)
    return Path(text) if text else None


def _listen(reader: Reader) -> tuple[str, int] | None:
    text = reader.get("listen", SECTION)
    if not text:
        return None
    try:
        found = urlsplit(f"//{text}")
        port = found.port or 0
    except ValueError:  # brackets or port that cannot be read
        found, port = SplitResult("", "", "", "", ""), 0
    host = found.hostname or ""
    if not port or found.netloc != text or found.username is not None or not is_loopback(host):
        words = "must be ADDRESS:PORT with a loopback address, as 127.0.0.1:9697 or [::1]:9697"
        reader.refuse("listen", SECTION, words)
    return host, port

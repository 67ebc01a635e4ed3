# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The base of all value types."""

from __future__ import annotations

from typing import Literal

import msgspec

IpVersion = Literal[4, 6]


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all value types."""

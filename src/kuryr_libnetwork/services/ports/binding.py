# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How a port is bound for an endpoint: one value for all steps."""

from __future__ import annotations

from typing import Any

import msgspec

from kuryr_libnetwork.model.links import BoundBy
from kuryr_libnetwork.model.records import LeaseRecord
from kuryr_libnetwork.model.value import Value


class Binding(Value, frozen=True):
    """``mac``: the one that the user chose, or "".

    ``device``: further attributes of the PUT (``binding:profile``, ``binding:vnic_type``, ``security_groups``).
    ``unbind``: the port is bound already, and has to be unbound before all of this can be set.
    """

    lease: LeaseRecord
    endpoint_id: str
    mac: str
    device: dict[str, Any]
    by: BoundBy
    unbind: bool = False

    def with_lease(self, lease: LeaseRecord) -> Binding:
        return msgspec.structs.replace(self, lease=lease)

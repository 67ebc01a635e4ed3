# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""For how long a port pool makes no ports after it could not make one, and whom else that concerns.

No container waits for a pool, so it always gives way: to a full subnet or quota for two minutes, and to a Neutron that
does not answer, or says that it is busy, for longer each time. Each host waits for a random time more, so that they do
not all come back at once.
"""

from __future__ import annotations

from kuryr_libnetwork.errors import KuryrError, NeutronConflict, NeutronUnavailable, NoFreeAddress
from kuryr_libnetwork.model.value import Value

OVER_QUOTA = "OverQuota"
"""The type of Neutron's error (neutron/quota, ``OverQuota``)."""
FULL = 120.0
FIRST, LONGEST = 5.0, 120.0


class Pause(Value, frozen=True):
    """``everywhere``: of all pools of this host, not of one alone."""

    seconds: float
    everywhere: bool


def pause_after(error: KuryrError, failures: int, chance: float) -> Pause:
    """``failures``: how many creations have failed in a row. ``chance``: random, from 0 to 1."""
    if isinstance(error, NoFreeAddress):
        return Pause(seconds=FULL, everywhere=False)
    if isinstance(error, NeutronConflict) and error.kind == OVER_QUOTA:
        return Pause(seconds=FULL, everywhere=True)
    seconds = min(FIRST * 2.0 ** min(max(failures - 1, 0), 10), LONGEST)
    if isinstance(error, NeutronUnavailable):
        return Pause(seconds=max(seconds, error.pause or 0.0) * (1 + chance), everywhere=True)
    return Pause(seconds=max(seconds, 2 * FIRST) * (1 + chance), everywhere=False)

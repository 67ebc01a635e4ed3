# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Where a refusal of Neutron's leaves a verb of Docker, it is put into the words of a Docker user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kuryr_libnetwork.errors import NeutronError
from kuryr_libnetwork.rules.refusals import explained


@contextmanager
def explaining(subject: Callable[[], str]) -> Iterator[None]:
    """``subject``: what the user asked for, as far as it is known when it is refused."""
    try:
        yield
    except NeutronError as error:
        told = explained(error, subject())
        if told is None:
            raise
        raise told from error

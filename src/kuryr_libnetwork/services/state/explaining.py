# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Puts a refusal of Neutron's into a Docker user's words where it leaves a verb of Docker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kuryr_libnetwork.errors import NeutronError
from kuryr_libnetwork.rules.refusals import explained


@contextmanager
def explaining(subject: Callable[[], str]) -> Iterator[None]:
    """``subject``: what the user asked for; called only when something is refused."""
    try:
        yield
    except NeutronError as error:
        told = explained(error, subject())
        if told is None:
            raise
        raise told from error

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``python -m kuryr_libnetwork`` is ``kuryr-server``."""

from kuryr_libnetwork.cli.server import program

program()

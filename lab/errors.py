# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
class LabError(Exception):
    """Something a developer can act on, told in one line."""

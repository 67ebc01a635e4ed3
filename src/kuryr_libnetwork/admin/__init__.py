# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The admin socket: operators and their programs ask the running service how it is and what it has."""

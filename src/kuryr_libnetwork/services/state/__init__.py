# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What all use cases share: locks, intents, our own resources in Neutron, and who uses a network."""

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What every use case needs to know or to hold: locks, intents, our own things in Neutron, who uses a network."""

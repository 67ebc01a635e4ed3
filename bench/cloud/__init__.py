# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A simulation of a whole cloud: the real services of many hosts, against one model of Neutron, in simulated time."""

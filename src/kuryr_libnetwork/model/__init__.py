# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Frozen values: what Neutron, the kernel, Docker and kuryr.conf say, and what the journal keeps. A leaf."""

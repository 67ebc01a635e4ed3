# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron ports for containers: created or adopted, bound, released or given back."""

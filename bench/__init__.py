# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Measures kuryr-libnetwork in a lab of its own; see docs/benchmarks.md."""

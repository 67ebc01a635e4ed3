# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The operators' commands about this host: its PFs and VFs, its settings, and what is wrong with it."""

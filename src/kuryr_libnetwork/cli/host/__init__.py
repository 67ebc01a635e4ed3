# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The operator's commands that look at this host: its PFs and VFs, its settings, what is wrong with it."""

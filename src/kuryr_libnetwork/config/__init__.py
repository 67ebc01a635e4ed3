# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""kuryr.conf: its options, where they come from, and what they mean."""

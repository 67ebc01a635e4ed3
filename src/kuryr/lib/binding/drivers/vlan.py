# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The name that kuryr.conf's ``[binding] enabled_drivers`` uses; the code is ``kuryr_libnetwork.binding.child``."""

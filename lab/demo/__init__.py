# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``./dev demo``: containers on Neutron networks, shown step by step."""

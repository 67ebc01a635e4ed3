# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's networks and pools, and the Neutron networks, subnets and subnetpools behind them."""

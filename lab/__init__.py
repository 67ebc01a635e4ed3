# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A cloud in a box: real Neutron, OVN, Open vSwitch and Docker in network namespaces of this machine."""

from lab.api import Host, Lab, NeutronCall, Service, connect
from lab.errors import LabError

__all__ = ["Host", "Lab", "LabError", "NeutronCall", "Service", "connect"]

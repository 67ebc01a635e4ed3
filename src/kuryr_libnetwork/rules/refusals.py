# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Neutron's refusals mean to a Docker user, and what he can do.

Neutron names its own resources, mostly by their ids. A Docker user knows his Docker network, his options and his
addresses, whatever Neutron refuses below them. So each refusal that our calls can get is explained here, by the type in
Neutron's answer. Neutron's own message stays at the end of the line, for those who know the cloud. The types are those
of the installed Neutron (``tests/cloud/test_refusals.py``); an unknown one is explained by its status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kuryr_libnetwork.errors import (
    NeutronConflict,
    NeutronError,
    NeutronForbidden,
    NeutronNotFound,
    NeutronRefused,
    NoFreeAddress,
)
from kuryr_libnetwork.model.records import NetworkRecord

_QUOTA = (
    "a quota of the service's project is used up; remove what is not needed, or have the operator raise it ('openstack "
    "quota show', 'openstack quota set')"
)
_SIZE = "the subnetpool has no prefix of this length; give another --subnet, or another subnetpool (neutron.pool.name)"
_GROUPS = (
    "security groups need port security and an address, and the Neutron network or the port has port security turned "
    "off; add neutron.port_security=true, or neutron.security_groups=none"
)
_ROLE = (
    "the roles of the service's user do not allow that; docs/configuration.md, \"The service's user\", says which "
    "are needed for what"
)
_AGAIN = "somebody else changed it in the same moment; try again"
_RANGE = "--ip, --ip-range, --aux-address or --gateway does not fit the Neutron subnet; give one that does"
_AUTOMATIC = "on this subnet Neutron derives each IPv6 address from the MAC; leave --ip6 out"
_FULL = "no address is left on the Neutron subnet; remove containers, or make a Docker network with another --subnet"
_SEGMENTS = "the cloud has no segment (VLAN or VNI) left for a new network; name an existing one (neutron.net.name)"
_DNS = "the cloud's DNS service refuses the container's name or its domain; choose another --name or neutron.dns_domain"
_BACKEND = "a part of Neutron below its API failed; the cloud's operator finds the reason in Neutron's log"
_TRUNK = "the virtual machine's trunk port cannot take the container; see docs/nested.md"
_PAIRS = "the virtual machine's port cannot take the container's address; see docs/nested.md"
_GROUP_GONE = "a security group for the container does not exist; correct neutron.security_groups"
_POLICY_GONE = "the QoS policy for the container does not exist; correct neutron.qos_policy"

MEANINGS: Mapping[str, str] = {
    "OverQuota": _QUOTA,
    "SubnetPoolQuotaExceeded": _QUOTA,
    "ExternalDNSOverQuota": _DNS,
    "DNSDomainNotFound": _DNS,
    "DuplicateRecordSet": _DNS,
    "ExternalDNSDriverNotFound": _DNS,
    "PolicyNotAuthorized": _ROLE,
    "AdminRequired": _ROLE,
    "NotAuthorized": _ROLE,
    "IpAddressGenerationFailure": _FULL,
    "IpAddressGenerationFailureAllSubnets": _FULL,
    "IpAddressGenerationFailureNoMatchingSubnet": (
        "no subnet of the Neutron network accepts ports of containers (service types); have the operator add "
        "compute:kuryr, or name another network"
    ),
    "IpAddressAlreadyAllocated": "another port has the address; give another --ip, or none",
    "IpAddressInUse": "another port has the address; give another --ip, or none",
    "MacAddressInUse": "another port of the Neutron network has the MAC; give another --mac-address, or none",
    "HostMacAddressGenerationFailure": "Neutron has no MAC left; give one by --mac-address",
    "InvalidIpForSubnet": _RANGE,
    "InvalidIpForNetwork": _RANGE,
    "InvalidAllocationPool": _RANGE,
    "OutOfBoundsAllocationPool": _RANGE,
    "OverlappingAllocationPools": _RANGE,
    "GatewayConflictWithAllocationPools": _RANGE,
    "AllocationOnAutoAddressSubnet": _AUTOMATIC,
    "IPAddressChangeNotAllowed": _AUTOMATIC,
    "SubnetAllocationError": (
        "this prefix is not free in the subnetpool; give another --subnet, or another subnetpool (neutron.pool.name)"
    ),
    "MinPrefixSubnetAllocationError": _SIZE,
    "MaxPrefixSubnetAllocationError": _SIZE,
    "IllegalSubnetPoolPrefixBounds": _SIZE,
    "UnsupportedMinSubnetPoolPrefix": "Neutron makes no subnet of this length; give a smaller --subnet",
    "NetworkSubnetPoolAffinityError": (
        "all subnets of one Neutron network and family come from one subnetpool, or all from none; give the --subnet "
        "of an existing one, or name that subnetpool (neutron.pool.name)"
    ),
    "NetworkMTUSubnetConflict": (
        "the Neutron network's MTU is too small for IPv6, which needs 1280; leave --ipv6 out, or have the MTU raised"
    ),
    "NoNetworkAvailable": _SEGMENTS,
    "NoNetworkFoundInMaximumAllowedAttempts": _SEGMENTS,
    "TunnelIdInUse": _SEGMENTS,
    "VlanIdInUse": _SEGMENTS,
    "FlatNetworkInUse": _SEGMENTS,
    "NetworkInUse": "the Neutron network is in use by ports of others; remove those first",
    "SubnetInUse": "the Neutron subnet is in use by ports of others; remove those first",
    "SubnetPoolInUse": "subnets come from the subnetpool; remove those first",
    "SubnetPoolDeleteError": "subnets come from the subnetpool; remove those first",
    "PortInUse": "the Neutron port is in use; name another one",
    "ServicePortInUse": "the Neutron port belongs to a router or the like; name another one",
    "PortBound": (
        "the Neutron port is bound already, so its MAC and kind cannot be changed; leave --mac-address out, or name a "
        "port that is not bound"
    ),
    "UnsupportedPortDeviceOwner": "Neutron itself uses the Neutron port; name another one",
    "DeviceIDNotOwnedByProject": "Neutron takes the container's id for a router's; start the container again",
    "DeviceIDNotOwnedByTenant": "Neutron takes the container's id for a router's; start the container again",
    "PortSecurityPortHasSecurityGroup": (
        "the port has security groups; add neutron.security_groups=none to neutron.port_security=false"
    ),
    "PortSecurityAndIPRequiredForSecurityGroups": _GROUPS,
    "AddressPairAndPortSecurityRequired": (
        "the port has allowed address pairs, which need port security; leave neutron.port_security=false out, or have "
        "the pairs removed"
    ),
    "SecurityGroupNotFound": _GROUP_GONE,
    "SecurityGroupRuleExists": _AGAIN,
    "SecurityGroupInUse": "the security group is in use by ports of others; remove those first",
    "QosPolicyNotFound": _POLICY_GONE,
    "QosRuleNotSupported": (
        "the QoS policy has a rule that ports of this kind do not support; name another one (neutron.qos_policy)"
    ),
    "QosPlacementAllocationConflict": "the host lacks the bandwidth that the QoS policy guarantees; name another one",
    "NetworkNotFound": "the Neutron network was deleted; remove the Docker network and create it again",
    "SubnetNotFound": "the Neutron subnet was deleted; remove the Docker network and create it again",
    "SubnetPoolNotFound": "the subnetpool was deleted; create the Docker network again",
    "PortNotFound": "the Neutron port was deleted; start the container again",
    "TagNotFound": _AGAIN,
    "RevisionNumberConstraintFailed": _AGAIN,
    "PortBindingError": _BACKEND,
    "MechanismDriverError": _BACKEND,
    "ExtensionDriverError": _BACKEND,
    "ExternalIpAddressExhausted": _FULL,
    "TrunkNotFound": _TRUNK,
    "TrunkInErrorState": _TRUNK,
    "TrunkDisabled": _TRUNK,
    "TrunkPortInUse": _TRUNK,
    "DuplicateSubPort": _TRUNK,
    "SubPortMtuGreaterThanTrunkPortMtu": _TRUNK,
    "AllowedAddressPairExhausted": _PAIRS,
    "DuplicateAddressPairInRequest": _PAIRS,
}
"""Explanations by the type of Neutron's error."""
WORDS: Mapping[str, str] = {
    "overlaps with another subnet": (
        "the Neutron network has a subnet that overlaps; give the --subnet of an existing one, or a free prefix"
    ),
    "IP allocation requires subnets": "the Neutron network has no subnet; give --subnet, or have one created",
    "included invalid subnet": "the Neutron subnet was deleted; remove the Docker network and create it again",
}
"""Explanations by a part of the message, if the type (InvalidInput, BadRequest) says too little."""
_BY_CLASS: Mapping[type[NeutronError], str] = {
    NoFreeAddress: _FULL,
    NeutronConflict: "it conflicts with what is in Neutron now; check that, and try again",
    NeutronForbidden: _ROLE,
    NeutronNotFound: "what it needs is no longer in Neutron; remove the Docker network and create it again",
    NeutronRefused: "Neutron does not accept the request; its own message says why",
}


def meaning(error: NeutronError) -> str:
    """The explanation of an error; "" if it is not a refusal of Neutron's, or was explained already."""
    if not error.kind:
        return ""
    found = MEANINGS.get(error.kind) or next((text for words, text in WORDS.items() if words in str(error)), "")
    return found or next((text for kind, text in _BY_CLASS.items() if isinstance(error, kind)), "")


def explained(error: NeutronError, subject: str) -> NeutronError | None:
    """The error in a Docker user's words; ``None`` if there is nothing to add. ``subject``: what he asked for."""
    text = meaning(error)
    return type(error)(f"{subject}: {text} ({str(error).rstrip('.')})") if text else None


def network_subject(docker_id: str, record: NetworkRecord | None) -> str:
    """A Docker network, with its Neutron network and CIDRs if they are known."""
    if record is None or not record.neutron_id:
        return f"Docker network {docker_id[:12]}"
    cidrs = _listed(subnet.cidr for subnet in record.subnets)
    return f"Docker network {docker_id[:12]} (Neutron network {record.neutron_id}{', ' + cidrs if cidrs else ''})"


def _listed(cidrs: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(cidrs))

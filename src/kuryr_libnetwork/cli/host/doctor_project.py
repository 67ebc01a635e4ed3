# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What containers need of the service's project in the cloud, and of the way between hosts: quota, the default security
group, and room for the tunnels' headers.
"""

from __future__ import annotations

from kuryr_libnetwork.cli.host.doctor_facts import DoctorFacts
from kuryr_libnetwork.cli.host.findings import Finding, ok, unchecked, wrong
from kuryr_libnetwork.rules.tunnels import too_large

NEEDED = {
    "port": "--ports",
    "network": "--networks",
    "subnet": "--subnets",
    "subnetpool": "--subnetpools",
    "security_group": "--secgroups",
}
"""What the service creates, with the option of ``openstack quota set``."""


def quota(facts: DoctorFacts) -> Finding:
    link, cloud = "quotas", facts.cloud
    if cloud.error or cloud.quota_error:
        return unchecked(link, cloud.quota_error or "Neutron did not answer")
    free = {kind: cloud.quota[kind].free for kind in NEEDED if kind in cloud.quota}
    limited = {kind: number for kind, number in free.items() if number is not None}
    if used_up := [kind for kind, number in limited.items() if not number]:
        project = cloud.account.project if cloud.account else "PROJECT"
        options = " ".join(f"{NEEDED[kind]} N" for kind in used_up)
        return wrong(link, f"none left: {', '.join(used_up)}", f"openstack quota set {options} {project}")
    return ok(link, ", ".join(f"{kind}: {number} left" for kind, number in limited.items()) or "no limits")


def default_group(facts: DoctorFacts) -> Finding:
    """Containers have this group unless an option names others; what it does is often a surprise, and never wrong."""
    link, group = "default security group", facts.cloud.default_group
    if facts.cloud.error or group is None:
        return unchecked(link, facts.cloud.quota_error or "Neutron shows none to the service's project")
    opened = sum(rule.direction == "ingress" and rule.remote_group_id is None for rule in group.rules)
    if opened:
        return ok(link, f"{opened} of its rules let others in")
    return ok(
        link, "containers reach each other; others are kept out (neutron.security_groups, or EXPOSE, lets them in)"
    )


def tunnel_mtu(facts: DoctorFacts) -> Finding:
    link, tunnels, device = "MTU of the tunnels", facts.tunnels, facts.tunnel_link
    if not tunnels.address or not tunnels.overhead:
        return unchecked(link, "it is not known where this host's tunnels end")
    if device is None or not device.mtu:
        return unchecked(link, f"no interface of this network namespace has {tunnels.address}")
    mtus = [row.mtu for row in facts.attached if row.mtu and not row.physical_network]
    told = f"{device.name} has {device.mtu}, tunnels add {tunnels.overhead}"
    if not mtus:
        return ok(link, f"{told}: networks may have {device.mtu - tunnels.overhead}; no Docker network is tunnelled")
    if large := too_large(mtus, tunnels, device.mtu):
        found = f"{told}, and networks have {', '.join(map(str, large))}"
        account = facts.cloud.account
        if account is not None and not account.is_admin:  # which does not see whether a network is tunnelled
            return unchecked(link, f"{found}: too much for a network that is tunnelled (openstack network show)")
        return wrong(link, found, f"ip link set {device.name} mtu {large[-1] + tunnels.overhead}, on every host")
    return ok(link, f"{told}, networks have at most {max(mtus)}")

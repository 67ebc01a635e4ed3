# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The links of the chain, each judged from the facts, in the order in which to repair them. What every host needs
comes first (:mod:`.doctor_veth`, :mod:`.doctor_project`); then, if they are enabled, what VFs need, from the NIC to
Neutron.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kuryr_libnetwork.cli.host import doctor_project, doctor_veth
from kuryr_libnetwork.cli.host.advice import BINDING_DRIVERS, PORT_DRIVERS
from kuryr_libnetwork.cli.host.doctor_facts import DoctorFacts, agent_of, mappings_of
from kuryr_libnetwork.cli.host.findings import Finding, ok, unchecked, wrong
from kuryr_libnetwork.model.neutron import Agent
from kuryr_libnetwork.model.sriov import USER_SPACE_DRIVERS
from kuryr_libnetwork.rules.devices import SWITCHDEV, FoundPf
from kuryr_libnetwork.rules.roles import RoleFinding, judge_roles, reads_physical_networks

KERNEL = (5, 14)
"""The first kernel that names a device's PCI function over netlink (``IFLA_PARENT_DEV_NAME``)."""
NOT_ENABLED = "no driver or mapping of kuryr.conf asks for it; docs/sriov.md says how"
SRIOV_DRIVERS = frozenset({"sriov", "hw_veb", "hostdev_physical", "macvtap"})
Judge = Callable[[DoctorFacts], Finding]


def judge_chain(facts: DoctorFacts) -> list[Finding]:
    chain = [*EVERYWHERE, *(VIRTUAL if doctor_veth.is_virtual(facts) else ())]
    if is_enabled(facts):
        return [judge(facts) for judge in (*chain, *SRIOV)]
    return [*(judge(facts) for judge in chain), unchecked("SR-IOV", NOT_ENABLED)]


def is_enabled(facts: DoctorFacts) -> bool:
    """Whether VFs are wanted: a driver or a mapping asks for them, or a lease exists."""
    names = (*facts.settings.plugin.enabled_port_drivers, *facts.settings.binding.enabled_drivers)
    return (
        any(name.rpartition(".")[2] in SRIOV_DRIVERS for name in names)
        or facts.settings.sriov.speaks
        or bool(facts.leases)
    )


# -- this host ---------------------------------------------------------------------------------------------------


def kernel(facts: DoctorFacts) -> Finding:
    match = re.match(r"(\d+)\.(\d+)", facts.kernel)
    if match is None:
        return unchecked("kernel", f"its version {facts.kernel!r} is not understood")
    if (int(match[1]), int(match[2])) < KERNEL:
        return wrong(
            "kernel", facts.kernel, f"VFs cannot be found in containers before {KERNEL[0]}.{KERNEL[1]}: update it"
        )
    return ok("kernel", facts.kernel)


def pfs(facts: DoctorFacts) -> Finding:
    if not facts.pfs:
        return wrong("PF", "none", "no NIC can have VFs: is SR-IOV enabled in its firmware and in the BIOS?")
    sick = [_pf_trouble(each, facts) for each in _ours(facts)]
    if any(sick):
        return wrong("PF", "; ".join(text for text in sick if text), "load the driver; ip link set PF up")
    missing = sorted({name for _, name in _pairs(facts)} - {name for each in facts.pfs for name in each.pf.netdevs})
    if missing:
        return wrong("PF", f"{', '.join(missing)} is not there", "correct physical_device_mappings, see kuryr pf list")
    return ok("PF", ", ".join("/".join(each.pf.netdevs) for each in facts.pfs))


def vfs(facts: DoctorFacts) -> Finding:
    ours = _ours(facts)
    if not ours:
        return unchecked("VFs", "there is no PF for the service")
    bare = [_name(each) for each in ours if not each.vfs]
    if bare:
        return wrong("VFs", f"{', '.join(bare)} has none", f"kuryr vf create {bare[0]} --count N --persist")
    return ok("VFs", ", ".join(f"{_name(each)}: {len(each.vfs)}" for each in ours))


def vf_drivers(facts: DoctorFacts) -> Finding:
    all_vfs = [vf for each in _ours(facts) for vf in each.vfs]
    if not all_vfs:
        return unchecked("drivers of VFs", "there are no VFs")
    free = [vf for vf in all_vfs if vf.pci_address not in facts.leases]
    lost = [vf.pci_address for vf in free if vf.netdev_elsewhere or not vf.driver]
    user = [vf.pci_address for vf in free if vf.driver in USER_SPACE_DRIVERS and not facts.settings.sriov.allow_vfio]
    if lost:
        return wrong("drivers of VFs", f"no network device here: {', '.join(lost)}", f"kuryr vf repair {lost[0]}")
    if user:
        return wrong(
            "drivers of VFs", f"bound for user space: {', '.join(user)}", "rebind them, or set [sriov] allow_vfio"
        )
    return ok("drivers of VFs", ", ".join(sorted({vf.driver for vf in all_vfs})))


def leases(facts: DoctorFacts) -> Finding:
    shut = [lease for lease in facts.leases.values() if lease.state == "quarantined"]
    if shut:
        told = "; ".join(f"{lease.pci_address}: {lease.reason}" for lease in shut)
        address = shut[0].pci_address
        return wrong("quarantine", told, f"kuryr vf repair {address}, then kuryr vf release {address}")
    return ok("quarantine", "empty")


def iommu(facts: DoctorFacts) -> Finding:
    if facts.iommu:
        return ok("IOMMU", "on")
    if facts.settings.sriov.allow_vfio:
        return wrong("IOMMU", "off", "vfio-pci needs it: intel_iommu=on or amd_iommu=on on the kernel's command line")
    return ok("IOMMU", "off; only vfio-pci needs it")


# -- the service -------------------------------------------------------------------------------------------------


def configuration(facts: DoctorFacts) -> Finding:
    if facts.config_error:
        return wrong("kuryr.conf", facts.config_error, "docs/configuration.md; for SR-IOV: kuryr config kuryr")
    return ok("kuryr.conf")


def drivers(facts: DoctorFacts) -> Finding:
    link = "drivers for VFs"
    plugin, binding = facts.settings.plugin, facts.settings.binding
    missing = _missing(PORT_DRIVERS[1], plugin.enabled_port_drivers) + _missing(
        BINDING_DRIVERS[1], binding.enabled_drivers
    )
    if missing:
        return wrong(link, f"not enabled: {', '.join(missing)}", "kuryr config kuryr prints the lines")
    return ok(link)


def plugin(facts: DoctorFacts) -> Finding:
    if facts.plugin_error:
        return wrong("Docker finds the plugin", facts.plugin_error, "systemctl status kuryr-libnetwork.service")
    return ok("Docker finds the plugin", str(facts.settings.plugin.socket_path))


# -- the cloud ---------------------------------------------------------------------------------------------------


def neutron(facts: DoctorFacts) -> Finding:
    if facts.config_error:
        return unchecked("Neutron", facts.cloud.error)
    if facts.cloud.error:
        return wrong("Neutron", facts.cloud.error, "check [neutron] auth_url and the way to it")
    return ok("Neutron", "answers")


def roles(facts: DoctorFacts) -> Finding:
    """The roles in the token. The next link asks Neutron itself about ``binding:profile``."""
    link, account = "roles", facts.cloud.account
    if facts.cloud.error or facts.cloud.account_error:
        return unchecked(link, facts.cloud.account_error or "Neutron did not answer")
    if account is None:
        return ok(link, "none: this cloud has no Keystone")
    found = [each for each in _role_findings(facts) if each.subject != "profile"]
    lacking = [each for each in found if each.level != "advice"]
    if lacking:
        told = "; ".join(each.text for each in lacking)
        return wrong(link, f"{account}: {told}", "; ".join(each.command for each in lacking))
    return ok(link, ": ".join([str(account), *(each.line for each in found)]))


def role(facts: DoctorFacts) -> Finding:
    link, answer = "role for binding:profile", facts.cloud.profile
    if facts.cloud.error:
        return unchecked(link, "Neutron did not answer")
    if answer == "forbidden":
        commands = [each.command for each in _role_findings(facts) if each.subject in ("profile", "containers")]
        return wrong(
            link, "refused by Neutron's policy", "; ".join(commands) or "give the user of [neutron] the role service"
        )
    return ok(link) if answer == "allowed" else unchecked(link, answer)


def agent(facts: DoctorFacts) -> Finding:
    link, host = "Neutron's SR-IOV agent", facts.settings.plugin.host
    if facts.cloud.error or facts.cloud.agents_error:
        return unchecked(link, facts.cloud.agents_error or "Neutron did not answer")
    here, account = _agent(facts), facts.cloud.account
    if account is not None and not account.is_admin and not facts.cloud.agents:
        return unchecked(link, f"agents are shown to the role admin only: openstack network agent list --host {host}")
    if here is None:
        near = [each.host for each in facts.cloud.agents if _short(each.host) == _short(host)]
        if near:
            return wrong(link, f"it calls this host {near[0]}", f"set host = {near[0]} in [DEFAULT] of kuryr.conf")
        return wrong(link, f"none on host {host}", "start neutron-sriov-nic-agent; kuryr config sriov-agent")
    if not here.alive:
        return wrong(link, f"not alive on {host}", "look at its log, and at its way to RabbitMQ")
    if not here.admin_state_up:
        return wrong(link, f"disabled on {host}", f"openstack network agent set --enable {here.id}")
    return ok(link, f"alive on {host}")


def mapping(facts: DoctorFacts) -> Finding:
    link, here = "mapping of physical networks", _agent(facts)
    if here is None:
        return unchecked(link, "the agent of this host is not known")
    theirs, ours = _reported(facts), _pairs(facts)
    if not ours:
        return ok(link, "the service has none; the agent: " + (_told(theirs) or "none, either"))
    if theirs != ours:
        return wrong(link, f"agent: {_told(theirs) or 'none'}; service: {_told(ours)}", "write the same in both files")
    return ok(link, _told(ours))


def networks(facts: DoctorFacts) -> Finding:
    link = "networks in Neutron"
    if facts.cloud.error or facts.cloud.networks_error:
        return unchecked(link, facts.cloud.networks_error or "Neutron did not answer")
    if not facts.cloud.networks:
        return unchecked(link, "no mapping says which physical networks to look for")
    empty = sorted(name for name, found in facts.cloud.networks.items() if not found)
    if empty:
        return wrong(link, f"none on {', '.join(empty)}", "kuryr config neutron-server; then make a network there")
    return ok(link, ", ".join(f"{name}: {len(found)}" for name, found in sorted(facts.cloud.networks.items())))


def mtu(facts: DoctorFacts) -> Finding:
    wanted = [
        (device, network.mtu)
        for name, device in sorted(_pairs(facts) or _reported(facts))
        for network in facts.cloud.networks.get(name, ())
        if network.mtu and device in facts.states
    ]
    if not wanted:
        return unchecked("MTU", "no network of Neutron on a PF of this host is known")
    for device, size in wanted:
        if size > facts.states[device].mtu:
            told = f"{device} has {facts.states[device].mtu}, a network on it {size}"
            return wrong("MTU", told, f"ip link set {device} mtu {size}")
    return ok("MTU", ", ".join(f"{name}: {facts.states[name].mtu}" for name in sorted({name for name, _ in wanted})))


EVERYWHERE: tuple[Judge, ...] = (
    configuration,
    neutron,
    roles,
    doctor_project.quota,
    doctor_project.default_group,
    plugin,
    doctor_veth.service,
    doctor_veth.docker,
)
VIRTUAL: tuple[Judge, ...] = (
    doctor_veth.agent,
    doctor_veth.open_vswitch,
    doctor_veth.bridge,
    doctor_project.tunnel_mtu,
)
SRIOV: tuple[Judge, ...] = (
    kernel,
    pfs,
    vfs,
    vf_drivers,
    leases,
    iommu,
    drivers,
    role,
    agent,
    mapping,
    networks,
    mtu,
)


# -- parts of judgements -----------------------------------------------------------------------------------------


def _pairs(facts: DoctorFacts) -> set[tuple[str, str]]:
    return {(name, device) for name, devices in facts.settings.sriov.mappings.items() for device in devices}


def _ours(facts: DoctorFacts) -> list[FoundPf]:
    """The PFs that a mapping names; without one those that carry no default route. Not those given to containers."""
    mapped = {device for _, device in _pairs(facts)}
    kept = [each for each in facts.pfs if each.pf.pci_address not in facts.leases]
    return [each for each in kept if (mapped & set(each.pf.netdevs) if mapped else not each.default_route)]


def _name(each: FoundPf) -> str:
    return each.pf.netdevs[0] if each.pf.netdevs else each.pf.pci_address


def _pf_trouble(each: FoundPf, facts: DoctorFacts) -> str:
    if each.pf.representors:
        return f"{_name(each)} is {SWITCHDEV}"
    if not each.pf.netdevs:
        return f"{_name(each)} has no network device here"
    state = facts.states.get(_name(each))
    return "" if state and state.up else f"{_name(each)} is down"


def _missing(driver: str, enabled: tuple[str, ...]) -> list[str]:
    last = driver.rpartition(".")[2]
    return [] if last in {name.rpartition(".")[2] for name in enabled} else [driver]


def _role_findings(facts: DoctorFacts) -> list[RoleFinding]:
    account = facts.cloud.account
    return judge_roles(account, physical_networks=reads_physical_networks(facts.settings)) if account else []


def _agent(facts: DoctorFacts) -> Agent | None:
    return agent_of(facts.settings.plugin.host, facts.cloud.agents)


def _reported(facts: DoctorFacts) -> set[tuple[str, str]]:
    return {(name, device) for name, devices in mappings_of(_agent(facts)).items() for device in devices}


def _told(pairs: set[tuple[str, str]]) -> str:
    return ",".join(f"{network}:{device}" for network, device in sorted(pairs))


def _short(host: str) -> str:
    return host.partition(".")[0].lower()

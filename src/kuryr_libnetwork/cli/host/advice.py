# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Steps 2 to 4 of the SR-IOV guide for this host: the settings to write, and whether a file has them.

Everything here is a function of :class:`ConfigFacts` and of the file; nothing is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kuryr_libnetwork.cli.host.findings import Finding, ok, wrong
from kuryr_libnetwork.errors import ConfigError
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.pci import parse_exclusions, parse_mappings

PORT_DRIVERS = ("kuryr_libnetwork.port_driver.drivers.veth", "kuryr_libnetwork.port_driver.drivers.sriov")
BINDING_DRIVERS = ("kuryr.lib.binding.drivers.veth", "kuryr.lib.binding.drivers.hw_veb")
MECHANISM = "sriovnicswitch"
FIREWALL = "neutron.agent.firewall.NoopFirewallDriver"
FIREWALLS = (FIREWALL, "noop")
UNKNOWN = "PHYSICAL_NETWORK"
UNMAPPED = ("no mapping is known", "without any, VFs of every PF that carries no default route are used")
Get = Callable[[str, str], str | None]
"""Takes section and option, returns the value in the file; ``None`` if it is not set."""


class ConfigFacts(Value, frozen=True):
    """``host``: the option of kuryr.conf; ``hostname``: the machine's. ``unmapped``: PFs that no mapping names."""

    host: str
    hostname: str
    mappings: dict[str, tuple[str, ...]] = {}
    exclusions: dict[str, frozenset[str]] = {}
    unmapped: tuple[str, ...] = ()


# -- what to write -----------------------------------------------------------------------------------------------


def kuryr_settings(facts: ConfigFacts) -> list[str]:
    return [
        "# /etc/kuryr/kuryr.conf; restart kuryr-libnetwork afterwards",
        "[DEFAULT]",
        f"enabled_port_drivers = {', '.join(PORT_DRIVERS)}",
        *_host_lines(facts),
        "",
        "[binding]",
        f"enabled_drivers = {', '.join(BINDING_DRIVERS)}",
        "",
        "[sriov]",
        *_device_lines(facts),
    ]


def agent_settings(facts: ConfigFacts) -> list[str]:
    return [
        "# /etc/neutron/plugins/ml2/sriov_agent.ini; restart neutron-sriov-nic-agent afterwards",
        *(["[DEFAULT]", *lines, ""] if (lines := _host_lines(facts)) else []),
        "[securitygroup]",
        f"firewall_driver = {FIREWALL}",
        "",
        "[sriov_nic]",
        *_device_lines(facts),
    ]


def server_settings(facts: ConfigFacts) -> list[str]:
    networks = sorted(facts.mappings) or [UNKNOWN]
    return [
        "# /etc/neutron/plugins/ml2/ml2_conf.ini on the controller; restart neutron-server afterwards",
        "[ml2]",
        f"# beside those that are there already, such as openvswitch or ovn: add {MECHANISM}",
        f"mechanism_drivers = openvswitch,{MECHANISM}",
        "",
        "[ml2_type_vlan]",
        "# the range is an example; the switch must carry these VLANs to this host",
        f"network_vlan_ranges = {','.join(f'{name}:1000:1999' for name in networks)}",
        "",
        "# or, for networks without a VLAN:",
        "#[ml2_type_flat]",
        f"#flat_networks = {','.join(networks)}",
    ]


def _host_lines(facts: ConfigFacts) -> list[str]:
    return [f"host = {facts.host}"] if facts.host != facts.hostname else []


def _device_lines(facts: ConfigFacts) -> list[str]:
    known = [f"{name}:{device}" for name, devices in facts.mappings.items() for device in devices]
    open_ones = [f"{UNKNOWN}:{device}" for device in facts.unmapped]
    excluded = [f"{device}:{';'.join(sorted(addresses))}" for device, addresses in sorted(facts.exclusions.items())]
    lines = [f"physical_device_mappings = {','.join(known)}"] if known else []
    if open_ones:
        reason, without = ("not mapped yet", "left out they are not used") if known else UNMAPPED
        lines.append(f"# {reason}: put the network's name before these; {without}")
        lines.append(f"#physical_device_mappings = {','.join(known + open_ones)}")
    return [*lines, *([f"exclude_devices = {','.join(excluded)}"] if excluded else [])]


# -- whether it is there -----------------------------------------------------------------------------------------


def check_kuryr(facts: ConfigFacts, get: Get) -> list[Finding]:
    return [
        _drivers("[DEFAULT] enabled_port_drivers", get("DEFAULT", "enabled_port_drivers"), PORT_DRIVERS),
        _drivers("[binding] enabled_drivers", get("binding", "enabled_drivers"), BINDING_DRIVERS),
        *_device_lists(facts, "sriov", get),
    ]


def check_agent(facts: ConfigFacts, get: Get) -> list[Finding]:
    firewall = get("securitygroup", "firewall_driver") or "noop"
    link = "[securitygroup] firewall_driver"
    filtered = wrong(link, firewall, f"set it to {FIREWALL}: a VF bypasses the host's firewall")
    mapped = get("sriov_nic", "physical_device_mappings")
    missing = wrong("[sriov_nic] physical_device_mappings", "not set", "without it no port can be bound on this host")
    return [
        _host(facts, get),
        ok(link, firewall) if firewall in FIREWALLS else filtered,
        *([] if mapped or facts.mappings else [missing]),
        *_device_lists(facts, "sriov_nic", get),
    ]


def check_server(facts: ConfigFacts, get: Get) -> list[Finding]:
    link, drivers = "[ml2] mechanism_drivers", get("ml2", "mechanism_drivers")
    absent = wrong(link, drivers or "not set", f"add {MECHANISM}")
    found = ok(link, drivers or "") if MECHANISM in _items(drivers) else absent
    return [found, *(_network(name, get) for name in sorted(facts.mappings))]


def _network(name: str, get: Get) -> Finding:
    """Whether a VLAN or a flat type driver names the physical network; one is enough."""
    link = f"physical network {name}"
    ranges = get("ml2_type_vlan", "network_vlan_ranges")
    flat = _items(get("ml2_type_flat", "flat_networks") or "*")
    if name in {item.partition(":")[0] for item in _items(ranges)}:
        return ok(link, f"[ml2_type_vlan] network_vlan_ranges = {ranges}")
    if name in flat or "*" in flat:
        return ok(link, f"[ml2_type_flat] flat_networks = {','.join(flat)}; no VLANs")
    return wrong(link, "named by neither", f"add {name}:FIRST:LAST to [ml2_type_vlan] network_vlan_ranges")


def _host(facts: ConfigFacts, get: Get) -> Finding:
    host = get("DEFAULT", "host") or facts.hostname
    if host == facts.host:
        return ok("[DEFAULT] host", host)
    return wrong("[DEFAULT] host", host, f"the service calls this host {facts.host}; both must say the same")


def _drivers(link: str, value: str | None, wanted: Iterable[str]) -> Finding:
    """Whether all wanted drivers are named, by module path or bare name."""
    present = {item.rpartition(".")[2] for item in _items(value)}
    missing = [name for name in wanted if name.rpartition(".")[2] not in present]
    if missing:
        return wrong(link, value or "not set", f"add {', '.join(missing)}")
    return ok(link, value or "")


def _device_lists(facts: ConfigFacts, section: str, get: Get) -> list[Finding]:
    mappings, exclusions = get(section, "physical_device_mappings"), get(section, "exclude_devices")
    links = (f"[{section}] physical_device_mappings", f"[{section}] exclude_devices")
    found = []
    if mappings is not None or (facts.mappings and section != "sriov"):
        found.append(_mapping(links[0], mappings, facts))
    if exclusions is not None or (facts.exclusions and section != "sriov"):
        found.append(_exclusions(links[1], exclusions, facts.exclusions))
    return found


def _mapping(link: str, value: str | None, facts: ConfigFacts) -> Finding:
    try:
        theirs = _pairs(parse_mappings(link, _items(value)))
    except ConfigError as error:
        return wrong(link, value or "not set", str(error))
    ours = _pairs(facts.mappings)
    differing = sorted(device for _, device in theirs ^ ours) if ours else []
    if differing:
        text = ",".join(f"{network}:{device}" for network, device in sorted(ours))
        return wrong(
            link, value or "not set", f"differs for {', '.join(dict.fromkeys(differing))}: the service has {text}"
        )
    return ok(link, value or "")


def _exclusions(link: str, value: str | None, ours: Mapping[str, frozenset[str]]) -> Finding:
    try:
        theirs = parse_exclusions(link, _items(value))
    except ConfigError as error:
        return wrong(link, value or "not set", str(error))
    differing = [device for device in sorted({*theirs, *ours}) if theirs.get(device) != ours.get(device)]
    if differing:
        return wrong(link, value or "not set", f"the service excludes other VFs of {', '.join(differing)}")
    return ok(link, value or "")


def _pairs(mappings: Mapping[str, Iterable[str]]) -> set[tuple[str, str]]:
    return {(network, device) for network, devices in mappings.items() for device in devices}


def _items(value: str | None) -> list[str]:
    return [item.strip() for item in (value or "").split(",") if item.strip()]

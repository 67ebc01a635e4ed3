# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``[sriov]`` of kuryr.conf, and ``[sriov_nic]`` of Neutron's SR-IOV agent: its options, and the settings from them.

The lists of devices use the syntax of that agent and of Nova, so that the same lines work for all three. If ours are
not set, those of the agent's file are used, if it is given as a further ``--config-file``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from oslo_config import cfg

from kuryr_libnetwork.config.reader import Reader
from kuryr_libnetwork.model.settings import SriovSettings
from kuryr_libnetwork.rules.device_spec import parse_device_spec
from kuryr_libnetwork.rules.pci import parse_exclusions, parse_mappings

SECTION = "sriov"
AGENT_SECTION = "sriov_nic"
T = TypeVar("T")


def options() -> list[cfg.Opt]:
    """``[sriov]``, new in 19."""
    return [*_device_options(), *_permissions(), *_behaviour()]


def agent_options() -> list[cfg.Opt]:
    """The options that are read from the file of Neutron's SR-IOV agent, under its names."""
    names = ("physical_device_mappings", "exclude_devices")
    return [cfg.ListOpt(name, default=[], mutable=True) for name in names]


def _device_options() -> list[cfg.Opt]:
    return [
        cfg.ListOpt(
            "physical_device_mappings",
            default=[],
            mutable=True,
            help="Which PF is on which physical network, as for Neutron's SR-IOV agent: PHYSICAL_NETWORK:DEVICE, "
            "comma-separated, for example physnet2:eth3,physnet2:eth4. Not set: the same option of [sriov_nic], "
            "if the agent's file is given as a further --config-file. Without any mapping and device_spec the VFs "
            "of every PF may be used that carries no default route, not even through a bond, a bridge or a VLAN "
            "device. New in 19.",
        ),
        cfg.ListOpt(
            "exclude_devices",
            default=[],
            mutable=True,
            help="VFs that are not to be used, as for Neutron's SR-IOV agent: DEVICE:PCI;PCI, comma-separated, DEVICE "
            "being the PF, for example eth3:0000:07:00.2;0000:07:00.3. Not set: the same option of [sriov_nic], "
            "likewise. New in 19.",
        ),
        cfg.MultiStrOpt(
            "device_spec",
            default=[],
            mutable=True,
            help="VFs that may be used, as for Nova: a JSON object with vendor_id, product_id, address or devname, "
            'physical_network, trusted, for example {"vendor_id": "8086", "physical_network": "physnet2"}. May be '
            "repeated. New in 19.",
        ),
    ]


def _permissions() -> list[cfg.Opt]:
    return [
        cfg.BoolOpt(
            "allow_direct_physical",
            default=False,
            help="Let ports of vnic_type direct-physical take a whole PF away from the host. New in 19.",
        ),
        cfg.ListOpt(
            "allow_trust",
            default=[],
            mutable=True,
            help="Physical networks on which a port may ask for a trusted VF, which may change its MAC and be "
            "promiscuous. A key 'trusted' in the VF's entry of device_spec overrides this. New in 19.",
        ),
        cfg.BoolOpt(
            "allow_vfio",
            default=False,
            help="Let containers get VFs that are bound to vfio-pci: a lease, but no network device. New in 19.",
        ),
    ]


def _behaviour() -> list[cfg.Opt]:
    return [
        cfg.StrOpt(
            "selection_policy",
            choices=[("spread", "from the PF with the most free VFs"), ("pack", "from the PF with the fewest")],
            ignore_case=True,
            default="spread",
            help="Which VF a container gets that names none. New in 19.",
        ),
        cfg.StrOpt(
            "rebind_policy",
            choices=[
                ("always", "before every use and after it"),
                ("if-needed", "after a container has had it, and where the device is lost or has the wrong MAC"),
                ("never", "a lost device is quarantined, and what a container set by ethtool stays"),
            ],
            ignore_case=True,
            default="if-needed",
            help="When a VF is reset by unbinding it from its driver and binding it again. New in 19.",
        ),
        cfg.FloatOpt(
            "carrier_timeout",
            min=0,
            max=60,
            default=5,
            help="Seconds for which the start of a container waits for the carrier of its VF; 0: no wait. New in 19.",
        ),
        cfg.StrOpt(
            "unsupported_policy",
            choices=[
                ("error", "the container does not start"),
                ("warn", "it starts, and the log says what is missing"),
            ],
            ignore_case=True,
            default="error",
            help="What happens if a port asks for what it cannot have: a setting that the NIC's driver does not "
            "support, trust that neither allow_trust nor device_spec allows, an MTU above the PF's. New in 19.",
        ),
    ]


# -- reading -----------------------------------------------------------------------------------------------------


def settings(reader: Reader) -> SriovSettings:
    """Raises :class:`~kuryr_libnetwork.errors.ConfigError`, naming file, section, option and what is allowed."""

    def get(name: str) -> str:
        return str(reader.get(name, SECTION)).lower()

    mappings = _device_list(reader, "physical_device_mappings", parse_mappings)
    exclusions = _device_list(reader, "exclude_devices", parse_exclusions)
    _warn_of_idle_exclusions(reader, mappings, exclusions)
    return SriovSettings(
        mappings=mappings,
        exclusions=exclusions,
        specs=tuple(parse_device_spec(_place(reader, "device_spec", SECTION), reader.get("device_spec", SECTION))),
        allow_direct_physical=reader.get("allow_direct_physical", SECTION),
        allow_trust=frozenset(reader.get("allow_trust", SECTION)),
        allow_vfio=reader.get("allow_vfio", SECTION),
        agents_own=bool(mappings) and not reader.origin("physical_device_mappings", SECTION),
        selection=get("selection_policy"),  # type: ignore[arg-type]  # oslo.config has checked it
        rebind=get("rebind_policy"),  # type: ignore[arg-type]
        carrier_timeout=float(reader.get("carrier_timeout", SECTION)),
        unsupported=get("unsupported_policy"),  # type: ignore[arg-type]
    )


def _device_list(reader: Reader, name: str, parse: Callable[[str, Iterable[str]], T]) -> T:
    """Our list if it is set, even if empty; otherwise the agent's."""
    section = SECTION if reader.origin(name, SECTION) else AGENT_SECTION
    return parse(_place(reader, name, section), reader.get(name, section))


def _place(reader: Reader, name: str, section: str) -> str:
    where = reader.origin(name, section)
    return f"{where.place} {where.option}" if where else f"[{section}] {name}"


def _warn_of_idle_exclusions(
    reader: Reader, mappings: dict[str, tuple[str, ...]], exclusions: dict[str, frozenset[str]]
) -> None:
    mapped = {device for devices in mappings.values() for device in devices}
    for device in sorted(set(exclusions) - mapped if mapped else ()):
        reader.warn(f"exclude_devices names {device}, which physical_device_mappings does not")

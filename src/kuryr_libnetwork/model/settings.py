# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration as frozen, typed values: the only form in which it leaves :mod:`.config`.

A leaf, so that services and drivers can take the part they need without importing oslo.config.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kuryr_libnetwork.model.records import PoolSize
from kuryr_libnetwork.model.value import IpVersion, Value

Scope = Literal["local", "global"]
EndpointType = Literal["public", "internal", "admin"]
Selection = Literal["spread", "pack"]
Rebind = Literal["always", "if-needed", "never"]
Unsupported = Literal["error", "warn"]


class TcpSettings(Value, frozen=True):
    """Where to listen on TCP. ``certificate`` and ``key`` are both set (TLS) or both ``None`` (plain, loopback only).

    ``client_ca``: clients have to show a certificate signed by this authority. Without it only root and ``users`` (ids)
    of this host are served; ``None``: all users.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    users: frozenset[int] | None = frozenset()


class PluginSettings(Value, frozen=True):
    """``[DEFAULT]``: the service itself and what it tells Docker.

    ``docker_socket`` is ``None`` if Docker's Engine API is not to be asked; ``reconcile_interval`` is 0 if the
    reconciler runs only at the start.
    """

    host: str
    state_path: Path
    socket_path: Path
    tcp: TcpSettings | None
    docker_socket: Path | None
    worker_threads: int
    reconcile_interval: int
    reconcile_grace: int
    capability_scope: Scope
    local_default_address_space: str
    global_default_address_space: str
    enabled_port_drivers: tuple[str, ...]
    default_port_driver: str
    process_external_connectivity: bool
    subnetpool_name_prefix: str
    bindir: Path
    debug: bool


class NeutronSettings(Value, frozen=True):
    """``[neutron]`` without the credentials, which keystoneauth reads itself.

    ``vif_plugging_timeout`` is the effective limit, never 0: 0 ("no limit") in the file becomes ``VIF_TIMEOUT_CAP``.
    """

    timeout: float
    enable_dhcp: bool
    default_subnetpool_v4: str
    default_subnetpool_v6: str
    vif_plugging_is_fatal: bool
    vif_plugging_timeout: int
    agent_alive_timeout: int
    region_name: str | None
    endpoint_type: EndpointType


class BindingSettings(Value, frozen=True):
    """``[binding]``: how a port becomes an interface. Driver names are module paths or bare names, as written.

    ``script_vif_types``: types for which the script in ``bindir`` is run although the service could do it itself.
    """

    veth_dst_prefix: str
    default_driver: str
    enabled_drivers: tuple[str, ...]
    link_iface: str
    script_vif_types: tuple[str, ...] = ()


class OvsSettings(Value, frozen=True):
    """``[ovs]``: Open vSwitch's configuration database."""

    ovsdb_connection: str
    ovsdb_timeout: int


class DeviceSpec(Value, frozen=True):
    """One entry of ``device_spec``. Empty members match everything; ``address`` holds one pattern per part.

    ``regular``: they are regular expressions. ``remote_managed``: what it fits is not for us. ``trusted``: whether what
    it fits may be trusted; ``None``: it does not say.
    """

    vendor_id: str = "*"
    product_id: str = "*"
    devname: str = ""
    address: tuple[str, str, str, str] = ("*", "*", "*", "*")
    regular: bool = False
    physical_network: str = ""
    remote_managed: bool = False
    trusted: bool | None = None


class DevicePolicy(Value, frozen=True):
    """Which PFs and VFs the operator allows.

    ``mappings``: physical network -> names of its PFs; ``exclusions``: name of a PF -> addresses of VFs that are not
    for us; ``agents_own``: the mappings are those of Neutron's agent, from its own file.
    """

    mappings: dict[str, tuple[str, ...]] = {}
    exclusions: dict[str, frozenset[str]] = {}
    specs: tuple[DeviceSpec, ...] = ()
    allow_vfio: bool = False
    allow_direct_physical: bool = False
    selection: Selection = "spread"
    agents_own: bool = False

    @property
    def networks(self) -> frozenset[str]:
        """The physical networks that this host has devices on."""
        return frozenset(self.mappings) | {spec.physical_network for spec in self.specs if spec.physical_network}

    @property
    def speaks(self) -> bool:
        """Whether the operator mapped any device to a physical network."""
        return bool(self.mappings or self.specs)


class SriovSettings(DevicePolicy, frozen=True):
    """``[sriov]``: the policy, and how the devices that it allows are used.

    ``allow_trust``: physical networks whose ports may ask for a trusted VF, where ``device_spec`` does not say it of
    the VF; ``carrier_timeout`` in seconds.
    """

    allow_trust: frozenset[str] = frozenset()
    rebind: Rebind = "if-needed"
    carrier_timeout: float = 5.0
    unsupported: Unsupported = "error"


class AdminSettings(Value, frozen=True):
    """``[admin]``: where the service tells how it is. ``listen``: loopback address and port."""

    socket: Path | None = None
    listen: tuple[str, int] | None = None


class PortPoolSettings(Value, frozen=True):
    """``[port_pool]``. ``default``: for networks without ``kuryr.port_pool``. ``min_auto``: the least that ``auto``
    keeps ready. The maxima count ports that no container has. ``cooling``: seconds.
    """

    default: PoolSize = 0
    min_auto: int = 2
    max_per_network: int = 20
    max_per_host: int = 100
    cooling: float = 130.0


class Settings(Value, frozen=True):
    plugin: PluginSettings
    neutron: NeutronSettings
    binding: BindingSettings
    ovs: OvsSettings
    sriov: SriovSettings = SriovSettings()
    admin: AdminSettings = AdminSettings()
    port_pool: PortPoolSettings = PortPoolSettings()


class ServiceSettings(Value, frozen=True):
    """Named as in kuryr.conf. ``lock_timeout``: seconds that a call waits for another call on the same object."""

    host: str
    subnetpool_name_prefix: str = "kuryrPool"
    default_subnetpool_v4: str = "kuryr"
    default_subnetpool_v6: str = "kuryr6"
    enable_dhcp: bool = True
    veth_dst_prefix: str = "eth"
    process_external_connectivity: bool = True
    vif_plugging_is_fatal: bool = False
    vif_plugging_timeout: float = 60.0
    agent_alive_timeout: float = 0.0
    lock_timeout: float = 60.0
    reconcile_grace: float = 120.0
    port_pool: PortPoolSettings = PortPoolSettings()

    def default_subnetpool(self, version: IpVersion) -> tuple[str, str]:
        """Name of the default pool, and of the option that holds it."""
        if version == 4:
            return self.default_subnetpool_v4, "default_subnetpool_v4"
        return self.default_subnetpool_v6, "default_subnetpool_v6"

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which port drivers are enabled, from the names in kuryr.conf.

A driver is named by its bare name or by upstream's module path. The table here has the built-in ones; others register
a factory ``(parts: DriverParts) -> PortDriver`` as an entry point of the group ``kuryr_libnetwork.port_drivers``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from typing import NamedTuple

from kuryr_libnetwork.binding.child import KINDS, ChildBinding
from kuryr_libnetwork.errors import ConfigError, UnsupportedVif
from kuryr_libnetwork.interfaces.drivers import PortDriver
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.port_driver.drivers.nested import NestedDriver
from kuryr_libnetwork.port_driver.drivers.sriov import SriovDriver
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from kuryr_libnetwork.port_driver.drivers.vlan import VlanDriver
from kuryr_libnetwork.port_driver.parts import DriverParts


def _veth(parts: DriverParts) -> PortDriver:
    return VethDriver(*parts.veth)


def _sriov(parts: DriverParts) -> PortDriver:
    return SriovDriver(parts.sriov)


def _nested(parts: DriverParts) -> PortDriver:
    """Uses the first of its bindings that is enabled; :func:`_check_bindings` has made sure that there is one."""
    kinds = {str(kind): kind for kind in KINDS if kind in NestedDriver.bindings}
    enabled = [kinds[name] for name in parts.bindings if name in kinds] or list(kinds.values())
    return NestedDriver(parts.neutron, parts.machine, ChildBinding(parts.veth.links, enabled[0]), parts.repaired)


def _vlan(parts: DriverParts) -> PortDriver:
    return VlanDriver(parts.neutron, parts.machine, ChildBinding(parts.veth.links, "vlan"), parts.host)


Factory = Callable[[DriverParts], PortDriver]

GROUP = "kuryr_libnetwork.port_drivers"
PORT_DRIVER_PATHS = ("kuryr_libnetwork.port_driver.drivers.",)
BINDING_PATHS = ("kuryr.lib.binding.drivers.", "kuryr_libnetwork.binding.")
BUILT_IN: dict[str, Factory] = {"veth": _veth, "sriov": _sriov, "nested": _nested, "vlan": _vlan}
BINDINGS_OF: dict[str, frozenset[str]] = {
    each.name: each.bindings for each in (VethDriver, SriovDriver, NestedDriver, VlanDriver)
}

_ENABLED = "[DEFAULT] enabled_port_drivers"
_DEFAULT = "[DEFAULT] default_port_driver"
_BINDINGS = "[binding] enabled_drivers"
_BINDING = "[binding] default_driver"


class DriverRegistry:
    """Implements :class:`~kuryr_libnetwork.interfaces.drivers.Drivers`; the first
    enabled driver for a vnic_type is used.
    """

    def __init__(self, drivers: Sequence[PortDriver]) -> None:
        self._drivers = {driver.name: driver for driver in drivers}

    def for_port(self, port: Port) -> PortDriver:
        for driver in self._drivers.values():
            if port.vnic_type in driver.vnic_types:
                return driver
        whose = f" of port {port.id}" if port.id else ""
        raise UnsupportedVif(
            f"no port driver available for vnic_type {port.vnic_type}{whose}; enabled: {self._enabled()} ({_ENABLED})"
        )

    def named(self, name: str) -> PortDriver:
        if name not in self._drivers:
            raise UnsupportedVif(
                f"port driver {name}, which made an interface, is no longer enabled ({_ENABLED}); "
                f"enabled: {self._enabled()}"
            )
        return self._drivers[name]

    def all(self) -> list[PortDriver]:
        return list(self._drivers.values())

    def _enabled(self) -> str:
        return ", ".join(self._drivers)


class DriverNames(NamedTuple):
    """The four options of kuryr.conf that choose drivers, as they are written there."""

    enabled_port_drivers: Sequence[str]
    default_port_driver: str
    enabled_bindings: Sequence[str]
    default_binding: str


def build_registry(names: DriverNames, parts: DriverParts) -> DriverRegistry:
    """Resolve the names in kuryr.conf; raises :class:`~kuryr_libnetwork.errors.ConfigError` for unknown ones."""
    chosen = _bare_names([names.default_binding, *names.enabled_bindings], BINDING_PATHS)
    drivers = [_factory(name)(parts._replace(bindings=tuple(chosen))) for name in _ordered(names)]
    _check_bindings(names, {driver.name: driver.bindings for driver in drivers})
    return DriverRegistry(drivers)


def check_names(names: DriverNames) -> None:
    """The same without creating drivers, so the bindings that a third-party driver needs are not checked."""
    ordered = _ordered(names)
    for name in ordered:
        _factory(name)
    if all(name in BINDINGS_OF for name in ordered):
        _check_bindings(names, {name: BINDINGS_OF[name] for name in ordered})


def _ordered(names: DriverNames) -> list[str]:
    """The bare names, the default driver's first."""
    wanted = _bare_names(names.enabled_port_drivers, PORT_DRIVER_PATHS)
    default = _bare_name(names.default_port_driver, PORT_DRIVER_PATHS)
    for name in wanted:
        _factory(name)  # an unknown driver is reported before a default that is not in the list
    if default not in wanted:
        raise ConfigError(f"{_DEFAULT} = {names.default_port_driver}: must be one of {_ENABLED} ({', '.join(wanted)})")
    return sorted(wanted, key=lambda name: name != default)


def _factory(name: str) -> Factory:
    if name in BUILT_IN:
        return BUILT_IN[name]
    found = metadata.entry_points(group=GROUP)
    known = sorted({*BUILT_IN, *(entry.name for entry in found)})
    for entry in found:
        if entry.name == name:
            return _loaded(entry)
    raise ConfigError(f"{_ENABLED} = {name}: there is no such port driver; known: {', '.join(known)}")


def _loaded(entry: metadata.EntryPoint) -> Factory:
    try:
        factory: Factory = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{_ENABLED} = {entry.name}: {entry.value} cannot be loaded: {error}") from error
    return factory


def _check_bindings(names: DriverNames, needed: Mapping[str, frozenset[str]]) -> None:
    known = sorted(frozenset().union(*BINDINGS_OF.values(), *needed.values()))
    enabled = _bare_names(names.enabled_bindings, BINDING_PATHS)
    for name in enabled:
        if name not in known:
            raise ConfigError(f"{_BINDINGS} = {name}: there is no such binding driver; known: {', '.join(known)}")
    if _bare_name(names.default_binding, BINDING_PATHS) not in enabled:
        raise ConfigError(f"{_BINDING} = {names.default_binding}: must be one of {_BINDINGS} ({', '.join(enabled)})")
    for driver, bindings in needed.items():
        if not bindings & set(enabled):
            raise ConfigError(
                f"{_BINDINGS} = {', '.join(sorted(enabled))}: port driver {driver} needs one of "
                f"{', '.join(sorted(bindings))}"
            )


def _bare_names(names: Iterable[str], paths: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(_bare_name(name, paths) for name in names))


def _bare_name(name: str, paths: tuple[str, ...]) -> str:
    """The name without upstream's module path; any other path is kept whole, and will be unknown."""
    for path in paths:
        if name.startswith(path):
            return name.removeprefix(path)
    return name

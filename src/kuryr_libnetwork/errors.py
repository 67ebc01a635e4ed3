# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The exception tree.

Every error that a user can meet is a :class:`KuryrError`. It carries its own answer: a stable ``code`` (for tests,
logs and metrics), the HTTP ``status`` that Docker gets (400: the request or the state of the cloud does not allow it;
500: we or something below us failed; never 404, which Docker reads as "verb not served", and never Neutron's own
status), and a text of one line for people. Adapters translate foreign exceptions into this tree where they arise.
"""

from __future__ import annotations

from typing import ClassVar

from kuryr_libnetwork.text import one_line, shown


class KuryrError(Exception):
    """Root of all errors that have an answer for the user. The text becomes one short line, whatever is in it."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, text: str = "") -> None:
        super().__init__(one_line(text))


# -- what the caller asked for -----------------------------------------------------------------------------------


class InvalidRequest(KuryrError):
    """A message that does not follow the plugin protocol (empty body, wrong type, malformed id)."""

    code = "invalid-request"
    status = 400


class InvalidOption(KuryrError):
    """A ``-o``, ``--ipam-opt`` or endpoint driver option with a value that is not allowed."""

    code = "invalid-option"
    status = 400

    def __init__(self, option: str, value: object, allowed: str) -> None:
        super().__init__(f"option {shown(option)}={shown(value)}: {allowed}")
        self.option = option
        self.value = value


class UnknownObject(KuryrError):
    """Docker names a network, endpoint or pool that neither the journal nor Neutron knows."""

    code = "unknown-object"
    status = 400


class Conflict(KuryrError):
    """The request contradicts what already exists (same id with other parameters, address or port in use)."""

    code = "conflict"
    status = 400


class PortNotAdoptable(Conflict):
    """The address belongs to a Neutron port that cannot be adopted."""

    code = "port-not-adoptable"


class Busy(KuryrError):
    """Another call holds the object for longer than a caller should wait."""

    code = "busy"


# -- Neutron -----------------------------------------------------------------------------------------------------


class NeutronError(KuryrError):
    """Neutron or Keystone answered with an error, or not at all.

    ``kind``: the type in Neutron's error body; "" if there is none, or if the text explains it already.
    """

    code = "neutron"
    kind: str = ""


class NeutronUnavailable(NeutronError):
    """No usable answer: connection refused, time-out, 502-504, broken body.

    ``pause``: seconds after which the answer asks to try again; ``None`` if it does not say.
    """

    code = "neutron-unavailable"

    def __init__(self, text: str = "", pause: float | None = None) -> None:
        super().__init__(text)
        self.pause = pause


class NeutronNotFound(NeutronError):
    """404: the resource does not exist (any more)."""

    code = "neutron-not-found"
    status = 400


class NeutronConflict(NeutronError):
    """409: in use, already exists, address taken."""

    code = "neutron-conflict"
    status = 400


class NeutronChanged(NeutronConflict):
    """412: somebody has changed the resource since it was read."""

    code = "neutron-changed"


class AddressTaken(NeutronConflict):
    """Another port has the address that was asked for."""

    code = "address-taken"


class NoFreeAddress(NeutronConflict):
    """A subnet, or the user's ``--ip-range`` in it, is full."""

    code = "no-free-address"


class NeutronRefused(NeutronError):
    """Any other 4xx: Neutron does not accept what we sent; the text holds Neutron's own message."""

    code = "neutron-refused"
    status = 400


class NeutronForbidden(NeutronError):
    """401 or 403: credentials or role do not suffice."""

    code = "neutron-forbidden"


class BindingFailed(NeutronError):
    """Neutron could not bind the port to this host (``binding:vif_type`` is ``binding_failed`` or ``unbound``)."""

    code = "binding-failed"
    status = 400


class UnsupportedVif(KuryrError):
    """The port's ``binding:vif_type`` or ``binding:vnic_type`` has no driver here."""

    code = "unsupported-vif"
    status = 400


class ParentPortError(KuryrError):
    """The Neutron port of the virtual machine, as the parent of containers' ports, cannot be found or used."""

    code = "parent-port"


class NoFreeDevice(KuryrError):
    """No VF or PF can be given to the container; the text counts them and says who holds them."""

    code = "no-free-device"
    status = 400


# -- this host ---------------------------------------------------------------------------------------------------


class HostError(KuryrError):
    """The kernel, Open vSwitch or the state folder of this host failed."""

    code = "host"


class UnsafePath(HostError):
    """A file or folder that others could replace or have created, so that the service would read or write theirs."""

    code = "unsafe-path"


class LinkError(HostError):
    """A netlink operation was refused by the kernel."""

    code = "link"


class LinkNotFound(LinkError):
    """The network interface does not exist in this network namespace."""

    code = "link-not-found"


class LinkExists(LinkError):
    """A network interface of that name exists already."""

    code = "link-exists"


class DeviceError(HostError):
    """A PCI function cannot be found in sysfs, bound, unbound, or given VFs."""

    code = "device"


class BindingScriptFailed(HostError):
    """An executable of ``bindir`` ended with an error, did not end in time, or cannot be run."""

    code = "binding-script"


class OvsdbError(HostError):
    """Open vSwitch's database refused or lost a transaction."""

    code = "ovsdb"


class OvsdbUnavailable(OvsdbError):
    """Open vSwitch's database cannot be reached."""

    code = "ovsdb-unavailable"


class SwitchSilent(OvsdbError):
    """Open vSwitch's daemon (ovs-vswitchd) has not connected an interface that is in its database."""

    code = "switch-silent"


class BridgeNotFound(OvsdbError):
    """The bridge that ``vif_details`` names does not exist in Open vSwitch."""

    code = "bridge-not-found"


class JournalError(HostError):
    """The journal cannot be read or written (disk full, corrupt, wrong owner, newer version)."""

    code = "journal"


class AddressInUse(HostError):
    """Another program listens on our address; not a configuration error, because it may be temporary."""

    code = "address-in-use"


class EngineUnavailable(HostError):
    """Docker's Engine API gave no usable answer."""

    code = "engine-unavailable"


# -- start-up ----------------------------------------------------------------------------------------------------


class ConfigError(KuryrError):
    """A configuration value stops the start; the text names file, section, option and what is allowed."""

    code = "config"

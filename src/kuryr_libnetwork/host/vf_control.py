# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of VFs at their PF, by rtnetlink.

Several attributes in one message are not atomic (the first ones stay if a later one is refused), so each has a message
of its own, and failures are undone here. The VLAN is sent as ``IFLA_VF_VLAN``: its list form, which 802.1ad needs, is
too short in pyroute2 for kernels since 6.9.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from kuryr_libnetwork.errors import LinkError
from kuryr_libnetwork.host.netlink import NOT_SUPPORTED, Connect, find, netlink, refusal, translated
from kuryr_libnetwork.model.sriov import LinkState, VfSettings, unchanged
from kuryr_libnetwork.undo import Undo

EXT_MASK = 1 | 8
"""``RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS``: with statistics the list outgrows its 16 bit length at about
200 VFs.
"""
UNKNOWN = 0xFFFFFFFF
LINK_STATES: tuple[LinkState, ...] = ("auto", "enable", "disable")
MAX_VLAN = 4094
MAX_QOS = 7
MAX_RATE = 0xFFFFFFFF
"""The largest rate that a message can hold, in Mbit/s."""


class _Attribute(NamedTuple):
    label: str
    value: Callable[[VfSettings], Any]
    """The value to compare and show; ``None``: not known or not wanted."""
    message: Callable[[VfSettings], dict[str, Any]]
    """The attribute's message; built for each request, because pyroute2 changes it."""
    default: Any


def _rates(settings: VfSettings) -> tuple[int, int] | None:
    if settings.min_tx_rate is None and settings.max_tx_rate is None:
        return None
    return settings.min_tx_rate or 0, settings.max_tx_rate or 0


def _rate_message(settings: VfSettings) -> dict[str, Any]:
    """Both rates, because a missing one would become 0."""
    return {"rate": {"min_tx_rate": settings.min_tx_rate or 0, "max_tx_rate": settings.max_tx_rate or 0}}


RATES = _Attribute("minimum and maximum rate", _rates, _rate_message, (0, 0))
ORDER = (
    _Attribute(
        "VLAN and priority", lambda s: (s.vlan, s.qos), lambda s: {"vlan": {"vlan": s.vlan, "qos": s.qos}}, (0, 0)
    ),
    _Attribute("MAC", lambda s: s.mac, lambda s: {"mac": s.mac}, None),
    _Attribute("trust", lambda s: s.trust, lambda s: {"trust": int(bool(s.trust))}, False),
    _Attribute("spoofchk", lambda s: s.spoofchk, lambda s: {"spoofchk": int(bool(s.spoofchk))}, False),
    RATES,
    _Attribute(
        "link state",
        lambda s: s.link_state,
        lambda s: {"link_state": LINK_STATES.index(s.link_state or "auto")},
        "auto",
    ),
)


class KernelVfControl:
    """Implements :class:`~kuryr_libnetwork.interfaces.sriov.VfControl`."""

    def __init__(self, connect: Connect = netlink) -> None:
        self._connect = connect

    def read(self, pf_netdev: str, index: int) -> VfSettings:
        with self._connect(f"read the settings of VF {index} of {pf_netdev}") as socket:
            return _Vf(socket, pf_netdev, index).read()

    def apply(self, pf_netdev: str, index: int, wanted: VfSettings) -> VfSettings:
        _check(pf_netdev, index, wanted)
        with self._connect(f"set up VF {index} of {pf_netdev}") as socket:
            vf = _Vf(socket, pf_netdev, index)
            before = vf.read()
            wanted = _completed(wanted, before)
            with Undo() as undo:
                for attribute in ORDER:
                    vf.change(attribute, before, wanted, undo)
                found = vf.read()
                vf.compare(found, wanted)
            return found


class _Vf:
    def __init__(self, socket: Any, pf_netdev: str, index: int) -> None:
        self._socket = socket
        self._index = index
        self._pf = pf_netdev
        self._pf_index = int(self._message()["index"])

    def _message(self) -> Any:
        message = find(self._socket, self._pf, ext_mask=EXT_MASK)
        if message is None:
            raise translated(f"find PF {self._pf}", errno.ENODEV)
        return message

    def read(self) -> VfSettings:
        listed = self._message().get_attr("IFLA_VFINFO_LIST")
        for info in listed.get_attrs("IFLA_VF_INFO") if listed is not None else []:
            if info.get_attr("IFLA_VF_MAC")["vf"] == self._index:
                return _settings(info)
        raise LinkError(f"PF {self._pf} has no VF {self._index}")

    def change(self, attribute: _Attribute, before: VfSettings, wanted: VfSettings, undo: Undo) -> None:
        value = attribute.value(wanted)
        if value is None or value == attribute.value(before):
            return
        code = refusal(partial(self._send, attribute, wanted))
        if code in NOT_SUPPORTED and value == attribute.default:
            return
        if code:
            error = translated(f"set {attribute.label} of VF {self._index} of {self._pf} to {value}", code)
            if attribute is RATES and code == errno.EINVAL:
                raise LinkError(f"{error}; {self._why_no_rate(before, wanted)}")
            raise error
        if attribute.value(before) is not None:
            undo.add(f"put back {attribute.label}", partial(self._put_back, attribute, before))

    def _why_no_rate(self, before: VfSettings, wanted: VfSettings) -> str:
        """Why a rate was refused. Drivers have one error for every reason, so it is tried without the minimum."""
        if not wanted.min_tx_rate:
            return "the rate is above the speed of the PF's link, or the PF has no link"
        if refusal(partial(self._send, RATES, replace(wanted, min_tx_rate=0))):
            return "a rate is above the speed of the PF's link, the PF has no link, or its driver has no minimum rate"
        self._put_back(RATES, before)
        return "the PF's driver has no minimum rate"

    def compare(self, found: VfSettings, wanted: VfSettings) -> None:
        if unchanged(found, wanted):
            return
        for attribute in ORDER:
            left, right = attribute.value(found), attribute.value(wanted)
            if left is not None and right is not None and left != right:
                where = f"VF {self._index} of {self._pf}"
                raise LinkError(f"{attribute.label} of {where} is {left} after it was set to {right}")

    def _put_back(self, attribute: _Attribute, before: VfSettings) -> None:
        if code := refusal(partial(self._send, attribute, before)):
            raise translated(f"put back {attribute.label} of VF {self._index} of {self._pf}", code)

    def _send(self, attribute: _Attribute, settings: VfSettings) -> None:
        self._socket.link("set", index=self._pf_index, vf={"vf": self._index, **attribute.message(settings)})


def _check(pf_netdev: str, index: int, wanted: VfSettings) -> None:
    """Refuse what the kernel accepts without meaning: VLAN 4095, and a priority without a VLAN, which it drops."""
    if not 0 <= wanted.vlan <= MAX_VLAN or not 0 <= wanted.qos <= (MAX_QOS if wanted.vlan else 0):
        text = f"VLAN must be 0 to {MAX_VLAN}, priority 0 to {MAX_QOS} and only with a VLAN"
        what = f"VLAN {wanted.vlan} and priority {wanted.qos}"
        raise LinkError(f"cannot set {what} of VF {index} of {pf_netdev}: {text}")
    rates = [rate for rate in (wanted.min_tx_rate, wanted.max_tx_rate) if rate is not None]
    if not all(0 <= rate <= MAX_RATE for rate in rates):
        raise LinkError(f"cannot set rates {rates} of VF {index} of {pf_netdev}: must be 0 to {MAX_RATE} Mbit/s")
    if wanted.max_tx_rate and (wanted.min_tx_rate or 0) > wanted.max_tx_rate:
        raise LinkError(f"cannot set rates {rates} of VF {index} of {pf_netdev}: the minimum is above the maximum")


def _completed(wanted: VfSettings, before: VfSettings) -> VfSettings:
    """The settings with both rates, which are set together: one that is not asked for keeps its value."""
    if wanted.min_tx_rate is None and wanted.max_tx_rate is None:
        return replace(wanted, mac=wanted.mac.lower())
    low = before.min_tx_rate if wanted.min_tx_rate is None else wanted.min_tx_rate
    high = before.max_tx_rate if wanted.max_tx_rate is None else wanted.max_tx_rate
    return replace(wanted, mac=wanted.mac.lower(), min_tx_rate=low, max_tx_rate=high)


def _settings(info: Any) -> VfSettings:
    vlan = info.get_attr("IFLA_VF_VLAN") or {}
    rate = info.get_attr("IFLA_VF_RATE") or {}
    state = _known(info, "link_state")
    return VfSettings(
        mac=info.get_attr("IFLA_VF_MAC")["mac"],
        vlan=vlan.get("vlan", 0),
        qos=vlan.get("qos", 0),
        spoofchk=_switch(info, "spoofchk"),
        trust=_switch(info, "trust"),
        link_state=LINK_STATES[state] if state is not None and state < len(LINK_STATES) else None,
        min_tx_rate=rate.get("min_tx_rate"),
        max_tx_rate=rate.get("max_tx_rate"),
    )


def _known(info: Any, name: str) -> int | None:
    found = info.get_attr(f"IFLA_VF_{name.upper()}")
    return None if found is None or found[name] == UNKNOWN else int(found[name])


def _switch(info: Any, name: str) -> bool | None:
    value = _known(info, name)
    return None if value is None else bool(value)

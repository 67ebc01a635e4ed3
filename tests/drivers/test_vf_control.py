# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of VFs: which messages the kernel gets, in which order, and what is put back when one is refused."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.errors import LinkError, LinkNotFound
from kuryr_libnetwork.host.netlink import ENOTSUPP
from kuryr_libnetwork.host.vf_control import KernelVfControl
from kuryr_libnetwork.model.sriov import VfSettings

UNKNOWN = 0xFFFFFFFF
PLAIN = VfSettings(
    mac="00:00:00:00:00:00",
    spoofchk=True,
    trust=False,
    link_state="auto",
    min_tx_rate=0,
    max_tx_rate=0,
)
FULL = VfSettings(
    mac="fa:16:3e:00:00:01",
    vlan=100,
    qos=3,
    spoofchk=False,
    trust=True,
    link_state="enable",
    min_tx_rate=10,
    max_tx_rate=100,
)
MACS = "IFLA_VF_MAC"


class Message(dict[str, Any]):
    """What pyroute2 answers with, as far as it is asked."""

    def __init__(self, attributes: list[tuple[str, Any]], **fields: int) -> None:
        super().__init__(fields)
        self._attributes = attributes

    def get_attr(self, name: str) -> Any:
        return next(iter(self.get_attrs(name)), None)

    def get_attrs(self, name: str) -> list[Any]:
        return [value for key, value in self._attributes if key == name]


class Kernel:
    """A PF ``pf0`` with two VFs, as its driver would answer. ``refused``: error number by attribute (and value)."""

    def __init__(self) -> None:
        fields = {"mac": PLAIN.mac, "vlan": 0, "qos": 0, "spoofchk": 1, "trust": 0, "link_state": 0}
        self.vfs: list[dict[str, Any]] = [fields | {"min_tx_rate": 0, "max_tx_rate": 0} for _ in range(2)]
        self.refused: dict[object, int] = {}
        self.ignored: set[str] = set()
        self.sent: list[dict[str, Any]] = []
        self.masks: set[int] = set()

    @contextmanager
    def connect(self, task: str) -> Iterator[Any]:
        yield self

    def link(self, command: str, **options: Any) -> list[Message]:
        from pyroute2.netlink.exceptions import NetlinkError

        if command == "get":
            self.masks.add(options["ext_mask"])
            if options["ifname"] != "pf0":
                raise NetlinkError(errno.ENODEV)
            listed = Message([("IFLA_VF_INFO", self._info(number)) for number in range(len(self.vfs))])
            return [Message([("IFLA_IFNAME", "pf0"), ("IFLA_VFINFO_LIST", listed)], index=7)]
        assert options["index"] == 7
        vf = options.pop("vf")
        number = vf.pop("vf")
        self.sent.append(msgspec.json.decode(msgspec.json.encode(vf)))
        (name, value), *more = vf.items()
        assert not more
        code = self.refused.get(name) or self.refused.get((name, msgspec.json.encode(value).decode()))
        if code:
            raise NetlinkError(code)
        if name not in self.ignored:
            self.vfs[number] |= value if isinstance(value, dict) else {name: value}
        vf.clear()
        if isinstance(value, dict):
            value.clear()
        return []

    def _info(self, number: int) -> Message:
        vf = self.vfs[number]
        groups = {name: [name] for name in ("mac", "spoofchk", "trust", "link_state")}
        groups |= {"vlan": ["vlan", "qos"], "rate": ["min_tx_rate", "max_tx_rate"]}
        names = [(group, members) for group, members in groups.items() if members[0] in vf]
        found = [(f"IFLA_VF_{group.upper()}", {"vf": number} | {m: vf[m] for m in members}) for group, members in names]
        return Message(found)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def control(kernel: Kernel) -> KernelVfControl:
    return KernelVfControl(kernel.connect)


def test_everything_is_set_one_by_one_and_in_order(kernel: Kernel, control: KernelVfControl) -> None:
    """A refused attribute would leave those before it in the same message, or spoofchk would check the old MAC."""
    assert control.apply("pf0", 1, FULL) == FULL
    assert kernel.sent == [
        {"vlan": {"vlan": 100, "qos": 3}},
        {"mac": "fa:16:3e:00:00:01"},
        {"trust": 1},
        {"spoofchk": 0},
        {"rate": {"min_tx_rate": 10, "max_tx_rate": 100}},
        {"link_state": 1},
    ]
    assert control.read("pf0", 0) == PLAIN


def test_what_is_as_wanted_is_not_sent(kernel: Kernel, control: KernelVfControl) -> None:
    """A running VF would be reset by some drivers each time its settings are looked over."""
    control.apply("pf0", 1, FULL)
    kernel.sent.clear()
    assert control.apply("pf0", 1, msgspec.structs.replace(FULL, mac="FA:16:3E:00:00:01")) == FULL
    assert kernel.sent == []


def test_what_is_not_wanted_is_left_alone(kernel: Kernel, control: KernelVfControl) -> None:
    """A port without an opinion about trust would take it from a VF that an operator gave it to."""
    control.apply("pf0", 1, FULL)
    kernel.sent.clear()
    control.apply("pf0", 1, VfSettings(mac=FULL.mac, vlan=7))
    assert kernel.sent == [{"vlan": {"vlan": 7, "qos": 0}}]


def test_one_rate_keeps_the_other(kernel: Kernel, control: KernelVfControl) -> None:
    """Setting a guaranteed rate would lift the limit."""
    control.apply("pf0", 1, FULL)
    found = control.apply("pf0", 1, VfSettings(mac=FULL.mac, vlan=100, qos=3, max_tx_rate=50))
    assert (found.min_tx_rate, found.max_tx_rate) == (10, 50)


def test_statistics_are_never_asked_for(kernel: Kernel, control: KernelVfControl) -> None:
    """With many VFs the kernel could not answer at all."""
    control.read("pf0", 0)
    assert kernel.masks == {9}


@pytest.mark.parametrize("name", ["spoofchk", "trust", "link_state"])
def test_an_unknown_attribute_reads_as_none(kernel: Kernel, control: KernelVfControl, name: str) -> None:
    """A driver's "I do not know" would be taken for "on"."""
    kernel.vfs[0][name] = UNKNOWN
    assert getattr(control.read("pf0", 0), name) is None


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, ENOTSUPP])
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("spoofchk", {"spoofchk": False}),
        ("trust", {"trust": False}),
        ("link_state", {"link_state": "auto"}),
    ],
)
def test_a_default_that_the_driver_does_not_know_is_skipped(
    kernel: Kernel, control: KernelVfControl, name: str, wanted: dict[str, Any], code: int
) -> None:
    """No container could have a VF of an igb, which knows no link state."""
    kernel.vfs[1][name] = UNKNOWN
    kernel.refused[name] = code
    assert control.apply("pf0", 1, VfSettings(mac=FULL.mac, vlan=5, **wanted)).vlan == 5


@pytest.mark.parametrize(
    ("name", "label"),
    [("trust", "trust"), ("link_state", "link state"), ("rate", "rate"), ("mac", "MAC"), ("vlan", "VLAN")],
)
def test_a_wish_that_the_driver_does_not_know_is_an_error(
    kernel: Kernel, control: KernelVfControl, name: str, label: str
) -> None:
    """A port's rate limit or VLAN would be missing without a word."""
    kernel.refused[name] = errno.EOPNOTSUPP
    before = [dict(vf) for vf in kernel.vfs]
    with pytest.raises(LinkError, match=f"{label}.* of VF 1 of pf0"):
        control.apply("pf0", 1, FULL)
    assert kernel.vfs == before


def test_a_refused_attribute_puts_the_others_back_last_first(kernel: Kernel, control: KernelVfControl) -> None:
    """A VF would stay in a tenant's VLAN though its port was never bound."""
    kernel.refused["spoofchk"] = errno.EINVAL
    with pytest.raises(LinkError, match="spoofchk of VF 1 of pf0 to False: Invalid argument"):
        control.apply("pf0", 1, FULL)
    assert kernel.sent[-3:] == [{"trust": 0}, {"mac": PLAIN.mac}, {"vlan": {"vlan": 0, "qos": 0}}]
    assert control.read("pf0", 1) == PLAIN


def test_going_back_goes_on_after_a_refusal(kernel: Kernel, control: KernelVfControl) -> None:
    """A card that refuses an empty MAC would keep the tenant's VLAN, too, and the first error would be lost."""
    kernel.refused |= {"link_state": errno.EINVAL, ("mac", f'"{PLAIN.mac}"'): errno.EADDRNOTAVAIL}
    with pytest.raises(LinkError, match="link state"):
        control.apply("pf0", 1, FULL)
    assert control.read("pf0", 1) == msgspec.structs.replace(PLAIN, mac=FULL.mac)


def test_a_setting_that_did_not_take_is_an_error(kernel: Kernel, control: KernelVfControl) -> None:
    """The driver says yes, does nothing, and the container has no network or another tenant's."""
    kernel.ignored.add("vlan")
    with pytest.raises(LinkError, match=r"VLAN .* is \(0, 0\) after it was set to \(100, 3\)"):
        control.apply("pf0", 1, FULL)
    assert control.read("pf0", 1) == PLAIN


def rate(low: int, high: int) -> tuple[str, str]:
    return "rate", msgspec.json.encode({"min_tx_rate": low, "max_tx_rate": high}).decode()


@pytest.mark.parametrize(
    ("low", "refused", "reason"),
    [
        (10, [(10, 100)], "the PF's driver has no minimum rate"),
        (10, [(10, 100), (0, 100)], "the PF has no link, or its driver has no minimum rate"),
        (0, [(0, 100)], "the rate is above the speed of the PF's link, or the PF has no link"),
    ],
)
def test_a_refused_rate_says_why(
    kernel: Kernel, control: KernelVfControl, low: int, refused: list[tuple[int, int]], reason: str
) -> None:
    """A card without a minimum rate answers "Invalid argument", and the operator would look for it in the QoS
    policy.
    """
    kernel.refused |= {rate(*each): errno.EINVAL for each in refused}
    with pytest.raises(LinkError, match=rf"minimum and maximum rate of VF 1 .*Invalid argument; .*{reason}"):
        control.apply("pf0", 1, msgspec.structs.replace(FULL, min_tx_rate=low))
    assert control.read("pf0", 1) == PLAIN


def test_a_minimum_above_the_maximum_is_said(kernel: Kernel, control: KernelVfControl) -> None:
    """Two rules of one QoS policy contradict each other: the kernel says no more than that it is invalid."""
    with pytest.raises(LinkError, match="the minimum is above the maximum"):
        control.apply("pf0", 1, msgspec.structs.replace(FULL, min_tx_rate=101))
    assert kernel.sent == []


@pytest.mark.parametrize(("vlan", "qos"), [(4095, 0), (-1, 0), (100, 8), (0, 3)])
def test_a_vlan_that_the_kernel_takes_for_something_else_is_refused(
    kernel: Kernel, control: KernelVfControl, vlan: int, qos: int
) -> None:
    """VLAN 4095 is taken and means nothing; a priority without VLAN is dropped in silence."""
    with pytest.raises(LinkError, match="VLAN must be"):
        control.apply("pf0", 1, msgspec.structs.replace(FULL, vlan=vlan, qos=qos))
    assert kernel.sent == []


def test_what_is_not_there_is_named(control: KernelVfControl) -> None:
    """An operator would look for the fault at another PF."""
    with pytest.raises(LinkNotFound, match="PF pf9"):
        control.read("pf9", 0)
    with pytest.raises(LinkError, match="PF pf0 has no VF 2"):
        control.apply("pf0", 2, FULL)


@pytest.mark.parametrize("rates", [{"max_tx_rate": 1 << 32}, {"min_tx_rate": -1}])
def test_a_rate_that_no_message_has_room_for(rates: dict[str, int]) -> None:
    """A QoS policy of an odd size would end in a traceback, and with it the enforcement for all ports."""
    kernel = Kernel()
    with pytest.raises(LinkError, match="must be 0 to 4294967295 Mbit/s"):
        KernelVfControl(kernel.connect).apply("pf0", 1, msgspec.structs.replace(FULL, **rates))
    assert kernel.sent == []

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``[sriov]`` of kuryr.conf, and what is taken from the file of Neutron's SR-IOV agent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.errors import ConfigError
from kuryr_libnetwork.model.settings import DeviceSpec, SriovSettings

LOGIN = "\n[neutron]\nauth_type = none\nendpoint = http://n:9696\n"
AGENT = "[sriov_nic]\nphysical_device_mappings = physnet9:eth9\nexclude_devices = eth9:0000:09:00.1\n[agent]\nfoo = 1\n"


@pytest.fixture(autouse=True)
def _no_other_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    for name in list(os.environ):
        if name.startswith("OS_") or name == "CAPABILITY_SCOPE":
            monkeypatch.delenv(name)


def written(folder: Path, text: str, agent: str | None = None) -> list[str]:
    ours, theirs = folder / "kuryr.conf", folder / "sriov_agent.ini"
    ours.write_text(text + LOGIN)
    if agent is None:
        return ["--config-file", str(ours)]
    theirs.write_text(agent)
    return ["--config-file", str(theirs), "--config-file", str(ours)]


def load(folder: Path, text: str, agent: str | None = None) -> SriovSettings:
    return config.load(written(folder, text, agent)).sriov


def refusal(folder: Path, text: str, agent: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, agent)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_defaults_are_safe(tmp_path: Path) -> None:
    """A host whose operator said nothing would give out PFs, trust or user-space devices."""
    found = load(tmp_path, "")
    assert found == SriovSettings()
    assert (found.allow_direct_physical, found.allow_trust, found.allow_vfio) == (False, frozenset(), False)
    assert (found.selection, found.rebind, found.unsupported) == ("spread", "if-needed", "error")
    assert found.carrier_timeout == 5.0


def test_every_option(tmp_path: Path) -> None:
    """An option of the operator would be read under another name or with another meaning."""
    text = """[sriov]
physical_device_mappings = physnet2:eth3, physnet2:eth4,physnet3:eth5
exclude_devices = eth3:0000:07:00.2;0000:07:00.3, eth4:08:00.1
device_spec = {"vendor_id": "8086", "product_id": "10CA", "physical_network": "x"}
device_spec = [{"devname": "eth3"}, {"address": "0000:07:*.1", "trusted": "true"}]
allow_direct_physical = yes
allow_trust = physnet2, physnet3
allow_vfio = true
selection_policy = Pack
rebind_policy = always
carrier_timeout = 2.5
unsupported_policy = warn
"""
    assert load(tmp_path, text) == SriovSettings(
        mappings={"physnet2": ("eth3", "eth4"), "physnet3": ("eth5",)},
        exclusions={"eth3": frozenset({"0000:07:00.2", "0000:07:00.3"}), "eth4": frozenset({"0000:08:00.1"})},
        specs=(
            DeviceSpec(vendor_id="8086", product_id="10ca", physical_network="x"),
            DeviceSpec(devname="eth3"),
            DeviceSpec(address=("0000", "07", "*", "1"), trusted=True),
        ),
        allow_direct_physical=True,
        allow_trust=frozenset({"physnet2", "physnet3"}),
        allow_vfio=True,
        selection="pack",
        rebind="always",
        carrier_timeout=2.5,
        unsupported="warn",
    )


def test_lists_of_neutrons_agent_count_where_ours_are_not_set(tmp_path: Path) -> None:
    """An operator would have to write the agent's lines twice, and the two would differ one day."""
    found = load(tmp_path, "", AGENT)
    assert found.mappings == {"physnet9": ("eth9",)}
    assert found.exclusions == {"eth9": frozenset({"0000:09:00.1"})}


def test_our_lists_win_one_by_one(tmp_path: Path) -> None:
    """Our own mapping would be lost, or would silence the agent's exclusions."""
    found = load(tmp_path, "[sriov]\nphysical_device_mappings = physnet2:eth9\n", AGENT)
    assert found.mappings == {"physnet2": ("eth9",)}
    assert found.exclusions == {"eth9": frozenset({"0000:09:00.1"})}


def test_an_empty_list_of_ours_is_set(tmp_path: Path) -> None:
    """An operator could not say that he wants none of the agent's exclusions."""
    assert load(tmp_path, "[sriov]\nexclude_devices =\n", AGENT).exclusions == {}


def test_lists_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container image could not be told its devices by the environment, as all other options can."""
    monkeypatch.setenv("OS_SRIOV__PHYSICAL_DEVICE_MAPPINGS", "physnet1:eth1")
    assert load(tmp_path, "", AGENT).mappings == {"physnet1": ("eth1",)}


def test_the_agents_file_makes_no_noise(tmp_path: Path) -> None:
    """Sections that belong to Neutron's agent would be reported as misspelt."""
    assert config.read(written(tmp_path, "", AGENT)).notices == ()


def test_exclusion_of_an_unmapped_device_is_said(tmp_path: Path) -> None:
    """A misspelt device in exclude_devices would leave its VFs in use without a word."""
    text = "[sriov]\nphysical_device_mappings = p:eth3\nexclude_devices = eth4:0000:08:00.1\n"
    said = [notice.text for notice in config.read(written(tmp_path, text)).notices]
    assert said == ["exclude_devices names eth4, which physical_device_mappings does not"]


WRONG = [
    ("physical_device_mappings = physnet2", "= physnet2: must be PHYSICAL_NETWORK:DEVICE, such as physnet2:eth3"),
    ("physical_device_mappings = p:eth3,p:eth3", "= p:eth3: is listed twice"),
    ("exclude_devices = eth3:somewhere", "= eth3:somewhere: must be DEVICE:PCI;PCI…"),
    ("device_spec = vendor", "= vendor: is not JSON"),
    ('device_spec = {"vendor": "8086"}', "vendor is not known; known are address"),
    ("allow_direct_physical = perhaps", "must be true or false"),
    ("allow_vfio = perhaps", "must be true or false"),
    ("selection_policy = best", "must be one of spread, pack"),
    ("rebind_policy = sometimes", "must be one of always, if-needed, never"),
    ("carrier_timeout = -1", "must be a number from 0 to 60"),
    ("carrier_timeout = soon", "must be a number from 0 to 60"),
    ("unsupported_policy = ignore", "must be one of error, warn"),
]


@pytest.mark.parametrize(("line", "allowed"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_value(tmp_path: Path, line: str, allowed: str) -> None:
    """A wrong value would not stop the start by naming file, section, option and what is allowed."""
    text = refusal(tmp_path, f"[sriov]\n{line}\n")
    assert text.startswith(f"{tmp_path}/kuryr.conf: [sriov] {line.partition(' ')[0]}")
    assert allowed in text


def test_wrong_value_in_the_agents_file(tmp_path: Path) -> None:
    """A mistake in the agent's file would be looked for in ours."""
    text = refusal(tmp_path, "", "[sriov_nic]\nphysical_device_mappings = nonsense\n")
    assert text.startswith(f"{tmp_path}/sriov_agent.ini: [sriov_nic] physical_device_mappings = nonsense: must be")


def test_misspelt_option(tmp_path: Path) -> None:
    """A misspelt permission would be ignored in silence."""
    said = [notice.text for notice in config.read(written(tmp_path, "[sriov]\nallow_vfoi = true\n")).notices]
    assert said == [f"{tmp_path}/kuryr.conf: [sriov] allow_vfoi: unknown option, ignored; did you mean allow_vfio?"]

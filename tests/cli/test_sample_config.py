# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from oslo_config import cfg, generator

from kuryr_libnetwork.config import options as config_opts, read as config, sriov as config_sriov

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "etc" / "kuryr.conf.sample"
OURS = {
    "DEFAULT": [*config_opts.core_options(), *config_opts.service_options()],
    "binding": config_opts.binding_options(),
    "neutron": config_opts.neutron_options(),
    "ovs": config_opts.ovs_options(),
    "sriov": config_sriov.options(),
}


def blocks(text: str) -> dict[tuple[str, str], str]:
    """Section and option, with the comment and the line that show the option."""
    found: dict[tuple[str, str], str] = {}
    section = ""
    for block in text.split("\n\n"):
        if header := re.match(r"\[(\w+)\]", block.strip()):
            section = header.group(1)
        if line := re.search(r"^#(\w+) =.*\Z", block.strip(), re.MULTILINE):
            found[section, line.group(1)] = block.strip()
    return found


def generated() -> str:
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--config-file", str(ROOT / "etc" / "kuryr-config-generator.conf")], default_config_dirs=[])
    out = io.StringIO()
    generator.generate(conf, output_file=out)
    return out.getvalue()


def test_sample_is_current() -> None:
    """Fails if etc/kuryr.conf.sample shows other options, defaults or words than the code has.

    The words of oslo.log and keystoneauth about their own options depend on their version and are not compared.
    """
    shown, fresh = blocks(SAMPLE.read_text()), blocks(generated())
    ours = {(section, option.dest) for section, options in OURS.items() for option in options}
    assert ours <= shown.keys()
    stale = {key for key in ours if shown[key] != fresh[key]}
    assert not stale, "run: oslo-config-generator --config-file etc/kuryr-config-generator.conf"


def test_sample_holds_nothing_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the sample shows an option that the service calls unknown or misspelt."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OS_KURYR_URI", raising=False)
    text = re.sub(r"^#(?=\w+ = (?!<))", "", SAMPLE.read_text(), flags=re.MULTILINE)
    text = text.replace("\n[neutron]\n", "\n[neutron]\nauth_type = none\nendpoint = http://n:9696\n")
    path = tmp_path / "kuryr.conf"
    path.write_text(text)
    said = [notice.text for notice in config.read(["--config-file", str(path)]).notices]
    assert not [line for line in said if "unknown" in line]


def test_sample_as_it_is_needs_a_login_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a copy of the sample, completed with credentials, does not load in silence."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OS_KURYR_URI", raising=False)
    text = SAMPLE.read_text().replace("\n[neutron]\n", "\n[neutron]\nauth_type = none\nendpoint = http://n:9696\n")
    path = tmp_path / "kuryr.conf"
    path.write_text(text)
    assert config.read(["--config-file", str(path)]).notices == ()

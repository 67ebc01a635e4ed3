# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Tables and options in the pages say what the code does: keys of Docker's options, commands, checks, kuryr.conf."""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cliff.command import Command

from kuryr_libnetwork.cli.kuryr import COMMANDS
from kuryr_libnetwork.cli.upgrade_checks import UpgradeFacts, judge
from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.config.options import list_opts
from kuryr_libnetwork.config.reader import Options
from kuryr_libnetwork.errors import ConfigError, InvalidOption
from kuryr_libnetwork.rules import options as rules
from kuryr_libnetwork.rules.choices import CHOICE_KEYS
from kuryr_libnetwork.rules.device_spec import parse_device_spec
from lab import managed_plugin

DOCS = Path(__file__).parents[2] / "docs"
PLACES: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], object]]] = {
    "network": (rules.KNOWN, rules.parse_network_options),
    "pool": (CHOICE_KEYS, rules.parse_pool_options),
    "container": (rules.ENDPOINT_KNOWN, rules.parse_endpoint_options),
}
FAMILY = re.compile(r"\(`([\w.]+)\.…`\)")
"""``(`neutron.subnet.v6.…`)`` behind two keys: the same two of this family."""
OPTION = re.compile(r"`\[(\w+)\](?:`\s`|\s)(\w+)")
"""As `[neutron] timeout`, or `[neutron]` `timeout`."""


def rows(page: str, heading: str, title: str = "") -> list[list[str]]:
    """The cells of the table that begins with this heading, below this title."""
    text = (DOCS / page).read_text()
    below = text[text.index(title) :]
    table = below[below.index(f"| {heading} |") :].partition("\n\n")[0]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()[2:]]


def keys_of(cell: str) -> list[str]:
    plain = re.findall(r"`([\w.]+)`", cell)
    return [*plain, *(f"{family}.{key.rpartition('.')[2]}" for family in FAMILY.findall(cell) for key in plain)]


OPTIONS = [(key, where, example) for cell, where, *_, example in rows("options.md", "key") for key in keys_of(cell)]


def test_every_key_has_one_row() -> None:
    """Users would not find an option, or find one that is refused."""
    known = {key for keys, _ in PLACES.values() for key in keys}
    assert sorted(key for key, *_ in OPTIONS if key.startswith(rules.OWN_PREFIXES)) == sorted(known)


@pytest.mark.parametrize(("key", "where", "example"), OPTIONS, ids=[key for key, *_ in OPTIONS])
def test_a_key_is_understood_where_the_table_says_and_nowhere_else(key: str, where: str, example: str) -> None:
    """A user who does what the table says would be refused."""
    shown, _, value = example.strip("`").partition("=")
    if key == shown:
        for place in where.split(", "):
            PLACES[place][1]({key: value})
    named = set(where.split(", "))
    assert named <= PLACES.keys()
    if key.startswith(rules.OWN_PREFIXES):
        for place in PLACES.keys() - named:
            with pytest.raises(InvalidOption):
                PLACES[place][1]({key: value})


# -- commands ------------------------------------------------------------------------------------------------------


def commands_of(cell: str) -> list[str]:
    """`kuryr network list`, `show NETWORK`: the second has the beginning of the first."""
    first, *others = (span.removeprefix("kuryr ") for span in re.findall(r"`([^`]+)`", cell))
    known = next(name for name in sorted(COMMANDS, key=len, reverse=True) if f"{first} ".startswith(f"{name} "))
    return [first, *(f"{known.rpartition(' ')[0]} {other}" for other in others)]


WRITTEN = [text for cell, _ in rows("operators.md", "command") for text in commands_of(cell)]


def command(text: str) -> tuple[str, type[Command]] | None:
    found = [name for name in COMMANDS if f"{text} ".startswith(f"{name} ")]
    return (found[0], COMMANDS[found[0]]) if found else None


def test_every_command_has_a_row() -> None:
    """An operator would not learn that there is such a command."""
    assert COMMANDS.keys() - {found[0] for text in WRITTEN if (found := command(text))} == set()


@pytest.mark.parametrize("text", WRITTEN)
def test_a_command_has_the_options_that_its_row_names(text: str) -> None:
    """An operator who types what the table says would get an error."""
    found = command(text)
    if found is None:  # another value of an argument, as in `kuryr log level debug`, `info`
        return
    parser: ArgumentParser = found[1](None, None).get_parser(found[0])  # type: ignore[arg-type]  # as cliff's own pages
    flags = {flag for action in parser._actions for flag in action.option_strings}
    assert set(re.findall(r"--[\w-]+", text)) <= flags


PAGES = sorted([*DOCS.rglob("*.md"), DOCS.parent / "README.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_commands_that_pages_name_exist(page: Path) -> None:
    """Whoever types what a page says would get an error."""
    text = page.read_text()
    spans = re.findall(r"`(?:sudo )?kuryr ([a-z][^`]*)`", text)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    named = [*spans, *(line.strip().removeprefix("kuryr ") for line in lines if line.strip().startswith("kuryr "))]
    known = (*COMMANDS, "complete", "help")
    assert [words for words in named if not f"{words} ".startswith(tuple(f"{name} " for name in known))] == []


@pytest.mark.parametrize(
    "page", [*PAGES, *DOCS.parent.glob("C*.md")], ids=lambda page: str(page.relative_to(DOCS.parent))
)
def test_verbs_of_dev_that_pages_name_exist(page: Path) -> None:
    """Whoever types what a page says would get an error."""
    shown = (DOCS.parent / "dev").read_text().partition("cat <<'HELP'\n")[2].partition("\nHELP\n")[0]
    verbs = {"help", *re.findall(r"^  ([a-z]+)\b", shown, re.MULTILINE)}
    assert set(re.findall(r"(?<![\w/])\./dev ([a-z]+)", page.read_text())) - verbs == set()


def test_every_check_of_the_upgrade_has_a_row() -> None:
    """An operator would look in vain for what a check means."""
    assert [check for check, _ in rows("operators.md", "check")] == [each.check for each in judge(UpgradeFacts())]


def test_every_key_of_device_spec_has_a_row() -> None:
    """An operator would not learn of a key, or use one that stops the start."""
    with pytest.raises(ConfigError) as caught:
        parse_device_spec("device_spec", ['{"nonsense": ""}'])
    known = str(caught.value).partition("known are ")[2].split(", ")
    assert sorted({key for cell, _ in rows("configuration.md", "key") for key in keys_of(cell)}) == sorted(known)


def test_the_managed_plugins_folders_and_settings_are_those_of_its_page() -> None:
    """A user of Docker would set a name that the plugin refuses, or look for a folder elsewhere."""
    config = managed_plugin.config()
    mounts = {(each["destination"], each["source"], f"{each['name']}.source=") for each in config["mounts"]}
    cells = rows("managed-plugin.md", "folder in the plugin")
    assert {tuple(re.findall(r"`([^`]+)`", cell)[0] for cell in row) for row in cells} == mounts
    settable = {each["name"] for each in config["env"] if "settable" in each}
    page = (DOCS / "managed-plugin.md").read_text()
    assert set(re.findall(r"`(OS_\w+|CAPABILITY_SCOPE)`", page)) == settable


# -- kuryr.conf ----------------------------------------------------------------------------------------------------


def known_options() -> set[tuple[str, str]]:
    """With those of oslo.log and keystoneauth."""
    ours = {(section, option.dest) for section, options in list_opts() for option in options}
    conf = config.read(["--config-file", os.devnull], login=False).conf
    assert isinstance(conf, Options)
    return ours | conf.known.keys()


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_options_that_pages_name_exist(page: Path) -> None:
    """An operator would set an option that does not exist."""
    sections = {section for section, _ in known_options()}
    named = {pair for pair in OPTION.findall(page.read_text()) if pair[0] in sections}
    assert named - known_options() == set()


def test_options_in_the_overview_exist() -> None:
    """An operator would set an option that does not exist."""
    known = {name for _, name in known_options()}
    named = {name for _, cell in rows("configuration.md", "what you want") for name in re.findall(r"`(\w+)`", cell)}
    assert len(named) > 20
    assert named - known == set()

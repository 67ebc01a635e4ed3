# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""`kolla_set_configs`: puts the files of kolla's config.json in place, and its command into /run_command.

``--check`` changes nothing; exit code 1 says that something would be changed, as kolla-ansible asks before it restarts.
"""

from __future__ import annotations

import argparse
import filecmp
import grp
import json
import os
import pwd
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

DEFAULT = "/var/lib/kolla/config_files/config.json"
COMMAND, DONE = "run_command", "configured"


class ConfigFault(Exception):
    """config.json cannot be carried out; one line."""


class Copy(NamedTuple):
    source: Path
    target: Path
    owner: tuple[int, int]
    mode: int


def main(argv: Sequence[str] | None = None, root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> int:
    parser = argparse.ArgumentParser(prog="kolla_set_configs")
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(argv).check
    try:
        config = read(root, environ)
        wanted = list(copies(config, root))
        if check:
            return int(any(differs(each) for each in wanted) or command_of(root) != config["command"])
        if environ.get("KOLLA_CONFIG_STRATEGY", "COPY_ALWAYS") == "COPY_ONCE" and (root / DONE).exists():
            return 0
        for each in wanted:
            carry_out(each)
        for entry in config.get("permissions", []):
            permit(entry, root)
        (root / COMMAND).write_text(config["command"])
        (root / DONE).touch()
    except (ConfigFault, OSError) as fault:
        print(f"kolla_set_configs: {fault}", file=sys.stderr)
        return 2
    return 0


def read(root: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    file = root / environ.get("KOLLA_CONFIG_FILE", DEFAULT).lstrip("/")
    try:
        found = json.loads(environ.get("KOLLA_CONFIG") or file.read_text())
    except ValueError as error:
        raise ConfigFault(f"{file}: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("command"), str):
        raise ConfigFault(f'{file}: must be an object with a "command"')
    return found


def copies(config: Mapping[str, Any], root: Path) -> Iterator[Copy]:
    for entry in config.get("config_files", []):
        try:
            pattern, target = entry["source"].lstrip("/"), root / entry["dest"].lstrip("/")
            owner, mode = owner_of(entry.get("owner", "root")), int(entry.get("perm", "0600"), 8)
        except (KeyError, AttributeError, ValueError, TypeError) as error:
            raise ConfigFault(f"config_files: {entry}: needs source, dest, owner and perm: {error!r}") from None
        found = sorted(root.glob(pattern))
        if not found and not entry.get("optional", False):
            raise ConfigFault(f"/{pattern}: no such file; it is to become {entry['dest']}")
        for source in found:
            into = target / source.name if entry["dest"].endswith("/") else target
            yield from _files(source, into, owner, mode)


def _files(source: Path, target: Path, owner: tuple[int, int], mode: int) -> Iterator[Copy]:
    if not source.is_dir():
        yield Copy(source, target, owner, mode)
        return
    for path in sorted(source.rglob("*")):
        if path.is_file():
            yield Copy(path, target / path.relative_to(source), owner, mode)


def owner_of(text: str) -> tuple[int, int]:
    user, _, group = text.partition(":")
    try:
        account = pwd.getpwnam(user)
        return account.pw_uid, grp.getgrnam(group).gr_gid if group else account.pw_gid
    except KeyError as error:
        raise ConfigFault(f"owner {text}: {error.args[0]}") from None


def differs(copy: Copy) -> bool:
    try:
        found = copy.target.stat()
    except FileNotFoundError:
        return True
    same = (found.st_uid, found.st_gid) == copy.owner and found.st_mode & 0o7777 == copy.mode
    return not same or not filecmp.cmp(copy.source, copy.target, shallow=False)


def carry_out(copy: Copy) -> None:
    """The file is never readable for others than its owner, and never half written."""
    copy.target.parent.mkdir(parents=True, exist_ok=True)
    draft = copy.target.with_name(f".{copy.target.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    shutil.copyfile(copy.source, draft)
    os.chown(draft, *copy.owner)
    draft.chmod(copy.mode)
    draft.replace(copy.target)


def permit(entry: Mapping[str, Any], root: Path) -> None:
    owner = owner_of(entry.get("owner", "root"))
    for path in root.glob(str(entry["path"]).lstrip("/")):
        below = path.rglob("*") if entry.get("recurse", False) and path.is_dir() else ()
        for each in (path, *below):
            os.chown(each, *owner, follow_symlinks=False)
            if "perm" in entry and not each.is_symlink():
                each.chmod(int(entry["perm"], 8) | (0o111 if each.is_dir() else 0))


def command_of(root: Path) -> str:
    file = root / COMMAND
    return file.read_text() if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())

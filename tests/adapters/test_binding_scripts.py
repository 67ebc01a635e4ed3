# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The operator's executables are run unchanged, their result counts, and the wait for them is limited."""

from __future__ import annotations

import logging
import os
import resource
import tempfile
from pathlib import Path

import pytest

from kuryr_libnetwork.errors import BindingScriptFailed
from kuryr_libnetwork.host.scripts import BindingScripts

ARGUMENTS = ("bind", "p-1", "tap1", "e-1", "fa:16:3e:00:00:01", "n-1", "", "\"{'a': 'b c', 'd': \"e\"}\"")


@pytest.fixture
def scripts(tmp_path: Path) -> BindingScripts:
    return BindingScripts(tmp_path, timeout=20)


def write(folder: Path, text: str, name: str = "sdn", mode: int = 0o755) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path


def test_every_argument_arrives_as_it_is(scripts: BindingScripts, tmp_path: Path) -> None:
    """Quotes, blanks and empty arguments would shift the script's arguments."""
    write(tmp_path, f'for each in "$@"; do printf "%s\\n" "$each"; done > {tmp_path}/seen')
    scripts.run("sdn", ARGUMENTS)
    assert (tmp_path / "seen").read_text().splitlines() == list(ARGUMENTS)


def test_exit_code_and_stderr_are_believed(scripts: BindingScripts, tmp_path: Path) -> None:
    """The container would start without a network, as with upstream's scripts, and nobody would know why."""
    path = write(tmp_path, "echo no such bridge >&2; echo noise; exit 7")
    with pytest.raises(BindingScriptFailed) as failed:
        scripts.run("sdn", ARGUMENTS)
    assert str(failed.value) == f"{path} bind p-1 ended with 7: no such bridge"


def test_a_failure_without_a_word(scripts: BindingScripts, tmp_path: Path) -> None:
    """The error message would be cut off."""
    write(tmp_path, "exit 1")
    with pytest.raises(BindingScriptFailed, match="ended with 1: nothing on stderr"):
        scripts.run("sdn", ARGUMENTS)


def test_a_long_story_is_cut_to_its_end(scripts: BindingScripts, tmp_path: Path) -> None:
    """Docker would show pages, or the line that matters would be missing."""
    write(tmp_path, "for i in $(seq 1000); do echo line $i >&2; done; exit 1")
    with pytest.raises(BindingScriptFailed, match=r"line 999 line 1000$") as failed:
        scripts.run("sdn", ARGUMENTS)
    assert len(str(failed.value)) < 600


def test_a_warning_is_logged(scripts: BindingScripts, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A script's warnings would be lost if it succeeds."""
    write(tmp_path, "echo slow today >&2")
    with caplog.at_level(logging.WARNING):
        scripts.run("sdn", ARGUMENTS)
    assert "slow today" in caplog.text


def test_one_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    """Docker would hang for ever, and each try would leave another process."""
    write(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(BindingScriptFailed, match=r"bind p-1 did not end within 0.5 s and was killed"):
        BindingScripts(tmp_path, timeout=0.5).run("sdn", ARGUMENTS)
    child = Path("/proc", (tmp_path / "child").read_text().strip(), "status")
    assert not child.exists() or "zombie" in child.read_text()


def test_a_program_that_it_leaves_running_is_not_waited_for(scripts: BindingScripts, tmp_path: Path) -> None:
    """A script that starts a daemon would time out although it has finished."""
    write(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; exit 0")
    scripts.run("sdn", ARGUMENTS)
    os.kill(int((tmp_path / "child").read_text()), 9)


def test_those_that_are_not_run_are_told(scripts: BindingScripts, tmp_path: Path) -> None:
    """An operator who has changed upstream's script would not learn that it is not run any more."""
    for name in ("ovs", "tap", "sdn"):
        write(tmp_path, "exit 0", name)
    write(tmp_path, "exit 0", "bridge", mode=0o644)
    assert scripts.unused(()) == ["ovs", "tap"]
    assert scripts.unused(("ovs",)) == ["tap"]


@pytest.mark.parametrize("name", ["absent", "../etc/passwd", "folder", ".hidden", ""])
def test_what_is_no_script(scripts: BindingScripts, tmp_path: Path, name: str) -> None:
    """A folder, a hidden file or a program elsewhere would be run as root."""
    (tmp_path / "folder").mkdir()
    write(tmp_path, "exit 0", ".hidden")
    assert scripts.get(name) == ""
    with pytest.raises(BindingScriptFailed, match="there is no executable"):
        scripts.run(name, ARGUMENTS)


def test_a_file_that_is_not_executable_is_no_script(scripts: BindingScripts, tmp_path: Path) -> None:
    """A note beside the scripts would be run."""
    write(tmp_path, "exit 0", mode=0o644)
    assert scripts.get("sdn") == ""
    write(tmp_path, "exit 0")
    assert scripts.get("sdn") == str(tmp_path / "sdn")


def test_one_that_anybody_may_change_is_not_run(scripts: BindingScripts, tmp_path: Path) -> None:
    """Any user of the host could become root."""
    write(tmp_path, "exit 0", mode=0o777)
    with pytest.raises(BindingScriptFailed, match="may be written to by others"):
        scripts.run("sdn", ARGUMENTS)


def test_one_that_cannot_be_run_is_said(scripts: BindingScripts, tmp_path: Path) -> None:
    """A missing interpreter would be an internal error."""
    path = tmp_path / "sdn"
    path.write_text("#!/nonexistent/sh\n")
    path.chmod(0o755)
    with pytest.raises(BindingScriptFailed, match="cannot be run: No such file or directory"):
        scripts.run("sdn", ARGUMENTS)


def test_no_secret_is_inherited(scripts: BindingScripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script, and all that it starts, could read the password of the cloud's administrator."""
    monkeypatch.setenv("OS_NEUTRON__PASSWORD", "S3cr3t")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("PATH", "/opt/bin:/usr/bin:/bin")
    write(tmp_path, f"/usr/bin/env -0 > {tmp_path}/seen")
    scripts.run("sdn", ARGUMENTS)
    seen = dict(each.split("=", 1) for each in (tmp_path / "seen").read_text().split("\0") if each)
    assert {"_", "PWD", "SHLVL"} >= set(seen) - {"PATH", "LANG"}  # what a shell makes itself
    assert (seen["PATH"], seen["LANG"]) == ("/opt/bin:/usr/bin:/bin", "C.UTF-8")


def test_a_path_is_there_without_one(scripts: BindingScripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that calls ip or ovs-vsctl would not find it where the service was started without PATH."""
    monkeypatch.delenv("PATH", raising=False)
    write(tmp_path, f'echo "$PATH" > {tmp_path}/seen')
    scripts.run("sdn", ARGUMENTS)
    assert {"/usr/sbin", "/sbin", "/usr/bin", "/bin"} <= set((tmp_path / "seen").read_text().strip().split(":"))


def test_no_descriptor_is_inherited(scripts: BindingScripts, tmp_path: Path) -> None:
    """The script could read the journal, or answer Docker in the place of the service."""
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        write(tmp_path, f"ls -l /proc/$$/fd > {tmp_path}/seen")
        scripts.run("sdn", ARGUMENTS)
    assert "secret" not in (tmp_path / "seen").read_text()
    assert "socket:" not in (tmp_path / "seen").read_text()


def test_what_it_says_is_not_kept_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that writes without end would fill the disk, or the memory of the service."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    write(tmp_path, "head -c 200000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 3")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BindingScriptFailed, match=r"ended with 3: x+the end$") as failed:
        BindingScripts(tmp_path, timeout=60).run("sdn", ARGUMENTS)
    assert len(str(failed.value)) < 600
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_its_words_are_on_one_line(scripts: BindingScripts, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a script says could forge a line of the log."""
    write(tmp_path, "printf 'a\\n2020-01-01 INFO forged\\033[2J' >&2")
    with caplog.at_level(logging.WARNING):
        scripts.run("sdn", ARGUMENTS)
    assert [each.getMessage().isprintable() for each in caplog.records] == [True]


def test_one_that_opens_its_standard_error_anew(scripts: BindingScripts, tmp_path: Path) -> None:
    """A script that writes to /dev/stderr, as many do, would fail or lose what it has said."""
    write(tmp_path, "echo one > /dev/stderr; echo two > /dev/stderr; exit 1")
    with pytest.raises(BindingScriptFailed, match=r"ended with 1: one two$"):
        scripts.run("sdn", ARGUMENTS)


def test_a_program_that_it_leaves_running_may_go_on_talking(scripts: BindingScripts, tmp_path: Path) -> None:
    """A daemon would be killed by the first line that it writes after the script's end."""
    said = tmp_path / "said"
    write(tmp_path, f"(read go < {tmp_path}/go; echo late >&2; echo alive > {said}) & exit 0")
    os.mkfifo(tmp_path / "go")
    os.mkfifo(said)
    scripts.run("sdn", ARGUMENTS)
    (tmp_path / "go").write_text("\n")
    assert said.read_text() == "alive\n"


@pytest.mark.parametrize("what", ["script", "folder"])
@pytest.mark.parametrize("whose", ["owner", "group"])
def test_one_that_somebody_else_may_change_is_not_run(
    scripts: BindingScripts, tmp_path: Path, what: str, whose: str
) -> None:
    """Its owner, or a member of its group, could become root."""
    if os.geteuid():
        pytest.skip("giving files to others needs root")
    path = write(tmp_path, "exit 0")
    path = path if what == "script" else tmp_path
    if whose == "owner":
        os.chown(path, 65534, 0)
    else:
        path.chmod(0o775)
    with pytest.raises(BindingScriptFailed, match=rf"sdn is not run: {path} (belongs to nobody|may be written to)"):
        scripts.run("sdn", ARGUMENTS)


def test_a_link_of_root_to_a_script_is_run(scripts: BindingScripts, tmp_path: Path) -> None:
    """Scripts that are kept elsewhere and linked to would not be run any more."""
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere", f"touch {tmp_path}/seen", "real")
    (tmp_path / "sdn").symlink_to("elsewhere/real")
    scripts.run("sdn", ARGUMENTS)
    assert (tmp_path / "seen").exists()
    (tmp_path / "elsewhere" / "real").chmod(0o757)
    with pytest.raises(BindingScriptFailed, match="elsewhere/real may be written to by others"):
        scripts.run("sdn", ARGUMENTS)

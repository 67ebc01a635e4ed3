# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What kuryr-server does on signals that do not end it: SIGHUP, SIGUSR1, SIGUSR2."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import IO

import pytest

from tests.conversation.transport.test_server_process import Server, Start, call, configure, folder, frame, start
from tests.fakes.keystone import credentials

__all__ = ["folder", "start"]


def ended(server: Server) -> tuple[str, str]:
    """What it wrote, once it has ended well."""
    server.process.send_signal(signal.SIGTERM)
    code, out, err = server.end()
    assert code == 0, out + err
    return out, err


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_question_is_no_end(folder: Path, start: Start, number: signal.Signals) -> None:
    """Fails if the service dies, or stops to answer Docker, when it is asked for a report or to read its files
    again.
    """
    server = start(*configure(folder))
    assert server.told() == "READY=1"
    server.process.send_signal(number)
    assert call(folder, "Plugin.Activate")[0] == 200
    server.process.send_signal(number)
    assert call(folder, "Plugin.Activate")[0] == 200
    ended(server)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_question_while_it_starts_is_no_end(folder: Path, start: Start, number: signal.Signals) -> None:
    """Fails if a signal kills a service that is still starting."""
    server = start(*configure(folder), program=frame(build=f"import os; os.kill(os.getpid(), {number:d})"))
    assert server.told() == "READY=1"
    ended(server)


def test_the_end_does_not_take_the_interpreter_down(folder: Path, start: Start) -> None:
    """Fails if threads that nobody waits for may meet an interpreter in pieces: now and then they crash it."""
    serve = "import atexit, os; atexit.register(os._exit, 7); self.over.wait()"
    server = start(*configure(folder), program=frame(serve=serve))
    assert server.told() == "READY=1"
    ended(server)


ASKS = """import os
        os.kill(os.getpid(), {})
        self.over.wait()"""


def answered(server: Server, stream: IO[str] | None, words: str) -> tuple[str, str]:
    """What it wrote until it ended, which it is told once it has begun to say this."""
    assert stream is not None
    assert server.told() == "READY=1"
    begin = ""
    while words not in begin:
        part = os.read(stream.fileno(), 65536).decode()  # not by the stream: it would keep what communicate() wants
        assert part, begin
        begin += part
    out, err = ended(server)
    return (begin + out, err) if stream is server.process.stdout else (out, begin + err)


def test_hangup_takes_over_the_log_level(folder: Path, start: Start) -> None:
    """Fails if an operator has to restart the service to see more of what it does."""
    words = configure(folder)
    path = Path(words[1])
    program = f"""import pathlib
        path = pathlib.Path({str(path)!r})
        others = path.read_text().removeprefix("[DEFAULT]\\n")
        path.write_text("[DEFAULT]\\ndebug = true\\nworker_threads = 7\\n" + others)
        {ASKS.format(int(signal.SIGHUP))}"""
    server = start(*words, program=frame(serve=program, stop="import logging; logging.debug('seen'); self.over.set()"))
    out, err = answered(server, server.process.stdout, "taken over")
    assert "SIGHUP: [DEFAULT] debug taken over" in out
    assert [line for line in out.splitlines() if "worker_threads" in line] == [
        next(
            line
            for line in out.splitlines()
            if "SIGHUP: [DEFAULT] worker_threads has changed: that takes a restart" in line
        )
    ]
    assert "DEBUG root seen" in out
    assert err == ""


def test_hangup_hands_the_new_lists_of_devices_to_the_service(folder: Path, start: Start) -> None:
    """Fails if a card that was added needs a restart, or if what is not taken over is not told."""
    words = configure(folder)
    program = f"open({words[1]!r}, 'a').write('[sriov]\\nphysical_device_mappings = net:pf7\\n')\n        "
    reload = "[f'refused {sorted(settings.sriov.mappings)}']"
    server = start(*words, program=frame(serve=program + ASKS.format(int(signal.SIGHUP)), reload=reload))
    out, err = answered(server, server.process.stdout, "refused")
    assert "SIGHUP: [sriov] physical_device_mappings taken over" in out
    assert "SIGHUP: refused ['net']" in out
    assert (err, [line for line in out.splitlines() if "restart" in line]) == ("", [])


def test_hangup_with_a_wrong_value_changes_nothing(folder: Path, start: Start) -> None:
    """Fails if half of a file is taken over, or a wrong list of devices ends the service."""
    words = configure(folder)
    program = f"open({words[1]!r}, 'a').write('debug = true\\n[sriov]\\nphysical_device_mappings = pf7\\n')\n        "
    server = start(*words, program=frame(serve=program + ASKS.format(int(signal.SIGHUP)), reload="[][0]"))
    out, err = answered(server, server.process.stdout, "SIGHUP: ")
    assert "SIGHUP: the configuration is not read again: " in out
    assert "physical_device_mappings" in out
    assert (err, "taken over" in out, "Traceback" in out) == ("", False, False)


def test_hangup_with_a_broken_file_changes_nothing(folder: Path, start: Start) -> None:
    """Fails if a slip of an operator's pen ends a service that runs, or is not told in one line."""
    words = configure(folder)
    program = f"open({words[1]!r}, 'w').write('[DEFAULT\\nx')\n        " + ASKS.format(int(signal.SIGHUP))
    server = start(*words, program=frame(serve=program))
    out, err = answered(server, server.process.stdout, "SIGHUP: ")
    assert [line for line in out.splitlines() if "SIGHUP: the configuration is not read again: " in line]
    assert (err, "Traceback" in out) == ("", False)


def test_a_report_shows_threads_and_options_and_no_secret(folder: Path, start: Start) -> None:
    """Fails if SIGUSR2 does not show what hangs where, or writes the password of the cloud's user into the log."""
    words = configure(folder)
    path = Path(words[1])
    login = credentials("http://127.0.0.1:9") | {"password": "s3cr3t-word"}
    text = path.read_text().replace("auth_type = none", "\n".join(f"{name} = {value}" for name, value in login.items()))
    path.write_text(text)
    server = start(*words, program=frame(serve=ASKS.format(int(signal.SIGUSR2))))
    out, err = answered(server, server.process.stderr, "Guru Meditation")
    assert "Guru Meditation" in err
    assert "self.over.wait()" in err or "in serve" in err
    assert "password = ***" in err
    assert f"state-path = {folder}/state" in err
    assert "s3cr3t-word" not in out + err

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Lines of kuryr-server's log: in systemd's journal, in a file, on a terminal."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

from tests.conversation.transport.test_server_process import Start, configure, folder, frame, start

__all__ = ["folder", "start"]

DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \d+"
SAYS = """import logging
        log = logging.getLogger("kuryr_libnetwork.x")
        try:
            raise OSError(5, "no luck")
        except OSError as error:
            log.warning("tried: %s", error)
            log.info("going on")
            log.exception("failed")
        notify("SAID")
        self.over.wait()"""
# As systemd does it for what goes to its journal; both streams, as in a service.
JOURNAL = """import os
os.dup2(1, 2)
found = os.fstat(1)
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
"""


def said(start: Start, folder: Path, program: str, more: str = "") -> list[str]:
    server = start(*configure(folder, more), program=program)
    assert {server.told(), server.told()} == {"READY=1", "SAID"}
    server.process.send_signal(signal.SIGTERM)
    code, out, err = server.end()
    assert (code, err) == (0, "")
    return out.splitlines()


def test_a_line_has_its_date_and_its_text_once(folder: Path, start: Start) -> None:
    """Fails if a warning about an error ends in the same words again, with the name of a Python class."""
    lines = said(start, folder, frame(serve=SAYS))
    assert re.fullmatch(rf"{DATE} WARNING kuryr_libnetwork\.x tried: \[Errno 5\] no luck", lines[0])
    assert re.fullmatch(rf"{DATE} INFO kuryr_libnetwork\.x going on", lines[1])
    assert lines[2].endswith(" ERROR kuryr_libnetwork.x failed")
    assert lines[3] == "    Traceback (most recent call last):"


def test_what_a_call_of_docker_says_ends_in_its_id(folder: Path, start: Start) -> None:
    """Fails if one word does not find all lines of a call, or if a line of nobody's call has an id."""
    program = frame(
        serve="""import logging
        from kuryr_libnetwork.calls import one_request
        log = logging.getLogger("kuryr_libnetwork.x")
        log.info("before")
        with one_request("req-1"):
            log.info("in %s", "between")
            log.info("100 %")
        log.info("after")
        notify("SAID")
        self.over.wait()"""
    )
    texts = [line.partition("kuryr_libnetwork.x ")[2] for line in said(start, folder, program)]
    assert texts[:4] == ["before", "in between [req-1]", "100 % [req-1]", "after"]


def test_a_log_in_json_has_the_id_as_well(folder: Path, start: Start) -> None:
    """Fails if whoever collects logs in JSON cannot find the lines of a call, or gets lines that are none."""
    program = frame(
        serve="""import logging
        from kuryr_libnetwork.calls import one_request
        log = logging.getLogger("kuryr_libnetwork.x")
        with one_request("req-1"):
            log.info("in %s", "between")
        notify("SAID")
        self.over.wait()"""
    )
    entries = [json.loads(line) for line in said(start, folder, program, "use_json = true")]
    (entry,) = [entry for entry in entries if entry["name"] == "kuryr_libnetwork.x"]
    assert (entry["message"], entry["extra"]["request_id"]) == ("in between [req-1]", "req-1")


def test_the_journal_gets_priorities_and_no_dates(folder: Path, start: Start) -> None:
    """Fails if ``journalctl -p warning`` finds none of the warnings, or if each line has the time twice."""
    lines = said(start, folder, JOURNAL + frame(serve=SAYS))
    assert lines[:4] == [
        "<4>WARNING kuryr_libnetwork.x tried: [Errno 5] no luck",
        "<6>INFO kuryr_libnetwork.x going on",
        "<3>ERROR kuryr_libnetwork.x failed",
        "<3>    Traceback (most recent call last):",
    ]


def test_a_file_has_dates_under_systemd_too(folder: Path, start: Start) -> None:
    """Fails if the log file of a service has lines that nobody can tell the time of."""
    assert said(start, folder, JOURNAL + frame(serve=SAYS), f"log_file = {folder}/kuryr.log") == []
    lines = (folder / "kuryr.log").read_text().splitlines()
    assert re.fullmatch(rf"{DATE} WARNING kuryr_libnetwork\.x tried: \[Errno 5\] no luck", lines[0])


def test_a_format_that_the_operator_chose_stays(folder: Path, start: Start) -> None:
    """Fails if logging_default_format_string is not what lines look like, in the journal too."""
    chosen = "logging_default_format_string = %(levelname)s! %(message)s%(instance)s"
    lines = said(start, folder, JOURNAL + frame(serve=SAYS), chosen)
    assert lines[1] == "<6>INFO! going on"


def test_why_it_does_not_start_is_an_error_in_the_journal(folder: Path, start: Start) -> None:
    """Fails if ``journalctl -p err`` does not show why the service does not start."""
    program = JOURNAL + frame(build="raise ConfigError('no such driver')")
    code, out, _ = start(*configure(folder), program=program).end()
    assert (code, out) == (2, "<3>kuryr-server: no such driver\n")

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr top``: what the running service is doing, again and again."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from typing import TextIO

import msgspec

from kuryr_libnetwork.cli.host.service_state import Asking, understood
from kuryr_libnetwork.errors import HostError
from kuryr_libnetwork.model.overview import ActivityRow, EndpointRow, NetworkRow, Wellbeing
from kuryr_libnetwork.rules.top import Frame, lines

INTERVAL = 2.0
LEAST_INTERVAL, MOST_INTERVAL = 0.2, 3600.0
HOME, CLEAR_LINE, CLEAR_BELOW, CLEAR = "\033[H", "\033[K", "\033[J", "\033[2J"
"""Each frame is written over the one before: clearing the screen first would make it flicker."""


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not LEAST_INTERVAL <= seconds <= MOST_INTERVAL:
        raise argparse.ArgumentTypeError(f"must be {LEAST_INTERVAL:g} to {MOST_INTERVAL:g} seconds, not {text}")
    return seconds


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more, not {text}")
    return int(text)


class Top(Asking):
    """Show what the service is doing: calls under way, last calls, Neutron's answers, endpoints. Ctrl-C ends it.

    On a terminal it is shown again every INTERVAL seconds; otherwise once.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("-f", "--format", choices=["text", "json"], default="text", help="For people or programs.")
        parser.add_argument(
            "--interval", type=_interval, default=INTERVAL, help=f"Seconds between frames (default: {INTERVAL:g})."
        )
        parser.add_argument(
            "--count", type=_count, help="Number of frames; 0: until Ctrl-C (default: 0 on a terminal, else 1)."
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        screen = _Screen(self.app.stdout, as_json=parsed_args.format == "json")
        count = parsed_args.count
        if count is None:
            count = 0 if screen.is_live else 1
        try:
            return self._run(screen, parsed_args.interval, count)
        except KeyboardInterrupt:
            screen.end()
            return 0

    def _run(self, screen: _Screen, interval: float, count: int) -> int:
        """A service that is restarted meanwhile is waited for; one that does not answer at first is an error."""
        screen.show(self._look())
        shown, failed = 1, False
        while shown != count:
            time.sleep(interval)
            try:
                screen.show(self._look())
                failed = False
            except HostError as error:
                screen.say(str(error))
                failed = True
            shown += 1
        screen.end()
        return int(failed)

    def _look(self) -> Frame:
        return Frame(
            host=self.host.settings.plugin.host,
            time=time.strftime("%H:%M:%S"),
            wellbeing=understood(self.host.admin.get("/healthz"), Wellbeing),
            activity=understood(self.host.admin.get("/v1/activity").get("activity"), ActivityRow),
            endpoints=tuple(self.rows("endpoints", EndpointRow)),
            networks=len(self.rows("networks", NetworkRow)),
        )


class _Screen:
    """A terminal, or a file, to which frames are written one after the other."""

    def __init__(self, out: TextIO, *, as_json: bool) -> None:
        self._out = out
        self._as_json = as_json
        self.is_live = out.isatty() and not as_json
        self._first = True

    def show(self, frame: Frame) -> None:
        if self._as_json:
            self._write(json.dumps(msgspec.to_builtins(frame)) + "\n")
        elif self.is_live:
            width, height = shutil.get_terminal_size()
            self._draw(lines(frame, width, height - 1))
        else:
            self._write("" if self._first else "\n", *(f"{line}\n" for line in lines(frame)))
        self._first = False

    def say(self, text: str) -> None:
        """In place of a frame."""
        if self._as_json:
            self._write(json.dumps({"error": text}) + "\n")
        elif self.is_live:
            self._draw([text])
        else:
            self._write(f"{text}\n")

    def end(self) -> None:
        """What was drawn last stays; the shell's prompt goes below it."""
        if self.is_live:
            self._write("\n")

    def _draw(self, drawn: list[str]) -> None:
        self._write(CLEAR if self._first else "", HOME, *(f"{line}{CLEAR_LINE}\n" for line in drawn), CLEAR_BELOW)

    def _write(self, *texts: str) -> None:
        self._out.write("".join(texts))
        self._out.flush()

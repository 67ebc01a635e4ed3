# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr page``: where the page of who is wired where is, or serves it for this operator."""

from __future__ import annotations

import argparse
import secrets
import socket
import threading

from kuryr_libnetwork.admin.server import AdminServer, Place, tcp_socket
from kuryr_libnetwork.cli.application import Action
from kuryr_libnetwork.cli.page_proxy import PageProxy
from kuryr_libnetwork.errors import HostError
from kuryr_libnetwork.health import Health

LOOPBACK = "127.0.0.1"
SECONDS = 5.0
BYTES = 24
"""Random bytes in the token."""


class ShowPage(Action):
    """Show who is wired where, in a browser: print the address of the page, and serve it there until Ctrl-C.

    Where [admin] listen is set, the service itself serves the page there: its address is printed, and the command ends.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--port", type=_port, default=0, help="Serve the page at this port of the loopback address; else any."
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        listen = self.host.settings.admin.listen
        if listen is not None and not parsed_args.port:
            self.say(_answered(*listen))
            return 0
        admin = self.host.admin
        if "wiring" not in admin.get("/v1/wiring"):
            raise HostError("the service's answer is not understood, it may be of another release")
        sock = tcp_socket(LOOPBACK, parsed_args.port, "kuryr page")
        port, token = sock.getsockname()[1], secrets.token_urlsafe(BYTES)
        proxy = PageProxy(admin.fetch, token, (f"{LOOPBACK}:{port}", f"localhost:{port}"))
        server = AdminServer([Place(sock, "the page", proxy)], Health())
        server.start()
        try:
            self.say(f"http://{LOOPBACK}:{port}/{token}/")
            self.say(f"Only who has this address can read there. From elsewhere: ssh -L {port}:{LOOPBACK}:{port} HOST")
            self.say("Ctrl-C ends it.")
            self.app.stdout.flush()
            _wait_for_interrupt()
        finally:
            server.stop()
        return 0


def _wait_for_interrupt() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return


def _answered(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), SECONDS).close()
    except OSError as error:
        where = f"[admin] listen = {host}:{port}"
        raise HostError(f"the service does not answer at {where}: {error.strerror or error}; is it running?") from None
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number from 1 to 65535")
    return int(text)

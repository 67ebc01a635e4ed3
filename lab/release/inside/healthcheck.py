# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the service of this container is alive, as `/healthz` of its admin socket says. Arguments have no effect.

The image has it under kolla's names as well: kolla-ansible asks whether a TCP port is listened on; by default none is.
"""

from __future__ import annotations

import sys

from kuryr_libnetwork.cli.service_client import AdminClient
from kuryr_libnetwork.config import read
from kuryr_libnetwork.errors import KuryrError


def main() -> int:
    try:
        found = AdminClient(read.read([], login=False).settings.admin.socket).get("/healthz")
    except KuryrError as error:
        print(error)
        return 1
    print("live" if found.get("live") else f"hangs: {'; '.join(map(str, found.get('reasons', [])))}")
    return 0 if found.get("live") else 1


if __name__ == "__main__":
    sys.exit(main())

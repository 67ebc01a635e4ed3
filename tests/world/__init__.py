# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests put around the service: Docker's side, hosts, machines, everything outside. See README.md."""

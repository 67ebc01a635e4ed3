# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Programs of the container image. `set_configs` needs nothing but Python, the others the installed service."""

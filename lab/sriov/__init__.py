# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker hosts with Virtual Functions: emulated machines that belong to a lab."""

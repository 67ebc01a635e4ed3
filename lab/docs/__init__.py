# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The documentation as a site and as manual pages, built by Sphinx from the pages that a code host shows."""

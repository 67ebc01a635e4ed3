# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The page "who is wired where" in a real browser, over the real admin server and a journal of values."""

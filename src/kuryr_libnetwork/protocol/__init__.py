# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Docker says and hears: its messages and the paths they come on. A leaf that knows nothing of HTTP."""

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""`./dev test` and `./dev check`: which checks and test tiers there are, how they are run, and the summary at
the end.
"""

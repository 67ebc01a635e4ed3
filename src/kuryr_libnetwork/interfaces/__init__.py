# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The protocols through which the services reach the outside world; the adapters and the tests' fakes implement them.

All methods may be called from many threads at once. They raise the errors of :mod:`kuryr_libnetwork.errors`.
"""

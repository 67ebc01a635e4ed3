# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the services ask of the world outside. The adapters and the fakes of the tests implement these protocols.

All methods may be called from many threads at once. Errors are those of :mod:`kuryr_libnetwork.errors`.
"""

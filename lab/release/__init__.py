# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What users install, made from this tree: sdist, wheel, Debian packages, container image, and the lists to them."""

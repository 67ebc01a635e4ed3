# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m lab.docs`: what `./dev docs` calls."""

import sys

from lab.docs.build import main

sys.exit(main())

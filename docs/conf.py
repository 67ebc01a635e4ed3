# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Sphinx's settings. `./dev docs` builds the site; docs/index.md says which pages it has, and in which order.

The theme is furo: plain pages that are read on a phone as well, no file from another site, and well kept. OpenStack's
own theme puts the frame of docs.openstack.org around the pages: its bug tracker, its releases, its search.
"""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

project = "kuryr-libnetwork"
author = project_copyright = "The kuryr-libnetwork authors"
version = release = version_of("kuryr-libnetwork")

# The source folder is the whole repository, so a link between pages is the same here and on a code host.
root_doc = "docs/index"
include_patterns = ["docs/**", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = [".dev", ".git", "**/__pycache__"]

extensions = ["myst_parser", "oslo_config.sphinxext", "cliff.sphinxext", "lab.docs.extension"]
myst_heading_anchors = 4  # a heading's address, as code hosts make it
myst_ref_domains = ["std"]  # links in pages go to pages and headings; those of oslo.config cannot be asked
nitpicky = True
smartquotes = False  # "--" in the help of a command is two hyphens

autoprogram_cliff_app_dist_name = project
autoprogram_cliff_ignored = [  # cliff's, in every list: how a table is printed
    *("-h", "--help", "--quote", "--noindent", "--max-width", "--fit-width", "--print-empty"),
    *("--sort-column", "--sort-ascending", "--sort-descending", "--prefix", "--variable"),
]

html_theme = "furo"
html_title = f"kuryr-libnetwork {release}"
html_copy_source = False
html_show_sphinx = False

linkcheck_timeout = 20
linkcheck_workers = 4
linkcheck_ignore = [r"https?://(127\.0\.0\.1|localhost|[\w.]*example\.org)\b.*"]

man_pages = [
    ("docs/man/kuryr-server", "kuryr-server", "Docker network and IPAM driver for OpenStack Neutron", author, 8),
    ("docs/man/kuryr", "kuryr", "shows and manages what kuryr-server has on this host", author, 8),
    ("docs/man/kuryr-status", "kuryr-status", "checks what an older installation needs", author, 8),
    ("docs/man/kuryr-conf", "kuryr.conf", "configuration of kuryr-server", author, 5),
]
man_make_section_directory = False

# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Signals to kuryr-server other than to end: to read its configuration again, and to report what it is doing.

Both are as in OpenStack's services: SIGHUP applies the options that oslo.config calls mutable, SIGUSR2 requests a Guru
Meditation Report.
"""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version as version_of

from oslo_config import cfg

LOG = logging.getLogger(__name__)


def read_again(conf: cfg.ConfigOpts) -> None:
    """Apply ``debug``; other options that have changed are named in the log, and wait for the next start."""
    try:
        changed = conf.mutate_config_files()
    except (cfg.Error, OSError, ValueError) as error:
        LOG.warning("SIGHUP: the configuration is not read again: %s", " ".join(str(error).split()))
        return
    names = ", ".join(sorted(f"[{group or 'DEFAULT'}] {name}" for group, name in changed))
    LOG.info(
        "SIGHUP: %s", f"{names} taken over" if names else "nothing changed that can be taken over without a restart"
    )


def report(conf: cfg.ConfigOpts) -> None:
    """Write each thread's stack, the processes and the options to stderr; secret options are masked."""
    # Imported here: it takes a tenth of a second, and memory, which a service that is never asked should not spend.
    from oslo_reports.generators.conf import ConfigReportGenerator
    from oslo_reports.generators.process import ProcessReportGenerator
    from oslo_reports.generators.threading import ThreadReportGenerator
    from oslo_reports.generators.version import PackageReportGenerator
    from oslo_reports.report import TextReport

    report = TextReport("Guru Meditation")
    report.add_section("Package", PackageReportGenerator(_Package()))
    report.add_section("Threads", ThreadReportGenerator(None))
    report.add_section("Processes", ProcessReportGenerator())
    report.add_section("Configuration", ConfigReportGenerator(conf))
    print(report.run(), file=sys.stderr, flush=True)


class _Package:
    """The version object that oslo.reports expects of a package."""

    def vendor_string(self) -> str:
        return "The kuryr-libnetwork authors"

    def product_string(self) -> str:
        return "kuryr-libnetwork"

    def version_string_with_package(self) -> str:
        return version_of("kuryr-libnetwork")

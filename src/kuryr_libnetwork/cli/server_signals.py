# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Signals to kuryr-server other than to end: to read its configuration again, and to report what it is doing.

Both are as in OpenStack's services: SIGHUP applies the options that oslo.config calls mutable, SIGUSR2 requests a Guru
Meditation Report.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version as version_of

from oslo_config import cfg

from kuryr_libnetwork.config.read import Configuration
from kuryr_libnetwork.config.reader import Options
from kuryr_libnetwork.errors import ConfigError
from kuryr_libnetwork.model.settings import Settings
from kuryr_libnetwork.rules.reload import waiting

LOG = logging.getLogger(__name__)
IMMUTABLE = "immutable option"
"""Words of oslo.config in a line about an option that has changed and is not taken over."""


class Files:
    """The configuration files of a service that runs; made before logging is set up, which changes some options.

    ``read``: reads and checks them again.
    """

    def __init__(self, conf: cfg.ConfigOpts, read: Callable[[], Configuration]) -> None:
        self.conf = conf
        self._read = read
        self._fixed = _fixed(conf)

    def read_again(self, reload: Callable[[Settings], list[str]]) -> None:
        """Take over what a running service can; a line in the log names each other change, which waits for the next
        start. A file that is wrong changes nothing.
        """
        try:
            found = self._read()
            with _without(IMMUTABLE):
                changed = self.conf.mutate_config_files()
        except (ConfigError, cfg.Error, OSError, ValueError) as error:
            LOG.warning("SIGHUP: the configuration is not read again: %s", " ".join(str(error).split()))
            return
        refused = reload(found.settings)
        names = ", ".join(sorted(f"[{group or 'DEFAULT'}] {name}" for group, name in changed))
        tcp = found.settings.plugin.tcp
        certificates = tcp is not None and tcp.certificate is not None and not refused
        LOG.info(
            "SIGHUP: %s%s",
            f"{names} taken over" if names else "no option has changed that can be taken over without a restart",
            "; the certificate is read again" if certificates else "",
        )
        for text in refused:
            LOG.warning("SIGHUP: %s", text)
        for name in waiting(self._fixed, _fixed(found.conf)):
            LOG.warning("SIGHUP: %s has changed: that takes a restart", name)


def _fixed(conf: cfg.ConfigOpts) -> dict[str, object]:
    """The values that a running service keeps, by their names."""
    found: dict[str, object] = {}
    known = conf.known if isinstance(conf, Options) else {}
    for (section, name), option in known.items():
        with suppress(cfg.Error, ValueError):
            if not option.mutable:
                found[f"[{section}] {name}"] = (conf if section == "DEFAULT" else conf[section])[name]
    return found


@contextmanager
def _without(words: str) -> Iterator[None]:
    """oslo.config's own lines about options that cannot be taken over are left out: ours name the same."""

    def other(record: logging.LogRecord) -> bool:
        return words not in str(record.msg)

    logger = logging.getLogger("oslo_config.cfg")
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


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

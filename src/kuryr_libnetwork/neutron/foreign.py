# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Translates the exceptions of the libraries below: keystoneauth's, requests', urllib3's."""

from __future__ import annotations

from collections.abc import Iterator

from kuryr_libnetwork.errors import NeutronError, NeutronForbidden, NeutronUnavailable
from kuryr_libnetwork.neutron.errors import NoAnswer, NotConnected, TooManyRequests, one_line
from kuryr_libnetwork.neutron.pauses import retry_after


def foreign_errors() -> tuple[type[Exception], ...]:
    """The exceptions of the libraries below, which are imported at the first request."""
    from keystoneauth1 import exceptions
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    return (exceptions.ClientException, RequestException, HTTPError, OSError)


def translate(asked: str, error: Exception, whose: str = "") -> NeutronError:
    """Our error for an exception of keystoneauth or requests. ``whose``: text to begin the line with.

    HTTP errors among them are Keystone's; Neutron's own come as responses.
    """
    import requests
    from keystoneauth1 import exceptions

    if isinstance(error, exceptions.HttpError):
        status, told = error.http_status, one_line(str(error.message or error))
        pause = retry_after(getattr(getattr(error, "response", None), "headers", None) or {})
        if status == 429:
            return TooManyRequests(f"Keystone takes no more requests now, so {asked} was not asked: {told}", pause)
        words = f"Keystone refused what {asked} needs: {told}"
        return NeutronForbidden(words) if status in (401, 403) else NeutronUnavailable(words, pause)
    reason = _reason(error)
    if _never_left(error):
        return NotConnected(f"{whose}no connection for {asked}: {reason}")
    lost = (exceptions.ConnectionError, requests.exceptions.RequestException, OSError)
    if isinstance(error, lost):
        return NoAnswer(f"{whose}no answer to {asked}: {reason}")
    return NeutronUnavailable(f"{whose}cannot ask {asked}: {reason}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        inner = seen.args[0] if seen.args and isinstance(seen.args[0], BaseException) else None
        seen = seen.__cause__ or inner or seen.__context__


def _never_left(error: BaseException) -> bool:
    """Whether no connection was established."""
    import requests
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    opening = (NewConnectionError, ConnectTimeoutError, requests.exceptions.ConnectTimeout)
    return any(
        isinstance(cause, opening) or isinstance(getattr(cause, "reason", None), opening) for cause in _causes(error)
    )


def _reason(error: BaseException) -> str:
    """The operating system's message, if there is one; the libraries wrap it in several lines."""
    system = [cause for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror]
    return one_line(str(system[-1].strerror if system else error)) or type(error).__name__

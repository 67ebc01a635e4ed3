# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One REST request to Neutron: authenticated by keystoneauth, bounded in time, repeated only if that is harmless.

keystoneauth is imported, and logs in, at the first request. Whatever it, or a library below it, raises leaves this
module as one of our errors (:func:`_ours`): which exceptions malformed answers cause is documented nowhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
import tenacity

from kuryr_libnetwork.bounded import Depart, GaveUp, run_within
from kuryr_libnetwork.calls import note_neutron_call, request_id
from kuryr_libnetwork.contacts import asking
from kuryr_libnetwork.errors import KuryrError, NeutronForbidden, NeutronUnavailable
from kuryr_libnetwork.model.observed import NEUTRON, Observe, ignore
from kuryr_libnetwork.neutron.account import account_of, no_project, project_of
from kuryr_libnetwork.neutron.errors import NoAnswer, NotConnected, TooManyRequests, from_answer, one_line
from kuryr_libnetwork.neutron.foreign import foreign_errors, translate
from kuryr_libnetwork.neutron.pauses import TRIES, is_over, pause, retry_after
from kuryr_libnetwork.patience import waiting_for
from kuryr_libnetwork.rules.neutron_paths import resource_of
from kuryr_libnetwork.rules.roles import Account
from kuryr_libnetwork.text import shown

if TYPE_CHECKING:
    import requests
    from keystoneauth1.adapter import Adapter
    from oslo_config.cfg import ConfigOpts

T = TypeVar("T")
AdapterFactory = Callable[[], "Adapter"]

PARTY = "Neutron"
"""The party of :mod:`~kuryr_libnetwork.patience`; Keystone counts as a part of Neutron."""
CONNECTIONS = 64
REQUEST_HEADER = "X-Openstack-Request-Id"
"""Source: oslo.middleware, ``request_id.py``."""
_API = "/v2.0"
_PROJECT = "the project of the service's credentials"
_ACCOUNT = "the roles of the service's user"
_PASSING = (502, 503, 504)
_NOT_NEUTRON = 500
"""The lowest status after which it is not known whether Neutron is able to work."""
_GRACE = 0.5  # so that the libraries' own time-outs come first: they say what was waited for


def build_adapter(
    conf: ConfigOpts,
    group: str = "neutron",
    *,
    region_name: str | None = None,
    endpoint_type: str = "public",
    timeout: float,
) -> Adapter:
    """The adapter that ``[neutron]`` describes: credentials, certificates, and Neutron's entry in Keystone's catalog.

    Sends no request yet. Raises keystoneauth's own errors, so only :class:`Rest` may call it (as
    ``partial(build_adapter, …)``).
    """
    from keystoneauth1 import adapter, loading
    from requests.adapters import HTTPAdapter

    from kuryr_libnetwork.neutron.transport import guard

    loading.register_session_conf_options(conf, group)
    loading.register_auth_conf_options(conf, group)
    auth = loading.load_auth_from_conf_options(conf, group)
    session = loading.load_session_from_conf_options(conf, group, auth=auth, timeout=timeout)
    for transport in session.session.adapters.values():
        if isinstance(transport, HTTPAdapter):
            transport.init_poolmanager(CONNECTIONS, CONNECTIONS)
    guard(session.session)
    return adapter.Adapter(
        session,
        service_type="network",
        interface=endpoint_type,
        region_name=region_name,
        client_name="kuryr-libnetwork",
        raise_exc=False,
    )


class Phase(Enum):
    """Which party's answer is being read."""

    LOGIN = "Keystone's"
    REQUEST = "Neutron's"


class _Asked(NamedTuple):
    method: str
    path: str
    query: Mapping[str, list[str]]
    body: Any
    headers: Mapping[str, str]


class Rest:
    """Safe for many threads. ``timeout``: seconds for one call, including its repetitions.

    ``sleep`` waits between two tries. ``observe`` is called for each request.
    """

    def __init__(
        self,
        adapter_factory: AdapterFactory,
        timeout: float,
        sleep: Callable[[float], None] = time.sleep,
        observe: Observe = ignore,
    ) -> None:
        self._observe = observe
        self._factory = adapter_factory
        self._timeout = timeout
        self._sleep = sleep
        self._adapter: Adapter | None = None
        self._project: str | None = None
        self._lock = threading.Lock()

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, list[str]] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send one request, and repeat it if that is harmless; returns the decoded body ({} if there is none).

        ``path`` is relative to ``/v2.0``.
        """
        asked = _Asked(method, _API + path, query or {}, body, headers or {})
        with waiting_for(PARTY, self._timeout, NeutronUnavailable) as seconds:
            if not seconds:
                raise _not_asked(f"{method} {asked.path}")
            return self._call(asked, seconds)

    def _call(self, asked: _Asked, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        # A GET may always be repeated; anything else only if it was never sent, or was put off.
        never = (NotConnected, TooManyRequests)
        harmless = (*never, NoAnswer) if asked.method == "GET" else never
        for attempt in tenacity.Retrying(
            stop=is_over(lambda: end - time.monotonic()),
            wait=pause,
            retry=tenacity.retry_if_exception_type(harmless),
            sleep=self._sleep,
            reraise=True,
        ):
            with attempt:
                answer = self._send(asked, max(end - time.monotonic(), 0.1))
        return answer

    def project_id(self) -> str:
        """The id of the credentials' project; "" for a kind without projects. It comes with the login, and is kept."""
        if self._project is None:
            self._project = self._of_token(_PROJECT, self._ask_project)
        return self._project

    def account(self) -> Account | None:
        """User, project and roles from the token in use; ``None`` for credentials without Keystone."""
        return self._of_token(_ACCOUNT, self._ask_account)

    def _of_token(self, what: str, ask: Callable[[], T]) -> T:
        with waiting_for(PARTY, self._timeout, NeutronUnavailable) as seconds:
            if not seconds:
                raise _not_asked(what)
            return self._bounded(what, seconds, lambda _: ask())

    def _ask_project(self) -> str:
        from keystoneauth1.http_basic import HTTPBasicAuth
        from keystoneauth1.noauth import NoAuth

        adapter, _ = self._logged_in(_PROJECT, self._timeout)
        with self._ours(_PROJECT, Phase.LOGIN):
            found = project_of(adapter.get_project_id())
        if found is None and not isinstance(adapter.session.auth, NoAuth | HTTPBasicAuth):
            raise no_project()
        return found or ""

    def _ask_account(self) -> Account | None:
        from keystoneauth1.identity import BaseIdentityPlugin

        adapter, _ = self._logged_in(_ACCOUNT, self._timeout)
        auth = adapter.session.auth
        if not isinstance(auth, BaseIdentityPlugin):
            return None
        with self._ours(_ACCOUNT, Phase.LOGIN):
            access = auth.get_access(adapter.session)
            found = None if access.project_id is None else account_of(access)
        if found is None:
            raise no_project()
        return found

    def _send(self, request: _Asked, seconds: float) -> dict[str, Any]:
        """Send a request once. The time reported for it includes the login, if there was one."""
        asked = f"{request.method} {request.path}"

        def work(depart: Depart) -> dict[str, Any]:
            adapter, base = self._logged_in(asked, seconds)
            depart()
            response = self._request(adapter, base, request, seconds)
            if response.status_code == 401 and adapter.invalidate():
                adapter, base = self._logged_in(asked, seconds)
                response = self._request(adapter, base, request, seconds)
            question.answered = response.status_code < _NOT_NEUTRON
            return _answer(asked, response)

        with asking(self._observe, NEUTRON, request.method, resource_of(request.path)) as question:
            return self._bounded(asked, seconds, work)

    def _bounded(self, asked: str, seconds: float, work: Callable[[Depart], T]) -> T:
        try:
            return run_within(seconds + _GRACE, work)
        except GaveUp as late:
            if late.departed:
                raise NoAnswer(f"no answer to {asked}: timed out") from None
            raise NotConnected(f"no connection for {asked}: timed out before it was sent") from None

    def _request(self, adapter: Adapter, base: str, asked: _Asked, seconds: float) -> requests.Response:
        connect = min(seconds, max(1.0, self._timeout / TRIES))
        note_neutron_call(asked.method, asked.path)
        with self._ours(f"{asked.method} {asked.path}", Phase.REQUEST):
            return adapter.request(
                base + _target(asked.path, asked.query),
                asked.method,
                json=asked.body,
                headers=_headers(asked.headers),
                timeout=(connect, seconds),
                connect_retries=0,
                status_code_retries=0,
                redirect=False,  # it might lead to another resource
                allow_reauth=False,  # _logged_in does it, in one thread for all
            )

    def _logged_in(self, asked: str, seconds: float) -> tuple[Adapter, str]:
        """The adapter, and Neutron's URL. One thread logs in; the others wait for it, within their own time."""
        if not self._lock.acquire(timeout=seconds):
            raise NotConnected(f"no connection for {asked}: Keystone has not answered another request in time")
        try:
            with self._ours(asked, Phase.LOGIN):
                self._adapter = self._adapter or self._factory()
            with self._ours(asked, Phase.LOGIN):
                return self._adapter, _base(self._adapter)
        finally:
            self._lock.release()

    @contextmanager
    def _ours(self, asked: str, phase: Phase) -> Iterator[None]:
        """The boundary to keystoneauth, requests and urllib3.

        After an error the state of an unusable login is dropped: the next request logs in again.
        """
        whose = self._keystone() if phase is Phase.LOGIN else ""
        try:
            yield
        except KuryrError:
            self._forget(phase)
            raise
        except foreign_errors() as error:
            ours = translate(asked, error, whose)
            if not isinstance(ours, NoAnswer | NotConnected | TooManyRequests | NeutronForbidden):
                self._forget(phase)
            raise ours from error
        except Exception as error:  # undocumented: from parsing tokens, catalogs, discovery documents and headers
            self._forget(phase)
            words = f"no usable answer to {asked}: {type(error).__name__}: {one_line(str(error))}"
            raise NeutronUnavailable(whose + words) from error

    def _forget(self, phase: Phase) -> None:
        if phase is Phase.LOGIN:
            self._adapter = None

    def _keystone(self) -> str:
        """The beginning of an error about Keystone, with its address; "" if there is no Keystone, or none yet."""
        auth = self._adapter.session.auth if self._adapter is not None else None
        auth_url = getattr(auth, "auth_url", None)
        return f"Keystone {shown(auth_url)} ([neutron] auth_url): " if auth_url else ""


def _headers(own: Mapping[str, str]) -> dict[str, str]:
    """The headers, with the id of the work that the request belongs to, so that Neutron's log has it as well."""
    request = request_id()
    return {**own, REQUEST_HEADER: request} if request else dict(own)


def _not_asked(asked: str) -> NotConnected:
    return NotConnected(f"{asked} was not tried: Neutron has just left another request without an answer")


def _base(adapter: Adapter) -> str:
    from keystoneauth1 import exceptions

    endpoint = adapter.get_endpoint()
    if not endpoint:
        place = f"interface {adapter.interface}, region {adapter.region_name or 'any'}"
        raise exceptions.EndpointNotFound(f"Keystone's catalog has no endpoint of type network ({place})")
    if not _is_url(endpoint):
        raise exceptions.EndpointNotFound(f"Neutron's endpoint is not a URL: {shown(endpoint)}")
    return endpoint.rstrip("/").removesuffix(_API)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and text.isprintable()
    except ValueError:  # a malformed port or IPv6 address
        return False


def _target(path: str, query: Mapping[str, list[str]]) -> str:
    return path + (f"?{urlencode(query, doseq=True)}" if query else "")


def _answer(asked: str, response: requests.Response) -> dict[str, Any]:
    status = response.status_code
    try:
        body = msgspec.json.decode(response.content) if response.content else None
    except (msgspec.DecodeError, ValueError, RecursionError):  # not JSON, not UTF-8, nested without end
        body = None
        if 200 <= status < 300:
            raise NeutronUnavailable(f"no usable answer to {asked}: the body is not JSON") from None
    if 200 <= status < 300:
        return body if isinstance(body, dict) else {}
    kind, message = _told(body)
    if status == 429:
        limit = f"Neutron takes no more requests now, so {asked} was not done: {one_line(message) or 'HTTP 429'}"
        raise TooManyRequests(limit, retry_after(response.headers))
    if status in _PASSING:
        # Mostly a proxy's answer; but Neutron sends some with its own message (MacAddressGenerationFailure).
        words = f"no answer to {asked}: HTTP {status}{': ' * bool(message)}{one_line(message)}"
        raise NoAnswer(words, retry_after(response.headers))
    if status == 404 and not kind:
        # Neutron names what it cannot find; a bare 404 comes from a proxy or a wrong endpoint.
        raise NeutronUnavailable(f"no usable answer to {asked}: HTTP 404 that is not Neutron's; check its endpoint")
    if status < 400:
        target = response.headers.get("Location")
        redirected = f", a redirect to {shown(target)}; check Neutron's endpoint" if target else ""
        raise NeutronUnavailable(f"no usable answer to {asked}: HTTP {status}{redirected}")
    request_id = response.headers.get("X-Openstack-Request-Id")
    raise from_answer(asked, status, kind, f"{message} ({shown(request_id)})" if message and request_id else message)


def _told(body: Any) -> tuple[str, str]:
    """``type`` and ``message`` of an error body of Neutron or of the middlewares before it."""
    error = body.get("NeutronError") or body.get("error") or body if isinstance(body, dict) else {}
    if not isinstance(error, dict):
        return "", error if isinstance(error, str) else ""
    kind, message = error.get("type"), error.get("message")
    return kind if isinstance(kind, str) else "", message if isinstance(message, str) else ""

"""Calls to the server: TLS, a token a call, deadlines, and retries of what is safe to repeat, under the same id."""

from __future__ import annotations

import dataclasses
import ipaddress
import pathlib
import random
import threading
import time
import uuid
from typing import Any, Callable, Iterable, Iterator

import grpc
from google.protobuf import duration_pb2

from .errors import error_of
from .v1 import access_pb2, access_pb2_grpc, confirmation_pb2, confirmation_pb2_grpc, list_pb2, list_pb2_grpc, model_pb2, model_pb2_grpc
from .v1 import payout_pb2, payout_pb2_grpc, program_pb2, program_pb2_grpc, review_pb2, review_pb2_grpc, screening_pb2, screening_pb2_grpc

_READS = ("Get", "List", "Check", "Preview", "WhoAmI")
# Known by an id of their own, which the request needs.
_NAMED = frozenset({"ScreenConversion", "RecordSignals", "RecordOutcome", "ReservePayouts"})
_HEARTBEAT_SECONDS = 15
# A feed that is silent for so long is dead: then it is followed from its last cursor again.
_SILENCE_SECONDS = 3 * _HEARTBEAT_SECONDS
_OPTIONS = [("grpc.enable_retries", 0), ("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 20_000)]


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How often, and how long apart. A wait is drawn between nothing and a bound that doubles, after what the server asks for (`RetryInfo`)."""

    attempts: int = 6
    first_wait_seconds: float = 0.1
    longest_wait_seconds: float = 5.0
    attempt_seconds: float = 10.0

    def wait(self, failures: int, retry_after: float | None) -> float:
        """How long to wait after so many failures, in seconds."""
        bound = min(self.longest_wait_seconds, self.first_wait_seconds * 2 ** (failures - 1))
        return (retry_after or 0.0) + random.uniform(0.0, bound)


class Client:
    """A connection to a server; one is enough for a process, and threads may share it.

    `server`: `https://host:port`, `http://host:port`, or `host:port`, which is TLS but on loopback. `token`: the token, or what gives one for each
    call, so that it can be exchanged. `ca`, `cert`, `key`: PEM files. `actor`: who calls, where nobody is asked. `timeout`: seconds for a call with all
    of its retries.

    `screening`, `payouts`, `review`, `lists`, `models`, `programs`, `access` and `confirmations` have the methods of the contract by their names. Every
    one takes a request, and `timeout` in seconds and `attempts` where they shall be others, and raises `SelfsameError`; streams are not
    repeated, but for `follow`.
    """

    def __init__(
        self,
        server: str,
        *,
        token: str | Callable[[], str] | None = None,
        actor: str | None = None,
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),
    ) -> None:
        self._token, self._actor, self._timeout, self._retry = token, actor, timeout, retry
        address, is_tls, is_loopback = _address(server)
        if is_tls:
            read = lambda path: pathlib.Path(path).read_bytes() if path else None
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(read(ca), read(key), read(cert)), _OPTIONS)
        else:
            if token is not None and not is_loopback:
                raise ValueError("a token is not sent in plaintext beyond loopback: use https://")
            self._channel = grpc.insecure_channel(address, _OPTIONS)
        self.screening = self._service(screening_pb2, "ScreeningService", screening_pb2_grpc.ScreeningServiceStub)
        self.payouts = self._service(payout_pb2, "PayoutService", payout_pb2_grpc.PayoutServiceStub)
        self.review = self._service(review_pb2, "ReviewService", review_pb2_grpc.ReviewServiceStub)
        self.lists = self._service(list_pb2, "ListService", list_pb2_grpc.ListServiceStub)
        self.models = self._service(model_pb2, "ModelService", model_pb2_grpc.ModelServiceStub)
        self.programs = self._service(program_pb2, "ProgramService", program_pb2_grpc.ProgramServiceStub)
        self.access = self._service(access_pb2, "AccessService", access_pb2_grpc.AccessServiceStub)
        self.confirmations = self._service(confirmation_pb2, "ConfirmationService", confirmation_pb2_grpc.ConfirmationServiceStub)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def follow(
        self, program_id: str, after_cursor: str = "", *, kinds: Iterable[Any] = (), stop_at_end: bool = False
    ) -> Iterator[payout_pb2.WatchDecisionsResponse]:
        """The feed after a cursor, message by message, for as long as the caller takes them; with `stop_at_end` what there is.

        Keep a message's `cursor` once all of its events have been dealt with, and begin there next time: at least once, in order, without gaps. A
        connection that breaks is made anew from the last message that was taken. Raises `CursorLost` when the cursor is not known any more.
        """
        mode = payout_pb2.WATCH_MODE_STOP_AT_END if stop_at_end else payout_pb2.WATCH_MODE_FOLLOW
        heartbeat, failures = duration_pb2.Duration(seconds=_HEARTBEAT_SECONDS), 0
        while True:
            request = payout_pb2.WatchDecisionsRequest(
                program_id=program_id, after_cursor=after_cursor, kinds=kinds, mode=mode, heartbeat_every=heartbeat
            )
            call = self.payouts.stub.WatchDecisions(request, metadata=self._metadata())
            try:
                for message in _unless_silent(call):
                    failures = 0
                    yield message
                    after_cursor = message.cursor or after_cursor
                if stop_at_end:
                    return
            except grpc.RpcError as failed:
                error = error_of(failed)
                failures += 1
                if not (error.is_outcome_unknown or error.is_transient) or (stop_at_end and failures > self._retry.attempts):
                    raise error from None
                time.sleep(self._retry.wait(min(failures, 10), error.retry_after))
            finally:
                call.cancel()

    def _service(self, module: Any, name: str, stub: Any) -> "_Service":
        return _Service(self, module.DESCRIPTOR.services_by_name[name], stub(self._channel))

    def _metadata(self) -> list[tuple[str, str]]:
        token = self._token() if callable(self._token) else self._token
        shown = [("authorization", f"Bearer {token}")] if token else []
        return shown + ([("selfsame-actor", self._actor)] if self._actor else [])

    def _call(self, name: str, method: Callable[..., Any], request: Any, timeout: float | None, attempts: int | None) -> Any:
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        request, is_repeatable = _identified(name, request)
        failures = 0
        while True:
            left = deadline - time.monotonic()
            attempt = min(left, self._retry.attempt_seconds) if is_repeatable else left
            try:
                return method(request, timeout=max(attempt, 0.001), metadata=self._metadata())
            except grpc.RpcError as failed:
                error = error_of(failed)
            failures += 1
            wait = self._retry.wait(failures, error.retry_after)
            is_over = failures >= (attempts or self._retry.attempts) or time.monotonic() + wait >= deadline
            if not (is_repeatable and error.is_transient) or is_over:
                raise error
            time.sleep(wait)


class _Service:
    """A service's methods: unary ones with deadlines, retries and typed errors, streams with typed errors; `stub` is the generated one."""

    def __init__(self, client: Client, descriptor: Any, stub: Any) -> None:
        self.stub = stub
        for method in descriptor.methods:
            bound = _streamed if method.client_streaming or method.server_streaming else _bound
            setattr(self, method.name, bound(client, method.name, getattr(stub, method.name)))


def _bound(client: Client, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(request: Any, timeout: float | None = None, attempts: int | None = None) -> Any:
        return client._call(name, method, request, timeout, attempts)

    call.__name__ = name
    return call


def _streamed(client: Client, name: str, method: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    def call(request: Any, timeout: float | None = None) -> Iterator[Any]:
        try:
            yield from method(request, timeout=timeout, metadata=client._metadata())
        except grpc.RpcError as failed:
            raise error_of(failed) from None

    call.__name__ = name
    return call


def _identified(name: str, request: Any) -> tuple[Any, bool]:
    """The request with an id of the call, the same for all retries, and whether it may be repeated."""
    if name in _NAMED or name.startswith(_READS):
        return request, True
    if "request_id" not in request.DESCRIPTOR.fields_by_name:
        return request, False
    if not request.request_id:
        named = type(request)()
        named.CopyFrom(request)
        named.request_id = str(uuid.uuid4())
        request = named
    return request, True


def _unless_silent(call: Any) -> Iterator[Any]:
    """The messages of a stream, which is cancelled when none comes for too long. How long the caller takes for one does not count."""
    messages = iter(call)
    while True:
        watch = threading.Timer(_SILENCE_SECONDS, call.cancel)
        watch.daemon = True
        watch.start()
        try:
            message = next(messages)
        except StopIteration:
            return
        finally:
            watch.cancel()
        yield message


def _address(server: str) -> tuple[str, bool, bool]:
    """The address, whether it is spoken to by TLS, and whether it is on loopback."""
    scheme, separator, rest = server.partition("://")
    address = rest.rstrip("/") if separator else server
    if separator and scheme not in ("http", "https"):
        raise ValueError("a server is https://host:port, http://host:port or host:port")
    host = address.rpartition(":")[0].strip("[]")
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    return address, scheme == "https" if separator else not is_loopback, is_loopback

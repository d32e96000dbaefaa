"""One client connection of the model server: client messages become Requests, Answers become server messages.

A client's first message greets: a Hello, or a Frame, after which the client gets the plain protocol and never sees
anything else. A client's fault ends its own connection only: an invalid message, a wrong token, no greeting in time,
replies that it does not read. A client that sends much faster than any game is read no faster than `ClientLimits` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from eyehand.action_space import ActionSpace
from eyehand.errors import UserError
from eyehand.frame import RESIZE_VERSION
from eyehand.recording.format import action_from_message
from eyehand.serve.model_thread import Answer, ModelThread, Request
from eyehand.version import __version__
from eyehand.wire import extended_pb2, live_pb2
from eyehand.wire.framing import MAX_MESSAGE_BYTES, ProtocolError, Unpacker, pack
from eyehand.wire.messages import EXTENSION_VERSION, fill_action, instruction_of, read_client_message
from eyehand.wire.sockets import ListeningSocket

__all__ = ["ClientLimits", "Connection", "Service"]

LOG = logging.getLogger("eyehand.serve")

_MAX_GREETING_BYTES = 4096
_PARTING_S = 1.0


@dataclass(frozen=True)
class ClientLimits:
    """The limits on clients of a model server.

    Attributes:
        connections: that have greeted, at once; who greets when they are so many is sent away.
        silent: connections that have not greeted, at once on one listening socket; one more ends the oldest of them.
        messages_per_s: of one client, on average; a faster one is read with delay. Every KiB beside a picture counts
            as a message.
        unread_bytes: of replies that a client has not read, beyond what the system holds; then it is disconnected.
        greeting_s: time limit for the greeting.
    """

    connections: int = 64
    silent: int = 64
    messages_per_s: float = 400.0
    unread_bytes: int = 64 * 1024
    greeting_s: float = 10.0


@dataclass(frozen=True)
class Service:
    """The description of the served policy, sent to clients that send a Hello.

    Attributes:
        checkpoint: its name.
        fps: ticks per second that it was trained on.
        frame_size: height and width in pixels of its input pictures.
        space: its action space.
        instruction: for clients that send none; None: none.
    """

    checkpoint: str
    fps: float
    frame_size: int
    space: ActionSpace
    instruction: str | None = None

    def welcome(self, version: int) -> extended_pb2.ServerMessage:
        """The answer to a Hello."""
        space = self.space
        space_message = extended_pb2.ActionSpace(
            name=space.name,
            keys=space.keys,
            num_key_slots=space.num_key_slots,
            buttons=space.buttons,
            num_button_slots=space.num_button_slots,
            has_scroll=space.scroll is not None,
        )
        welcome = extended_pb2.Welcome(
            version=version,
            server=f"eyehand {__version__}",
            checkpoint=self.checkpoint,
            fps=self.fps,
            frame_size=self.frame_size,
            resize_version=RESIZE_VERSION,
            action_space=space_message,
        )
        return extended_pb2.ServerMessage(welcome=welcome)


class Connection(asyncio.Protocol):
    """The asyncio protocol of one client, on the server's event loop.

    Args:
        service: the served policy.
        model: the thread that runs the policy.
        limits: see `ClientLimits`.
        name: for the log.
        listening: the socket that it came from; its token, if there is one, must be in the Hello.
        connected: the server's open connections, the oldest first; this one adds and removes itself.

    Attributes:
        is_greeted: whether it has greeted and has its place.
    """

    def __init__(
        self,
        service: Service,
        model: ModelThread,
        limits: ClientLimits,
        name: str,
        listening: ListeningSocket,
        connected: dict[Connection, None],
    ) -> None:
        self.name, self.listening = name, listening
        self.is_greeted = False
        self._service, self._limits, self._connected = service, limits, connected
        self._loop = asyncio.get_running_loop()
        self._mailbox = model.mailbox(
            lambda answer: self._from_model(self._reply, answer), lambda error: self._from_model(self._fail, error)
        )
        self._unpacker = Unpacker(MAX_MESSAGE_BYTES if listening.token is None else _MAX_GREETING_BYTES)
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_extended = False
        self._reason = ""
        self._instruction = service.instruction
        self._seed: int | None = None
        self._num_frames = self._num_answers = 0
        self._credit, self._paced_s = limits.messages_per_s, self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connected[self] = None
        LOG.info("%s: connected", self.name)
        self._deadline = self._loop.call_later(self._limits.greeting_s, self._expect_greeting)

    def data_received(self, data: bytes) -> None:
        """Handle the messages that are complete, as many as the rate allows; the others wait for `_resume`."""
        try:
            for message in self._unpacker.feed(data):
                self._receive(message)
                if self._reason:
                    return
                if self._credit < 0 and self._transport is not None:
                    self._transport.pause_reading()
                    self._loop.call_later(-self._credit / self._limits.messages_per_s, self._resume)
                    return
        except ProtocolError as error:
            self.end(str(error), is_final=True)

    def eof_received(self) -> None:
        self._reason = self._reason or "closed by the client"
        self._close()

    def connection_lost(self, error: Exception | None) -> None:
        self._mailbox.close()
        if self._deadline is not None:
            self._deadline.cancel()  # it would keep all of this until then
        reason = self._reason or (str(error) if error else "closed by the client")
        LOG.info("%s: %s (%d frames, %d answers)", self.name, reason, self._num_frames, self._num_answers)
        self._connected.pop(self, None)

    def end(self, reason: str, *, is_final: bool) -> None:
        """Close the connection; a client of the extension is sent the reason and whether it may reconnect."""
        transport = self._transport
        if self._reason or transport is None or transport.is_closing():
            return
        self._reason = reason
        if self._is_extended:
            parting = extended_pb2.Parting(reason=reason, is_final=is_final)
            transport.write(pack(extended_pb2.ServerMessage(parting=parting).SerializeToString()))
        self._close()

    def _close(self) -> None:
        """Close when the client has read its replies, at the latest in a second: one that reads nothing would stay."""
        self._mailbox.close()
        if self._transport is not None:
            self._transport.close()
            self._loop.call_later(_PARTING_S, self._transport.abort)

    def _receive(self, data: memoryview) -> None:
        message, picture = read_client_message(data)
        self._charge(len(data) - (0 if picture is None else picture.nbytes))
        if not self.is_greeted:
            self._greet(message)
            if not self.is_greeted:
                return
        elif message.HasField("hello"):
            raise ProtocolError("a second Hello")
        if self._is_extended:
            self._follow(message)
        if picture is None:
            if not self._is_extended:
                raise ProtocolError("a Frame without a picture")
            return
        self._num_frames += 1
        executed = action_from_message(message.executed) if self._is_extended else None
        captured_ns = message.captured_ns if self._is_extended else 0
        arrived_ns = time.monotonic_ns()
        seed, self._seed = self._seed, None
        self._mailbox.put(Request(message.id, picture, arrived_ns, captured_ns, self._instruction, executed, seed))

    def _greet(self, message: extended_pb2.ClientMessage) -> None:
        """Choose the protocol by the first message, check the token, and take a place if one is free."""
        hello, token = message.hello, self.listening.token
        self._is_extended = message.HasField("hello")
        if token is not None and not hmac.compare_digest(hello.token.encode(), token.encode()):
            raise ProtocolError("the token is wrong or missing: give --token-file with the one of the server")
        if sum(one.is_greeted for one in self._connected) >= self._limits.connections:
            self.end(f"all {self._limits.connections} places are taken", is_final=False)
            return
        self.is_greeted = True
        self._unpacker.max_bytes = MAX_MESSAGE_BYTES
        if not self._is_extended:
            return
        if hello.version < 1:
            raise ProtocolError("a Hello without a version")
        LOG.info("%s: is %r", self.name, hello.client[:80])
        self._send(self._service.welcome(min(hello.version, EXTENSION_VERSION)).SerializeToString())

    def _follow(self, message: extended_pb2.ClientMessage) -> None:
        """Handle the extension's fields of a message: instruction, reset, heartbeat."""
        if message.HasField("instruction"):
            self._instruction = instruction_of(message)
        if message.HasField("reset"):
            self._seed = message.reset.seed
        if message.heartbeat:
            self._send(extended_pb2.ServerMessage(heartbeat=message.heartbeat).SerializeToString())

    def _reply(self, answer: Answer) -> None:
        request = answer.request
        message: live_pb2.Action | extended_pb2.ServerMessage
        if self._is_extended:
            timing = extended_pb2.Timing(
                captured_ns=request.captured_ns,
                wait_ms=answer.wait_ms,
                decide_ms=answer.decide_ms,
                stage_ms=answer.stage_ms,
                num_dropped=request.num_dropped,
            )
            message = extended_pb2.ServerMessage(timing=timing)
        else:
            message = live_pb2.Action()
        fill_action(message, request.frame_id, answer.action)
        self._num_answers += 1
        self._send(message.SerializeToString())

    def _fail(self, error: Exception) -> None:
        """Close after an exception of the player: a UserError is sent to the client, any other goes to the log."""
        if isinstance(error, UserError):
            self.end(str(error), is_final=True)
            return
        LOG.error("%s: the model failed", self.name, exc_info=error)
        self.end("the model failed", is_final=False)

    def _from_model(self, function: Callable[..., None], *arguments: object) -> None:
        """Call this on the event loop, from the model's thread, which may outlive the loop by one decision."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _send(self, message: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(pack(message))
        if transport.get_write_buffer_size() > self._limits.unread_bytes:
            self._reason = "does not read its replies"
            self._mailbox.close()
            transport.abort()

    def _charge(self, num_bytes: int) -> None:
        """Count a message of so many bytes beside its picture, with a token bucket of one second."""
        rate, now_s = self._limits.messages_per_s, self._loop.time()
        self._credit = min(rate, self._credit + (now_s - self._paced_s) * rate) - 1 - num_bytes // 1024
        self._paced_s = now_s

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self.data_received(b"")

    def _expect_greeting(self) -> None:
        if not self.is_greeted:
            self.end("it said nothing in time", is_final=True)

"""The client's side of the wire: a connection to a model server that reconnects by itself and never blocks its user.

    offer(Look) -> number     the newest Look is sent as soon as the one before is on its way; none queues up
    reply(number) -> Reply    waits for the answer, a timeout, or the end of the connection

The connection runs on a thread of its own, which sends heartbeats and drops a connection on which nothing comes back.
The first Look of every connection begins an episode, for the server has no state of the old one. Knows no players.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eyehand.action import Action
from eyehand.errors import UserError
from eyehand.recording.format import action_to_message
from eyehand.version import __version__
from eyehand.wire import extended_pb2
from eyehand.wire.address import Address
from eyehand.wire.framing import ProtocolError, Unpacker, pack
from eyehand.wire.messages import EXTENSION_VERSION, MAX_BESIDE_PICTURE, action_of, parse

__all__ = ["Look", "ModelClient", "Reply"]

_HEARTBEAT_S = 0.5
_FIRST_DELAY_S = 0.05
_MAX_DELAY_S = 1.0
_UNSENT_BYTES = 64 * 1024


@dataclass(frozen=True)
class Look:
    """One observation for the server: picture, instruction and executed action.

    Attributes:
        pixels: uint8 RGB (H, W, 3).
        captured_ns: on the clock of this machine.
        instruction: None: none.
        executed: the action executed since the Look before.
        seed: of the episode's random numbers.
        begins: whether it is the first of an episode.
    """

    pixels: NDArray[np.uint8]
    captured_ns: int
    instruction: str | None
    executed: Action
    seed: int
    begins: bool

    def replacing(self, older: Look) -> Look:
        """This Look in place of an older unsent one, whose motion and episode start it keeps."""
        if self.begins:
            return self
        return replace(self, executed=older.executed.then(self.executed), seed=older.seed, begins=older.begins)

    def to_message(self, number: int, last_instruction: str | None) -> extended_pb2.ClientMessage:
        """The client message. `last_instruction`: the last one sent on this connection; None: nothing was sent."""
        height, width, _ = self.pixels.shape
        message = extended_pb2.ClientMessage(
            width=width,
            height=height,
            data=self.pixels.tobytes(),
            id=number,
            captured_ns=self.captured_ns,
            executed=action_to_message(self.executed),
        )
        if last_instruction != (self.instruction or ""):
            message.instruction = self.instruction or ""
        if self.begins or last_instruction is None:
            message.reset.seed = self.seed
        return message


@dataclass(frozen=True)
class Reply:
    """The server's answer to a Look."""

    number: int
    action: Action
    timing: extended_pb2.Timing


class ModelClient:
    """A connection to a model server that reconnects. Call `connect` before anything else, `close` at the end.

    Args:
        address: of the server.
        token: that the server requires; None: none.
        dead_after_s: a connection on which nothing arrives for so long, heartbeats included, is dropped.

    Attributes:
        service: the server's Welcome: policy and action space; valid after `connect`.
    """

    def __init__(self, address: Address, token: str | None = None, *, dead_after_s: float = 2.0) -> None:
        self.address = address
        self.service = extended_pb2.Welcome()
        self._dead_after_s = dead_after_s
        self._token = token or ""
        self._changed = threading.Condition()
        self._look: tuple[int, Look] | None = None
        self._is_connected = False
        self._first_number = self._last_number = 0
        self._reply: Reply | None = None
        self._heard_s = 0.0
        self._trouble = ""
        self._is_refused = False
        self._is_closing = False
        self._loop = asyncio.new_event_loop()
        self._line: _Line | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="eyehand model client", daemon=True)

    def connect(self, timeout_s: float = 10.0) -> None:
        """Connect; returns when the server has sent its Welcome.

        Raises:
            UserError: there is no eyehand server at the address, or it refuses the client.
        """
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._is_connected or self._trouble, timeout_s)
            if self._is_connected:
                return
            trouble, is_refused = self._trouble or f"no answer in {timeout_s:g} s", self._is_refused
        self.close()
        if is_refused:
            raise UserError(f"The server at {self.address} does not want to play: {trouble}.")
        raise UserError(f"There is no model server at {self.address} ({trouble}): start `eyehand serve` there.")

    def close(self) -> None:
        """End the connection and the thread. May be called twice."""
        with self._changed:
            is_first, self._is_closing = not self._is_closing, True
        if not is_first or not self._thread.is_alive():
            return
        self._on_loop(self._cancel)
        self._thread.join(timeout=5.0)

    def offer(self, look: Look) -> int:
        """Send a Look as soon as possible; returns its number, for `reply`. 0 without a connection.

        Raises:
            UserError: the server has refused the client.
        """
        with self._changed:
            if self._is_refused:
                raise UserError(f"The server at {self.address} has ended the game: {self._trouble}.")
            if not self._is_connected:
                return 0
            if self._look is not None:
                look = look.replacing(self._look[1])
            self._last_number = number = self._last_number + 1
            self._look = (number, look)
        self._on_loop(self._flush)
        return number

    def reply(self, number: int, since_s: float, silence_s: float) -> Reply | None:
        """Wait for the answer to the Look of this number.

        Args:
            number: from `offer`.
            since_s: start of the timeout at the earliest, on `time.monotonic`.
            silence_s: timeout after the last message from the server.

        Returns:
            None: the timeout passed, or the connection is lost.
        """
        with self._changed:
            while self._is_connected and number >= self._first_number:
                if self._reply is not None and self._reply.number >= number:
                    return self._reply if self._reply.number == number else None
                left_s = max(since_s, self._heard_s) + silence_s - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            return None

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._keep_connected())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            self._lost("the client has ended")
            self._loop.close()

    def _on_loop(self, function: Callable[[], None]) -> None:
        """Call this on the event loop, unless it has just ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _keep_connected(self) -> None:
        delay_s = _FIRST_DELAY_S
        while not self._is_refused:
            line = _Line(self, self._token)
            try:
                await self._open(line)
            except OSError as error:
                self._lost(error.strerror or str(error) or "it does not answer")
            else:
                await self._watch(line)
                delay_s = _FIRST_DELAY_S if line.is_welcome else delay_s
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _MAX_DELAY_S)

    async def _open(self, line: _Line) -> None:
        async with asyncio.timeout(self._dead_after_s):
            if self.address.path is not None:
                await self._loop.create_unix_connection(lambda: line, str(self.address.path))
            else:
                await self._loop.create_connection(lambda: line, self.address.host, self.address.port)

    async def _watch(self, line: _Line) -> None:
        """Send heartbeats, and drop a silent connection, until the connection ends."""
        try:
            while not line.ended.done():
                await asyncio.wait({line.ended}, timeout=_HEARTBEAT_S)
                if time.monotonic() - line.heard_s > self._dead_after_s:
                    line.give_up("nothing was heard from the server")
                line.beat()
        finally:
            line.give_up("the client has ended")
            await line.ended

    def _flush(self) -> None:
        """Send the newest Look if the one before has been written. On the event loop."""
        line = self._line
        if line is None or not line.is_clear:
            return
        with self._changed:
            look, self._look = self._look, None
        if look is not None:
            line.send_look(*look)

    def _welcomed(self, line: _Line, welcome: extended_pb2.Welcome) -> None:
        self._line = line
        with self._changed:
            self.service = welcome
            self._is_connected = True
            self._first_number = self._last_number + 1
            self._changed.notify_all()

    def _heard(self, reply: Reply | None = None) -> None:
        with self._changed:
            self._heard_s = time.monotonic()
            self._reply = reply or self._reply
            self._changed.notify_all()

    def _lost(self, trouble: str, *, is_refused: bool = False) -> None:
        self._line = None
        with self._changed:
            self._is_connected, self._look, self._reply = False, None, None
            self._trouble = trouble
            self._is_refused = self._is_refused or is_refused
            self._changed.notify_all()


class _Line(asyncio.Protocol):
    """The asyncio protocol of one connection, on the client's event loop."""

    def __init__(self, client: ModelClient, token: str) -> None:
        self._client, self._token = client, token
        self._unpacker = Unpacker(MAX_BESIDE_PICTURE)  # a server sends no pictures
        self._transport: asyncio.Transport | None = None
        self._trouble = ""
        self._is_refused = False
        self._instruction: str | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard_s = time.monotonic()
        self.is_welcome = False
        self.is_clear = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        _keep_short(transport.get_extra_info("socket"))
        hello = extended_pb2.Hello(version=EXTENSION_VERSION, token=self._token, client=f"eyehand {__version__}")
        self._send(extended_pb2.ClientMessage(hello=hello))

    def data_received(self, data: bytes) -> None:
        self.heard_s = time.monotonic()
        self._client._heard()
        try:
            for message in self._unpacker.feed(data):
                self._receive(parse(extended_pb2.ServerMessage, message))
        except ProtocolError as error:
            self._is_refused = True
            self.give_up(f"the server sent {error}")

    def pause_writing(self) -> None:
        self.is_clear = False

    def resume_writing(self) -> None:
        self.is_clear = True
        self._client._flush()

    def connection_lost(self, error: Exception | None) -> None:
        trouble = self._trouble or (str(error) if error else "the server has closed the connection")
        self._client._lost(trouble, is_refused=self._is_refused)
        if not self.ended.done():
            self.ended.set_result(None)

    def give_up(self, trouble: str) -> None:
        """End this connection now."""
        self._trouble = self._trouble or trouble
        if self._transport is not None:
            self._transport.abort()

    def beat(self) -> None:
        """Send a heartbeat, unless a picture is still being written."""
        if self.is_clear:
            self._send(extended_pb2.ClientMessage(heartbeat=time.monotonic_ns()))

    def send_look(self, number: int, look: Look) -> None:
        """Send a picture; the instruction only if it has changed."""
        self._send(look.to_message(number, self._instruction))
        self._instruction = look.instruction or ""

    def _receive(self, message: extended_pb2.ServerMessage) -> None:
        if message.HasField("welcome"):
            self.is_welcome = True
            self._client._welcomed(self, message.welcome)
        elif message.HasField("parting"):
            self._trouble = message.parting.reason[:200]
            self._is_refused = message.parting.is_final
        elif message.HasField("timing"):
            self._client._heard(Reply(message.id, action_of(message), message.timing))

    def _send(self, message: extended_pb2.ClientMessage) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pack(message.SerializeToString()))


def _keep_short(connection: socket.socket) -> None:
    """Limit the kernel's send buffer, so that a slow line carries recent pictures."""
    if connection.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)

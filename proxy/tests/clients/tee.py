"""A TCP relay in front of the tested address that keeps what the clients send.

It changes no byte, and passes on at once that one side has gone.
"""

import asyncio
import hashlib
import threading
from dataclasses import dataclass

CHUNK = 65_536


@dataclass(frozen=True)
class Sent:
    """A request as a client sent it."""

    method: str
    path: str
    length: int
    sha256: str


class Requests:
    """Reads HTTP/1.1 requests out of a byte stream that arrives in any pieces."""

    def __init__(self, keep) -> None:
        self.buffer = bytearray()
        self.keep = keep

    def feed(self, data: bytes) -> None:
        self.buffer += data
        while self.take():
            pass

    def take(self) -> bool:
        """Takes one whole request off the front, if there is one."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        rest = self.buffer[end + 4 :]
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body, used = dechunked(rest)
        else:
            used = int(headers.get("content-length", 0))
            body = rest[:used] if len(rest) >= used else None
        if body is None:
            return False
        method, path, _ = first.split(" ", 2)
        self.keep(Sent(method, path, len(body), hashlib.sha256(body).hexdigest()))
        del self.buffer[: end + 4 + used]
        return True


def dechunked(data: bytes):
    """The body and how many bytes it took, or (None, 0) if it is not all there."""
    body, at = bytearray(), 0
    while True:
        line = data.find(b"\r\n", at)
        if line < 0:
            return None, 0
        size = int(bytes(data[at:line]).split(b";")[0], 16)
        end = line + 2 + size + 2
        if len(data) < end:
            return None, 0
        body += data[line + 2 : line + 2 + size]
        at = end
        if size == 0:
            return body, at


class Tee:
    """Relays to `host:port` in a thread of its own."""

    def __init__(self, host: str, port: int) -> None:
        self.upstream = (host, port)
        self.sent: list[Sent] = []
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self.run, args=(started,), daemon=True).start()
        started.wait()

    def run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.connection, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()

    async def connection(self, reader, writer) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.close()
            return
        requests = Requests(self.sent.append)
        pumps = [
            asyncio.ensure_future(pump(reader, upstream_writer, requests.feed)),
            asyncio.ensure_future(pump(upstream_reader, writer, lambda _: None)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for task in pumps:
            task.cancel()
        for side in (writer, upstream_writer):
            side.close()

    def take(self) -> list[Sent]:
        """What was sent since the last call."""
        taken, self.sent[:] = list(self.sent), []
        return taken


async def pump(reader, writer, see) -> None:
    try:
        while data := await reader.read(CHUNK):
            see(data)
            writer.write(data)
            await writer.drain()
    except OSError:
        pass

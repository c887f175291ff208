"""A relay that holds what it passes on for a while, both ways: a long path without a narrow place.

`python -m bench.relay PORT TARGET SECONDS` listens on PORT of 127.0.0.1 and connects each client to TARGET. How much lies
in it is up to the windows of those who speak through it.
"""

from __future__ import annotations

import asyncio
import sys

PIECE = 1 << 18


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass on what comes, each piece `delay` seconds after it came, and then the end."""
    clock = asyncio.get_running_loop().time
    held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        data = b"?"
        while data:
            try:
                data = await reader.read(PIECE)
            except ConnectionError:
                data = b""
            held.put_nowait((clock() + delay, data))

    reading = asyncio.create_task(read())
    try:
        while True:
            due, data = await held.get()
            await asyncio.sleep(max(due - clock(), 0))
            if not data:
                break
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        reading.cancel()
    finally:
        writer.close()


async def relay(port: int, target: int, delay: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target, limit=PIECE)
        await asyncio.gather(carry(reader, far_writer, delay), carry(far_reader, writer, delay))

    server = await asyncio.start_server(connected, "127.0.0.1", port, limit=PIECE)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))

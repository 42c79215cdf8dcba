"""Carries connections to a port of this machine into a network namespace: publish.py PID ADDRESS:PORT TARGET:PORT."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000


async def main() -> None:
    pid, listen, target = sys.argv[1:]
    host, port = listen.rsplit(":", 1)
    # A socket stays in the network it was made in: this one in the machine's, those made later in the namespace's.
    listener = socket.create_server((host, int(port)), backlog=200)
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    to_host, to_port = target.rsplit(":", 1)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            try:
                far_reader, far_writer = await asyncio.open_connection(to_host, int(to_port))
                try:
                    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
                finally:
                    far_writer.close()
            finally:
                writer.close()

    server = await asyncio.start_server(carry, sock=listener)
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await server.serve_forever()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


asyncio.run(main())

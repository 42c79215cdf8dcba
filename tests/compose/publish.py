"""Forwards connections from a port of this machine into a network namespace: publish.py PID ADDRESS:PORT TARGET:PORT."""

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
    # A socket stays in the network in which it was created: this one in the machine's, later ones in the namespace's.
    listener = socket.create_server((host, int(port)), backlog=200)
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    to_host, to_port = target.rsplit(":", 1)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            try:
                target_reader, target_writer = await asyncio.open_connection(to_host, int(to_port))
                try:
                    await asyncio.gather(copy(reader, target_writer), copy(target_reader, writer))
                finally:
                    target_writer.close()
            finally:
                writer.close()

    server = await asyncio.start_server(forward, sock=listener)
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await server.serve_forever()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


asyncio.run(main())

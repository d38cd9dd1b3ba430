#!/usr/bin/env python3
"""A TCP relay that records what passes as pcapng, for tests whose machine refuses to capture on loopback.

Prints `listening PORT`, connects each client to the target, and writes every chunk as an Ethernet/IPv4/TCP frame with
sequence and acknowledgement numbers that fit, before it passes the chunk on: the file holds at least what either end
has read. In the frames the server has the target's port, so `dissect.sh FILE PORT` finds the protocol. Ends with its
standard input or on SIGTERM; each block goes out in one write, so a killed relay leaves a readable file.

Limits: IPv4 addresses in the frames only; a reset by one end reaches the other as a reset, half-closes are kept.
"""

import argparse
import asyncio
import os
import signal
import struct
import sys
import time

CHUNK = 16384
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
ETHERNET = bytes.fromhex("020000000002020000000001") + b"\x08\x00"


def block(kind, body):
    """One pcapng block: type, length, body padded to 32 bits, length again."""
    body += b"\0" * (-len(body) % 4)
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def checksum(data):
    """The Internet checksum: a number modulo 0xffff is the one's-complement sum of its 16-bit digits."""
    if len(data) % 2:
        data += b"\0"
    rest = int.from_bytes(data, "big") % 0xFFFF
    return 0xFFFF - rest if rest else (0 if any(data) else 0xFFFF)


class Recording:
    """The pcapng file: one section, one Ethernet interface with microseconds."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        self.write(block(0x00000001, struct.pack("<HHI", 1, 0, 0)))

    def write(self, data):
        while data:
            data = data[os.write(self.file, data):]

    def frame(self, frame):
        now = time.time_ns() // 1000
        head = struct.pack("<IIIII", 0, now >> 32, now & 0xFFFFFFFF, len(frame), len(frame))
        self.write(block(0x00000006, head + frame))


class End:
    """One end of a recorded connection."""

    def __init__(self, address, first):
        self.ip = bytes(int(part) for part in address[0].split("."))
        self.port = address[1]
        self.next = first


class Conversation:
    """Frames of one connection, with both ends' sequence numbers."""

    def __init__(self, recording, client, server):
        self.recording = recording
        self.client = End(client, 1000)
        self.server = End(server, 5000)
        self.packets = 0
        self.over = False
        self.send(self.client, SYN)
        self.send(self.server, SYN | ACK)
        self.send(self.client, ACK)

    def send(self, source, flags, data=b""):
        if self.over:
            return
        other = self.server if source is self.client else self.client
        ack = other.next if flags & ACK else 0
        tcp = struct.pack(">HHIIBBHHH", source.port, other.port, source.next, ack, 0x50, flags, 0xFFFF, 0, 0) + data
        pseudo = source.ip + other.ip + struct.pack(">HH", 6, len(tcp))
        tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp)) + tcp[18:]
        self.packets = (self.packets + 1) & 0xFFFF
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), self.packets, 0x4000, 64, 6, 0, source.ip, other.ip)
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        self.recording.frame(ETHERNET + ip + tcp)
        source.next = (source.next + len(data) + (1 if flags & (SYN | FIN) else 0)) & 0xFFFFFFFF
        self.over = bool(flags & RST)


async def pump(reader, writer, conversation, source):
    """Passes one direction on until it ends. Raises ConnectionError when either end resets."""
    while data := await reader.read(CHUNK):
        conversation.send(source, PSH | ACK, data)
        writer.write(data)
        await writer.drain()
    conversation.send(source, FIN | ACK)
    if writer.can_write_eof():
        writer.write_eof()


async def relay(reader, writer, target, recording):
    client = writer.get_extra_info("peername")[:2]
    try:
        far_reader, far_writer = await asyncio.open_connection(*target)
    except OSError as error:
        print(f"relay: {error}", file=sys.stderr, flush=True)
        writer.transport.abort()
        return
    conversation = Conversation(recording, client, far_writer.get_extra_info("peername")[:2])
    directions = [
        asyncio.ensure_future(pump(reader, far_writer, conversation, conversation.client)),
        asyncio.ensure_future(pump(far_reader, writer, conversation, conversation.server)),
    ]
    done, unfinished = await asyncio.wait(directions, return_when=asyncio.FIRST_EXCEPTION)
    for direction in unfinished:
        direction.cancel()
    errors = [direction.exception() for direction in done if direction.exception()]
    if errors:
        reset_by_client = directions[0] in done and directions[0].exception() is not None
        conversation.send(conversation.client if reset_by_client else conversation.server, RST | ACK)
        writer.transport.abort()
        far_writer.transport.abort()
        unforeseen = [error for error in errors if not isinstance(error, ConnectionError)]
        if unforeseen:
            raise unforeseen[0]
    else:
        writer.close()
        far_writer.close()


async def main():
    parser = argparse.ArgumentParser(description="record a TCP conversation as pcapng")
    parser.add_argument("--target", required=True, metavar="HOST:PORT")
    parser.add_argument("--pcapng", required=True, metavar="FILE")
    parser.add_argument("--port", type=int, default=0, help="where to listen (default: any free port)")
    parser.add_argument("--stay", action="store_true", help="do not end with standard input")
    options = parser.parse_args()
    host, port = options.target.rsplit(":", 1)
    recording = Recording(options.pcapng)

    async def on_client(reader, writer):
        await relay(reader, writer, (host, int(port)), recording)

    server = await asyncio.start_server(on_client, "127.0.0.1", options.port, limit=CHUNK)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if not options.stay:
        # A thread, not a reader: standard input may be a file, which epoll refuses.
        waiting = loop.run_in_executor(None, sys.stdin.buffer.read)
        waiting.add_done_callback(lambda _: ended.set())
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await ended.wait()
    sys.stdout.flush()
    # Not a return: the thread that waits for standard input would keep the process.
    os._exit(0)


asyncio.run(main())

#!/usr/bin/env python3
"""Whether others read the gateway's UCP frames as it wrote them: `ucp_check.py < FRAMES`, one frame a line, hexadecimal.

Each frame goes to the PyPI package ucp, which reads it and writes it again: what it writes goes to standard output, a
line each. All go to tshark, which has to find every TRN, AdC and OAdC, nothing malformed and every checksum right, and those
that are planted wrong. Run it with the Python of the peers. What it compared is said on standard error.
"""

import pathlib
import subprocess
import sys
import tempfile

import ucp

PORT = 5000
REQUESTS = {1: ucp.Request01, 2: ucp.Request02, 3: ucp.Request03, 30: ucp.Request30, 31: ucp.Request31}


def read(frame):
    fields = frame[1:-1].split("/")
    if fields[2] == "R":
        return ucp.Response.from_string(frame)
    ot = int(fields[3])
    request = REQUESTS.get(ot) or (ucp.Request6x if ot >= 60 else ucp.Request5x)
    return request.from_string(frame)


def check_package(frames):
    for frame in frames:
        print(str(read(frame)).encode("ascii").hex())


def planted(frame):
    """The same frame with another checksum."""
    return f"{frame[:-3]}{int(frame[-3:-1], 16) ^ 1:02X}{frame[-1]}"


def tshark(capture, *options):
    command = ["tshark", "-r", capture, "-d", f"tcp.port=={PORT},ucp", "-o", "tcp.analyze_sequence_numbers:FALSE", *options]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return said.splitlines()


def record(directory, frames):
    dump, capture = pathlib.Path(directory, "dump"), pathlib.Path(directory, "capture")
    dump.write_text("".join(f"000000 {frame.encode('ascii').hex(' ')}\n\n" for frame in frames))
    subprocess.run(["text2pcap", "-q", "-T", f"{PORT},{PORT + 1}", dump, capture], check=True, stderr=subprocess.DEVNULL)
    return capture


def check_tshark(directory, frames):
    capture = record(directory, frames)
    fields = ["ucp.hdr.TRN", "ucp.hdr.OT", "ucp.parm.AdC", "ucp.parm.OAdC", "_ws.malformed", "_ws.expert.message"]
    rows = tshark(capture, "-T", "fields", "-E", "separator=;", *(option for field in fields for option in ("-e", field)))
    assert len(rows) == len(frames), f"{len(rows)} of {len(frames)} packets"
    for frame, row in zip(frames, rows):
        trn, ot, adc, oadc, malformed, notes = row.split(";")
        fields = frame[1:-1].split("/")
        assert not malformed and not notes, f"{frame!r}: {malformed} {notes}"
        assert (int(trn), int(ot)) == (int(fields[0]), int(fields[3])), frame
        if fields[2] == "O" and 51 <= int(ot) <= 58:
            assert (adc, oadc) == (fields[4], fields[5]), frame
    invalid = [line for line in tshark(capture) if "checksum invalid" in line]
    assert not invalid, invalid[:3]
    wrong = tshark(record(directory, [planted(frame) for frame in frames[:20]]))
    assert len(wrong) == 20 and all("checksum invalid" in line for line in wrong), "the dissector looks at no checksum"


def main():
    frames = [bytes.fromhex(line).decode("ascii") for line in sys.stdin.read().split()]
    check_package(frames)
    with tempfile.TemporaryDirectory() as directory:
        check_tshark(directory, frames)
    print(f"{len(frames)} frames read and written by ucp, dissected by tshark", file=sys.stderr)


main()

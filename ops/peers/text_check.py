#!/usr/bin/env python3
"""Whether others read the gateway's texts as it wrote them: `text_check.py < CASES`, one case a line, fields by blanks.

    table locking|single LANGUAGE CODE POINT    a cell of a table, POINT 0 where it is void; decimal
    units LOCKING SINGLE TEXT UNITS             a text in a pair of tables; TEXT in UTF-8, hexadecimal like all octets
    parts gsm7|ucs2 TEXT PART..                 user data of each part, header in front
    tpdu TEXT HEADER SEPTETS PACKED             one part as it goes over the air; SEPTETS in the text

Cells and texts go against gsmcodecs (tables read from 3GPP TS 23.038 release 18), parts against smpplib, parts over the
air against tshark. Run it with the Python of the peers. It ends at the first difference that is not known as an error of
the peer; those are named below, each with its reason, and must still be there. Prints how many cases were compared.
"""

import collections
import json
import pathlib
import subprocess
import sys
import tempfile

import smpplib.consts
import smpplib.gsm
from gsmcodecs.charmaps import GSMCHARMAPS

ESCAPE = 0x1B
COMMA = 0x2C
USER_0 = "147"
PACKETS = 2000

# Cells that gsmcodecs has otherwise: it reads the comma of the tables of Bengali to Urdu as an apostrophe, and has what
# the standard prints on 0x24 of Kannada, where PA takes the place of DDA (the printed table has PA twice and DDA nowhere).
KNOWN = {("locking", language, COMMA): 0x27 for language in range(4, 14)} | {("locking", 7, 0x24): 0x0CAA}


def table(kind, language):
    return GSMCHARMAPS.get(language, {}).get({"locking": "locking", "single": "singleShift"}[kind], {"decode": {}})["decode"]


def cell(kind, language, code):
    """What gsmcodecs has, its known errors corrected; None where it has nothing. Spanish has no locking table."""
    if kind == "locking" and language == 2:
        language = 0
    if (kind, language, code) in KNOWN:
        return {COMMA: COMMA, 0x24: 0x0CA1}[code]
    return table(kind, language).get(code)


def check_table(kind, language, code, point):
    language, code, point = int(language), int(code), int(point)
    known = KNOWN.get((kind, language, code))
    assert known is None or table(kind, language).get(code) == known, f"{kind} {language} {code:#x}: no longer wrong, forget it"
    if code != ESCAPE:  # gsmcodecs keeps a space there
        assert cell(kind, language, code) == (point or None), f"{kind} {language} {code:#x}: ours is {point:#x}"


def check_units(locking, single, text, units):
    locking, single, units = int(locking), int(single), bytes.fromhex(units)
    read, at = "", 0
    while at < len(units):
        escaped = units[at] == ESCAPE
        at += escaped
        read += chr(cell("single", single, units[at]) if escaped else cell("locking", locking, units[at]))
        at += 1
    assert read == text, f"{locking} {single}: {text!r} is read as {read!r}"


def check_parts(encoding, text, *parts):
    parts = [bytes.fromhex(part) for part in parts]
    theirs, coding, _ = smpplib.gsm.make_parts(text)
    assert (coding == smpplib.consts.SMPP_ENCODING_DEFAULT) == (encoding == "gsm7"), f"{text!r}: {coding}"

    def header_and_body(part):
        return (part[:3] + part[4:6], part[6:]) if len(theirs) > 1 else (b"", part)  # without the reference, theirs is random

    if [header_and_body(part) for part in theirs] == [header_and_body(part) for part in parts]:
        return True
    # smpplib cuts within characters, and says so; then the whole must be the same.
    bodies = [header_and_body(part)[1] for part in theirs]
    cut = [body for body in bodies[:-1] if ends_within(encoding, body)]
    assert cut, f"{text!r}: other parts, and none is cut within a character"
    assert b"".join(bodies) == b"".join(header_and_body(part)[1] for part in parts), f"{text!r}: other units"
    return False


def ends_within(encoding, body):
    if encoding == "gsm7":
        return (len(body) - len(body.rstrip(b"\x1b"))) % 2 == 1
    return 0xD8 <= body[-2] <= 0xDB


def deliver(header, septets, packed):
    """An SMS-DELIVER with this user data: 3GPP TS 23.040 section 9.2.2.1."""
    user_data = header + packed
    length = (len(header) * 8 + (-len(header) * 8) % 7) // 7 + septets
    first = 0x04 | (0x40 if header else 0)
    return bytes([first, 12, 0x91]) + bytes.fromhex("947110000000" "0000" "62112100000000") + bytes([length]) + user_data


def check_over_the_air(cases):
    fields = ["gsm_sms.sms_text", "gsm_sms.dis_field_udh.user_data_header_length", "_ws.malformed"]
    with tempfile.TemporaryDirectory() as directory:
        dump, capture = pathlib.Path(directory, "dump"), pathlib.Path(directory, "capture")
        dump.write_text("".join(f"000000 {deliver(*case[1:]).hex(' ')}\n\n" for case in cases))
        subprocess.run(["text2pcap", "-q", "-l", USER_0, dump, capture], check=True, stderr=subprocess.DEVNULL)
        command = ["tshark", "-r", capture, "-T", "json", "-o", "gsm_sms.reassemble:FALSE"]
        command += ["-o", f'uat:user_dlts:"User 0 (DLT={USER_0})","gsm_sms","0","","0",""']
        command += [option for field in fields for option in ("-e", field)]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    packets = [packet["_source"]["layers"] for packet in json.loads(said)]
    assert len(packets) == len(cases), f"{len(packets)} of {len(cases)} packets"
    for packet, (text, header, septets, _) in zip(packets, cases):
        assert "_ws.malformed" not in packet, f"{text!r} behind {header.hex()} is malformed"
        read = packet.get(fields[0], [""])[0]
        assert read == text, f"{septets} septets behind {header.hex()}: {text!r} is read as {read!r}"
        if header:
            assert packet[fields[1]] == [str(header[0])], packet
    return len(cases)


def main():
    done, air = collections.Counter(), []
    for line in sys.stdin:
        kind, *case = line.split()
        if kind == "table":
            check_table(*case)
        elif kind == "units":
            check_units(case[0], case[1], bytes.fromhex(case[2]).decode(), case[3])
        elif kind == "parts":
            if not check_parts(case[0], bytes.fromhex(case[1]).decode(), *case[2:]):
                kind = "parts cut elsewhere"
        elif kind == "tpdu":
            text, header, septets, packed = case
            air.append((bytes.fromhex(text).decode(), bytes.fromhex(header.strip("-")), int(septets), bytes.fromhex(packed.strip("-"))))
        else:
            raise AssertionError(f"unknown case {kind}")
        done[kind] += 1
    for begin in range(0, len(air), PACKETS):
        check_over_the_air(air[begin : begin + PACKETS])
    print("compared: " + ", ".join(f"{count} {kind}" for kind, count in sorted(done.items())))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What the PyPI package smpplib makes of vectors.json: one line `NAME HEX` for each PDU it knows, all with sequence
number 7.

The output is committed beside the codec's tests, which hold our codec to the same octets; a test runs this again and
compares, so that the file stays what the package writes.

Limits: the package knows no 5.0, no submit_multi, cancel_sm, replace_sm and outbind; its PDUs that it never writes
itself (a server's answers) come out of it like any other.
"""

import json
import pathlib

from smpplib import exceptions, smpp


class Client:
    """What the package asks for sequence numbers."""

    sequence = 7

    def next_sequence(self):
        return self.sequence


def octets(value):
    """Octets stand in the list as {"hex": ...}, so that neither package touches a character set."""
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) and "hex" in value else value


for vector in json.loads((pathlib.Path(__file__).parent / "vectors.json").read_text()):
    fields = {name: octets(value) for name, value in vector["fields"].items()}
    try:
        pdu = smpp.make_pdu(vector.get("command", vector["name"]), client=Client(), sequence=7, status=vector.get("status"), **fields)
    except exceptions.UnknownCommandError:
        continue
    # Answers are made for a request in the package, and take its number from there.
    pdu.sequence = 7
    print(vector["name"], pdu.generate().hex())

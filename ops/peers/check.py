#!/usr/bin/env python3
"""Whether the peers understand each other without the gateway: smpplib sends through relay.py to carrier.js.

Run it with the Python of the peers: `$SMSGW_PEERS/venv/bin/python ops/peers/check.py [SUBMITS]`. It asserts that every
submit is in the ledger octet for octet, that every receipt and an MO come back, that a wrong password is refused, that
tshark finds nothing wrong with the recording, and that it does find what is planted. Prints the rate it saw.
"""

import json
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time

import smpplib.client
import smpplib.consts
import smpplib.exceptions

HERE = pathlib.Path(__file__).resolve().parent
DEADLINE = 60


def start(*args):
    """Starts a peer and reads its port; it ends with our end of its standard input."""
    process = subprocess.Popen([str(a) for a in args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.startswith("listening "), f"{args[0]} said {line!r}"
    return process, int(line.split()[1])


def connect(port, sent, delivered):
    """Binds a client whose handlers are there before the bind: a carrier delivers as soon as it has answered that."""
    client = smpplib.client.Client("127.0.0.1", port, allow_unknown_opt_params=True, timeout=DEADLINE)
    client.set_message_sent_handler(sent)
    client.set_message_received_handler(lambda pdu: delivered.append(pdu) or 0)
    client.set_error_pdu_handler(lambda pdu: None)  # the first handler sees refusals too
    client.connect()
    client.bind_transceiver(system_id="test", password="test")
    return client


def submit(client, number, text, coding=0, esm_class=0):
    client.send_message(
        source_addr_ton=5, source_addr_npi=0, source_addr="check", dest_addr_ton=1, dest_addr_npi=1,
        destination_addr=f"49170{number:07}", short_message=text, data_coding=coding, esm_class=esm_class,
        registered_delivery=1,
    )


def read_until(client, done):
    end = time.monotonic() + DEADLINE
    while not done():
        assert time.monotonic() < end, "the carrier did not answer in time"
        client.read_once()


def dissect(capture, port):
    result = subprocess.run([HERE / "dissect.sh", capture, str(port)], stdout=subprocess.PIPE, text=True, check=False)
    return result.returncode, result.stdout


def conversation(directory, submits):
    ledger, capture = directory / "ledger", directory / "sound.pcapng"
    carrier, carrier_port = start("node", HERE / "carrier.js", "--ledger", ledger, "--receipt-delay", "20")
    relay, relay_port = start(sys.executable, HERE / "relay.py", "--target", f"127.0.0.1:{carrier_port}", "--pcapng", capture)
    answers, delivered = [], []
    client = connect(relay_port, lambda pdu: answers.append(pdu.message_id.decode()), delivered)

    texts = [(b"\x05\x00\x03\x07\x02\x01part", 0, 0x40), ("größe €".encode("utf-16-be"), 8, 0)]
    texts += [(f"hello {n}".encode(), 0, 0) for n in range(submits - len(texts))]
    began = time.monotonic()
    for number, (text, coding, esm_class) in enumerate(texts):
        submit(client, number, text, coding, esm_class)
        read_until(client, lambda sent=number: len(answers) > sent - 50)
    read_until(client, lambda: len(answers) == submits)
    took = time.monotonic() - began
    read_until(client, lambda: len(delivered) == submits)
    carrier.stdin.write(json.dumps({"cmd": "mo", "from": "491701", "to": "12345", "text": "STOP"}) + "\n")
    carrier.stdin.flush()
    read_until(client, lambda: len(delivered) == submits + 1)
    client.unbind()
    client.disconnect()

    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    received = [line for line in lines if line["kind"] == "submit"]
    assert [line["id"] for line in received] == answers, "ledger and answers differ"
    assert [bytes.fromhex(line["short_message"]) for line in received] == [text for text, _, _ in texts]
    assert received[0]["udh"] == "050003070201" and received[1]["udh"] == ""
    receipts = [pdu for pdu in delivered if pdu.esm_class == 0x04]
    assert sorted(pdu.receipted_message_id.rstrip(b"\0").decode() for pdu in receipts) == sorted(answers)
    assert all(b"stat:DELIVRD err:000" in pdu.short_message for pdu in receipts)
    originated = [pdu for pdu in delivered if pdu.esm_class == 0]
    assert [(pdu.source_addr, pdu.short_message) for pdu in originated] == [(b"491701", b"STOP")]

    refused = smpplib.client.Client("127.0.0.1", relay_port, timeout=DEADLINE)
    refused.connect()
    try:
        refused.bind_transceiver(system_id="test", password="wrong")
        raise AssertionError("a wrong password was accepted")
    except smpplib.exceptions.PDUError as error:
        assert error.args[1] == 0x0E, error
    refused.disconnect()

    carrier.communicate()
    relay.communicate()
    status, report = dissect(capture, carrier_port)
    assert status == 0, f"tshark found fault with the recording:\n{report}"
    # bind, unbind, the refused bind: two each; submits and receipts and the MO with their answers.
    assert f"pdus {6 + 4 * submits + 2}\n" in report, report
    print(f"{submits} submits in {took:.2f} s, {submits / took:.0f}/s")


def refusals(directory):
    """Rejects, throttles, cuts the connection unanswered, and keeps receipts until a bind takes them."""
    ledger = directory / "refusals"
    carrier, port = start("node", HERE / "carrier.js", "--ledger", ledger, "--reject", "0000001=0x0b", "--drop-after", "3",
                          "--receipt-delay", "0", "--receipt-suffix", "0000000=UNDELIV", "--id-format", "hex-decimal")
    answers, delivered = [], []

    def receipted():
        """By id: a receipt whose answer was cut off comes again on the next bind."""
        return {pdu.receipted_message_id.rstrip(b"\0").decode(): pdu.short_message for pdu in delivered}

    client = connect(port, lambda pdu: answers.append(pdu.status), delivered)
    for number in range(3):
        submit(client, number, b"x")
    try:
        read_until(client, lambda: len(answers) == 3)
        raise AssertionError("the third submit was answered")
    except smpplib.exceptions.ConnectionError:
        client.disconnect()
    assert answers == [0, 0x0B], answers

    carrier.stdin.write('{"cmd":"rate","rate":1}\n')
    carrier.stdin.flush()
    client = connect(port, lambda pdu: answers.append(pdu.status), delivered)
    for number in (3, 4):
        submit(client, number, b"x")
    read_until(client, lambda: len(answers) == 4 and len(receipted()) == 3)
    assert answers[2:] == [0, 0x58], answers
    client.unbind()
    client.disconnect()
    carrier.communicate()

    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    submits = [line for line in lines if line["kind"] == "submit"]
    assert [(line["status"], line["answered"]) for line in submits] == \
        [(0, True), (0x0B, True), (0, False), (0, True), (0x58, True)], submits
    assert set(receipted()) == {line["receipt_id"] for line in submits if line["status"] == 0}, receipted()
    assert b"stat:UNDELIV" in receipted()[submits[0]["receipt_id"]]
    assert all(int(line["id"], 16) == int(line["receipt_id"]) for line in submits if line["status"] == 0)


def planted(directory):
    """A PDU whose body is shorter than its fields: tshark has to say so."""
    capture = directory / "planted.pcapng"
    carrier, carrier_port = start("node", HERE / "carrier.js")
    relay, relay_port = start(sys.executable, HERE / "relay.py", "--target", f"127.0.0.1:{carrier_port}", "--pcapng", capture)
    with socket.create_connection(("127.0.0.1", relay_port), DEADLINE) as peer:
        peer.sendall(struct.pack(">IIII", 20, 4, 0, 1) + b"\0\x01\x01x")
        peer.recv(4096)
    carrier.communicate()
    relay.communicate()
    status, report = dissect(capture, carrier_port)
    assert status != 0 and "malformed 1\n" in report, f"tshark did not find the planted fault:\n{report}"


with tempfile.TemporaryDirectory() as name:
    conversation(pathlib.Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    refusals(pathlib.Path(name))
    planted(pathlib.Path(name))

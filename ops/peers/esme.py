#!/usr/bin/env python3
"""A client that is not ours: an ESME on `smpplib`, for the tests of the gateway's SMPP server.

esme.py PORT SYSTEM_ID PASSWORD SUBMITS MO [FROM]: binds as transceiver, submits in bursts, every tenth text long and cut
by smpplib, asks for receipts, and stays until it has a receipt for each submit and that many MO. Prints `bound` once it is
bound and, at its end, one JSON line: ids given, receipts by state, texts of MO, ids with a receipt. It ends with 1 when
something does not come in time.

It knows nothing of the gateway beyond SMPP 3.4.
"""

import json
import select
import sys
import time

import smpplib.client
import smpplib.consts
import smpplib.gsm

DEADLINE = 60
BURST = 50


def main():
    port, system_id, password, submits, mobile = sys.argv[1:6]
    sender = sys.argv[6] if len(sys.argv) > 6 else "12345"
    submits, mobile = int(submits), int(mobile)
    given, failed, receipts, states, texts = [], [], set(), {}, []

    def sent(pdu):
        (given if pdu.status == 0 else failed).append(pdu.message_id.decode() if pdu.status == 0 else pdu.status)

    def received(pdu):
        if pdu.esm_class & 0x3C:
            receipts.add(pdu.receipted_message_id.decode().rstrip("\0"))
            states[pdu.message_state] = states.get(pdu.message_state, 0) + 1
            body = pdu.short_message.decode()
            assert body.startswith("id:") and " stat:" in body and " err:" in body, body
        else:
            texts.append(pdu.short_message.decode())
        return 0

    client = smpplib.client.Client("127.0.0.1", int(port), allow_unknown_opt_params=True, timeout=DEADLINE)
    client.set_message_sent_handler(sent)
    client.set_message_received_handler(received)
    client.set_error_pdu_handler(lambda pdu: None)  # the first handler sees refusals too
    client.connect()
    client.bind_transceiver(system_id=system_id, password=password)
    print("bound", flush=True)

    until = time.monotonic() + DEADLINE

    def read(enough):
        while not enough():
            if time.monotonic() > until:
                return False
            if select.select([client._socket], [], [], 0.2)[0]:
                client.read_once()
        return True

    total, number = 0, 0
    while total < submits:
        text = f"Hello {number} " + ("x" * 300 if number % 10 == 9 else "")
        parts, coding, esm_class = smpplib.gsm.make_parts(text)
        for part in parts:
            client.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_ALNUM if sender.isalpha() else smpplib.consts.SMPP_TON_SBSCR,
                source_addr=sender,
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
                dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
                destination_addr=f"4917{number:08}",
                short_message=part,
                data_coding=coding,
                esm_class=esm_class,
                registered_delivery=True,
            )
            total += 1
        number += 1
        if total % BURST < 3 and not read(lambda: len(given) + len(failed) >= total - BURST):
            break
    done = read(lambda: len(given) + len(failed) >= total and len(receipts) >= len(given) and len(texts) >= mobile)
    client.unbind()
    client.disconnect()
    summary = {
        "submitted": total,
        "accepted": len(given),
        "refused": failed,
        "receipts": len(receipts & set(given)),
        "strangers": sorted(receipts - set(given)),
        "states": states,
        "mo": texts,
    }
    print(json.dumps(summary), flush=True)
    return 0 if done else 1


sys.exit(main())

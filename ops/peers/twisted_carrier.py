#!/usr/bin/env python3
"""A second carrier that is not ours: an SMPP 3.4 server on PyPI `smpp.twisted3`, the SMPP face of the Jasmin gateway.

Speaks as carrier.js does: prints `listening PORT`, then one JSON line per event; each submit is written BEFORE it is
answered, in one write. Each accepted submit gets an Appendix B receipt when it asked for one; ids are UUIDs, as Jasmin
gives them. Commands come as JSON lines on standard input; at its end the carrier exits.

It knows nothing of the gateway. The package decodes every PDU and is stricter than most carriers: whatever it reports
as an error (a PDU it cannot read, an answer to nothing, a parameter that does not belong) is an event `malformed`. It
answers a bind without sc_interface_version and a refusal without a body, and it takes no message_id in deliver_sm_resp.

Limits: no TLS, no data_sm, no submit_multi. Receipts not yet acknowledged live in memory. Times of a submit are written
as the package understood them, not as they came.
"""

import argparse
import io
import json
import logging
import os
import sys
import threading
import time
import uuid

# The package prints while it compares: lines of the protocol have a descriptor of their own.
LINES = os.dup(1)
os.dup2(2, 1)

try:
    from smpp.pdu import constants, operations, pdu_encoding, pdu_types
    from smpp.pdu.error import SMPPError, SMPPTransactionError
    from smpp.twisted.config import SMPPServerConfig
    from smpp.twisted.protocol import DataHandlerResponse, SMPPServerProtocol
    from smpp.twisted.server import IAuthenticatedSMPP, SMPPServerFactory
    from twisted.cred.error import UnauthorizedLogin
    from twisted.internet import defer, reactor
    from twisted.python.log import PythonLoggingObserver
except ImportError as error:
    print(f"twisted_carrier: {error}: run 'cargo xtask test --only install'", file=sys.stderr)
    sys.exit(3)

# Receipt words with the package's names for the message_state of section 5.2.28.
STATES = {
    "ENROUTE": "ENROUTE", "DELIVRD": "DELIVERED", "EXPIRED": "EXPIRED", "DELETED": "DELETED",
    "UNDELIV": "UNDELIVERABLE", "ACCEPTD": "ACCEPTED", "UNKNOWN": "UNKNOWN", "REJECTD": "REJECTED",
}
TRY_AGAIN = {0x08, 0x14, 0x58, 0x64}
ENCODERS = pdu_encoding.PDUEncoder.DefaultRequiredParamEncoders


def write(line):
    """One line in one write. Nobody left to read it means that the test is over."""
    try:
        os.write(LINES, (line + "\n").encode())
    except BrokenPipeError:
        os._exit(0)


def record(**line):
    write(json.dumps(line))


def now():
    return int(time.time() * 1000)


def octet(name, value):
    """The octet of a field whose value is the package's."""
    return ENCODERS[name].encode(value)[0]


def value(name, number):
    """The package's value of a field of one octet."""
    return ENCODERS[name].decode(io.BytesIO(bytes([number])))


def status_number(status):
    return constants.command_status_name_map[status.name]


class Complaints(logging.Handler):
    """Whatever the package or Twisted reports as an error becomes an event."""

    def emit(self, entry):
        record(event="malformed", error=entry.getMessage())


class Portal:
    """Who may bind."""

    def __init__(self, system_id, password):
        self.known = (system_id, password)

    def login(self, credentials, _mind, *_interfaces):
        if (credentials.username, credentials.password) != self.known:
            return defer.fail(UnauthorizedLogin())
        return defer.succeed((IAuthenticatedSMPP, credentials.username, lambda: None))


class Session(SMPPServerProtocol):
    """The package's server side of one session, telling what a test waits for."""

    def onPDURequest_enquire_link(self, reqPDU):
        record(event="enquire_link")
        super().onPDURequest_enquire_link(reqPDU)

    def onPDURequest_unbind(self, reqPDU):
        record(event="unbind", unacknowledged=len(self.outTxns))
        super().onPDURequest_unbind(reqPDU)

    def connectionLost(self, reason):
        if self.recvBuffer:
            record(event="malformed", error=f"the connection ended inside a PDU: {self.recvBuffer[:32].hex()}")
        super().connectionLost(reason)

    def sendErrorResponse(self, reqPDU, status, system_id):
        record(event="bind_refused", system_id=system_id, status=status_number(status))
        super().sendErrorResponse(reqPDU, status, system_id)


class Carrier(SMPPServerFactory):
    """Answers submits, owes receipts, delivers."""

    protocol = Session

    def __init__(self, options):
        config = SMPPServerConfig(
            systems={options.system_id: {"max_bindings": options.max_binds}},
            msgHandler=self.on_request,
            enquireLinkTimerSecs=options.enquire_link,
        )
        super().__init__(config, Portal(options.system_id, options.password))
        self.options = options
        self.stats = {"binds": 0, "submits": 0, "accepted": 0, "rejected": 0, "receipts": 0, "mo": 0}
        # Receipts and MO that no receiver has acknowledged yet, oldest first.
        self.waiting = []

    def addBoundConnection(self, connection):
        super().addBoundConnection(connection)
        self.stats["binds"] += 1
        record(event="bind", **{"as": connection.bind_type.name}, binds=self.stats["binds"])
        # The package answers the bind after this.
        reactor.callLater(0, self.pump)

    def removeConnection(self, connection):
        super().removeConnection(connection)
        record(event="closed", was=connection.bind_type.name if connection.system_id else None)

    def on_request(self, _system_id, _session, pdu):
        if pdu.id != pdu_types.CommandId.submit_sm:
            record(event="unexpected", command=pdu.id.name)
            return pdu_types.CommandStatus.ESME_RINVCMDID
        return self.on_submit(pdu)

    def on_submit(self, pdu):
        fields = pdu.params
        dest = fields["destination_addr"].decode("latin-1")
        short, payload = fields["short_message"], fields.get("message_payload") or b""
        esm_class = octet("esm_class", fields["esm_class"])
        registered = octet("registered_delivery", fields["registered_delivery"])
        status = by_suffix(self.options.reject, dest) or pdu_types.CommandStatus.ESME_ROK
        accepted = status == pdu_types.CommandStatus.ESME_ROK
        message_id = str(uuid.uuid4()) if accepted else ""
        content = short or payload
        record(
            kind="submit", at=now(), id=message_id, receipt_id=message_id, status=status_number(status), answered=True,
            sequence=pdu.seqNum, source=fields["source_addr"].decode("latin-1"), dest=dest,
            source_ton=octet("source_addr_ton", fields["source_addr_ton"]),
            source_npi=octet("source_addr_npi", fields["source_addr_npi"]),
            dest_ton=octet("dest_addr_ton", fields["dest_addr_ton"]),
            dest_npi=octet("dest_addr_npi", fields["dest_addr_npi"]),
            service_type=fields["service_type"].decode("latin-1"), esm_class=esm_class,
            protocol_id=fields["protocol_id"], priority=octet("priority_flag", fields["priority_flag"]),
            data_coding=octet("data_coding", fields["data_coding"]), registered_delivery=registered,
            validity=None if fields["validity_period"] is None else str(fields["validity_period"]),
            short_message=short.hex(), message_payload=payload.hex(),
            udh=content[:content[0] + 1].hex() if esm_class & 0x40 and content else "",
            sar=[fields.get(name) for name in ("sar_msg_ref_num", "sar_total_segments", "sar_segment_seqnum")],
        )
        self.stats["submits"] += 1
        if not accepted:
            self.stats["rejected"] += 1
            return status
        self.stats["accepted"] += 1
        state = by_suffix(self.options.receipt_suffix, dest) or "DELIVRD"
        if registered & 0x03 == 1 or (registered & 0x03 == 2 and state != "DELIVRD"):
            delivery = receipt(fields, message_id, state, time.gmtime(), self.options.receipt_brief)
            reactor.callLater(self.options.receipt_delay / 1000, self.enqueue, delivery)
        return DataHandlerResponse(status, message_id=message_id)

    def enqueue(self, delivery):
        self.waiting.append(delivery)
        self.pump()

    def bound(self):
        return self.getBoundConnections(self.options.system_id)

    def pump(self):
        while self.waiting and (binds := self.bound()) and (session := binds.getNextBindingForDelivery()):
            if not session.isBound():
                # It unbinds; what waits goes to the next bind.
                return
            delivery = self.waiting.pop(0)
            sent = session.sendDataRequest(operations.DeliverSM(**delivery["fields"]))
            sent.addCallbacks(self.answered, self.refused, callbackArgs=[delivery], errbackArgs=[delivery])

    def answered(self, result, delivery):
        self.settle(delivery, status_number(result.response.status))

    def refused(self, failure, delivery):
        if failure.check(SMPPTransactionError):
            status = status_number(failure.value.response.status)
            if status in TRY_AGAIN:
                reactor.callLater(1, self.enqueue, delivery)
            else:
                self.settle(delivery, status)
        else:
            # The session ended first: whoever binds next gets it.
            failure.trap(SMPPError)
            self.waiting.insert(0, delivery)

    def settle(self, delivery, status):
        self.stats["mo" if delivery["kind"] == "mo" else "receipts"] += 1
        record(kind=f"{delivery['kind']}_answered", at=now(), id=delivery["id"], state=delivery["state"], status=status)

    def on_command(self, line):
        try:
            command = json.loads(line)
            name = command["cmd"]
            if name == "mo":
                self.enqueue(mobile_originated(command))
            elif name == "enquire_link":
                for session in self.bound() or []:
                    asked = session.sendRequest(operations.EnquireLink(), 10)
                    asked.addCallback(lambda _: record(event="enquire_link_answered"))
            elif name == "unbind":
                self.unbindGateway(self.options.system_id)
            elif name == "quit":
                os._exit(0)
            elif name != "stats":
                raise ValueError(f"unknown command {name}")
        except (ValueError, KeyError, TypeError) as error:
            record(event="bad_command", error=f"{type(error).__name__}: {error}")
            return
        record(event="done", cmd=name, **self.stats, waiting=len(self.waiting))


def by_suffix(pairs, destination):
    return next((found for suffix, found in pairs if destination.endswith(suffix)), None)


def receipt(fields, message_id, state, submitted, brief):
    """SMPP 3.4 Appendix B with receipted_message_id and message_state beside the text; or as few words as Jasmin writes."""
    delivered = state == "DELIVRD"
    counts, text = (" sub:001 dlvrd:" + ("001" if delivered else "000"), " text:-") if not brief else ("", "")
    minute = "%y%m%d%H%M"
    words = (
        f"id:{message_id}{counts} submit date:{time.strftime(minute, submitted)} "
        f"done date:{time.strftime(minute, time.gmtime())} stat:{state} err:{'000' if delivered else '001'}{text}"
    )
    return {"kind": "receipt", "id": message_id, "state": state, "fields": {
        "source_addr": fields["destination_addr"],
        "source_addr_ton": fields["dest_addr_ton"], "source_addr_npi": fields["dest_addr_npi"],
        "destination_addr": fields["source_addr"],
        "dest_addr_ton": fields["source_addr_ton"], "dest_addr_npi": fields["source_addr_npi"],
        "esm_class": value("esm_class", 0x04), "data_coding": value("data_coding", 0),
        "short_message": words.encode(), "receipted_message_id": message_id,
        "message_state": pdu_types.MessageState[STATES[state]],
    }}


def mobile_originated(command):
    coding = command.get("data_coding", 0)
    if "hex" in command:
        octets = bytes.fromhex(command["hex"])
    else:
        octets = str(command["text"]).encode("utf-16-be" if coding == 8 else "ascii")
    return {"kind": "mo", "id": str(command.get("id", "")), "state": None, "fields": {
        "source_addr": str(command["from"]), "destination_addr": str(command["to"]),
        "source_addr_ton": value("source_addr_ton", command.get("source_ton", 1)),
        "source_addr_npi": value("source_addr_npi", 1),
        "dest_addr_ton": value("dest_addr_ton", command.get("dest_ton", 0)),
        "dest_addr_npi": value("dest_addr_npi", 1),
        "esm_class": value("esm_class", command.get("esm_class", 0)),
        "data_coding": value("data_coding", coding), "short_message": octets,
    }}


def pair(read):
    """Reads an option SUFFIX=VALUE."""
    def parse(text):
        suffix, found, text = text.partition("=")
        if not found or not suffix:
            raise argparse.ArgumentTypeError("wants SUFFIX=VALUE")
        return suffix, read(text)
    return parse


def state_word(word):
    if word not in STATES:
        raise argparse.ArgumentTypeError(f"unknown receipt state {word}; one of {' '.join(STATES)}")
    return word


def command_status(text):
    known = constants.command_status_value_map.get(int(text, 0))
    if known is None:
        raise argparse.ArgumentTypeError(f"the package has no status {text}")
    return pdu_types.CommandStatus[known["name"]]


def read_commands(carrier):
    """In a thread: standard input may be a file, which epoll refuses."""
    for line in sys.stdin:
        reactor.callFromThread(carrier.on_command, line)
    reactor.callFromThread(reactor.stop)


def main():
    parser = argparse.ArgumentParser(description="an SMPP carrier on smpp.twisted3")
    parser.add_argument("--port", type=int, default=0, help="where to listen (default: any free port)")
    parser.add_argument("--system-id", default="test")
    parser.add_argument("--password", default="test")
    parser.add_argument("--max-binds", type=int, default=10)
    parser.add_argument("--enquire-link", type=float, default=30, metavar="SECONDS", help="silence before enquire_link")
    parser.add_argument("--receipt-delay", type=int, default=50, metavar="MS", help="between answer and receipt")
    parser.add_argument("--receipt-brief", action="store_true", help="receipts without sub, dlvrd and text, as Jasmin's")
    parser.add_argument("--receipt-suffix", type=pair(state_word), action="append", default=[],
                        metavar="SUFFIX=STATE", help="another state for destinations that end so")
    parser.add_argument("--reject", type=pair(command_status), action="append", default=[],
                        metavar="SUFFIX=STATUS", help="answer destinations that end so with this status")
    options = parser.parse_args()

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    complaints = Complaints(level=logging.ERROR)
    logging.getLogger().addHandler(complaints)
    PythonLoggingObserver().start()

    carrier = Carrier(options)
    listening = reactor.listenTCP(options.port, carrier, interface="127.0.0.1")
    write(f"listening {listening.getHost().port}")
    threading.Thread(target=read_commands, args=[carrier], daemon=True).start()
    reactor.run()
    # Not a return: the thread that waits for standard input would keep the process.
    os._exit(0)


main()

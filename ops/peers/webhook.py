"""A client's callback endpoint that checks signatures with the reference library of Standard Webhooks.

    webhook.py SECRET [SECRET ...] [--reply TEXT]

Prints `{"port": N}`, then for each request one line of JSON: which of the secrets verify it, and whether the library refuses the
same request with one octet changed. Answers 200, with a reply to MO where one is given.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def verifies(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def say(line):
    """One line in one write: requests are answered by threads, and `print` writes a line and its end one after the other."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main():
    words = sys.argv[1:]
    reply = None
    if "--reply" in words:
        at = words.index("--reply")
        reply = words[at + 1]
        del words[at : at + 2]

    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            event = json.loads(body)
            changed = body.replace(b'"type"', b'"typE"', 1)
            line = {
                "verified_by": [n for n, secret in enumerate(words) if verifies(secret, body, headers)],
                "changed_is_refused": not any(verifies(secret, changed, headers) for secret in words),
                "id": headers.get("webhook-id"),
                "event": event["id"],
                "type": event["type"],
                "message": event["message"]["id"],
            }
            say(line)
            answer = b"{}"
            if reply is not None and event["type"] == "mo":
                answer = json.dumps({"reply": {"text": reply}}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    say({"port": server.server_address[1]})
    server.serve_forever()


main()

#!/usr/bin/env bash
# What Wireshark's dissector thinks of a recorded SMPP conversation: dissect.sh FILE.pcapng PORT
#
# Prints `pdus N`, `malformed N` and `expert N`, then each expert note of severity warning or error. TCP's own notes are
# left out: they judge the recording, not the protocol. Exits 0 only when there are PDUs and nothing is wrong with them.
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: dissect.sh FILE.pcapng PORT" >&2
    exit 2
fi
command -v tshark >/dev/null || { echo "dissect.sh: no tshark: run 'cargo xtask test --only install'" >&2; exit 3; }

warn=6291456 # severity "warning" in tshark's numbers; "error" is above it
read_capture() { tshark -r "$1" -d "tcp.port==$2,smpp" "${@:3}" 2>/dev/null; }
count() { awk 'NF { n += NF } END { print n + 0 }'; }

# One frame may hold many PDUs: the sequence numbers are counted, not the frames.
pdus=$(read_capture "$1" "$2" -Y smpp -T fields -E aggregator=' ' -e smpp.sequence_number | count)
malformed=$(read_capture "$1" "$2" -Y _ws.malformed -T fields -e frame.number | count)
notes=$(read_capture "$1" "$2" -Y "_ws.expert.severity >= $warn && !tcp.analysis.flags" \
    -T fields -e frame.number -e _ws.expert.message)
expert=$(printf '%s' "$notes" | grep -c . || true)

echo "pdus $pdus"
echo "malformed $malformed"
echo "expert $expert"
[ -z "$notes" ] || printf '%s\n' "$notes"
[ "$pdus" -gt 0 ] && [ "$malformed" -eq 0 ] && [ "$expert" -eq 0 ]

#!/usr/bin/env bash
# Shows single PDUs to Wireshark's dissector: show.sh FILE, with a line `NAME HEX` for each, one TCP segment each.
#
# Prints what dissect.sh prints, then how its names for the PDUs differ from ours. Exits 0 only when it
# found as many PDUs as there are lines, each under its name, and nothing wrong with them.
#
# Limits: a TLV broadcast_rep_num has two octets (SMPP 5.0), of which Wireshark 4.0 reads one and loses its place; a PDU
# with that TLV cannot be shown to it.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: show.sh FILE" >&2
    exit 2
fi
command -v text2pcap >/dev/null || { echo "show.sh: no text2pcap: run 'cargo xtask test --only install'" >&2; exit 3; }

port=2775
here=$(dirname "$0")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

# text2pcap starts a new packet at every offset 0.
while read -r _ hex; do
    printf '000000 %s\n' "$(sed 's/../& /g' <<<"$hex")"
done <"$1" >"$place/dump"
text2pcap -q -T 40000,$port "$place/dump" "$place/capture.pcapng" >/dev/null 2>&1

failed=0
"$here/dissect.sh" "$place/capture.pcapng" $port || failed=1

# The dissector's own names, in the order of the file: `Submit_multi - resp: "Ok"` is submit_multi_resp.
tshark -r "$place/capture.pcapng" -d "tcp.port==$port,smpp" -Y smpp -T fields -e _ws.col.Info 2>/dev/null |
    sed -E 's/^SMPP //; s/ - resp/_resp/; s/[^A-Za-z_].*$//' | tr '[:upper:]' '[:lower:]' >"$place/names"
cut -d ' ' -f 1 "$1" >"$place/expected"
diff "$place/expected" "$place/names" || failed=1
exit $failed

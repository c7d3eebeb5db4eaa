#!/bin/sh
# The predecessor's hour on the primary, re-created from its description: jq turns every minute's flat
# lines into CSV, one process a file; then pandas puts both servers together.
#   predecessor.sh FLAT OUT PYTHON xz|none
set -eu
here=$(dirname "$0")
for lines in "$1"/*/*.jsonl; do
    rows="$2/work/$(basename "$(dirname "$lines")")/$(basename "$lines" .jsonl).csv"
    jq -r -f "$here/predecessor.jq" "$lines" | cat "$here/predecessor_header.csv" - > "$rows"
done
exec "$3" "$here/predecessor.py" "$2/work" "$2" "$4"

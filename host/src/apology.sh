#!/bin/sh
# Makes apology.ulaw: what a caller hears when everything else has failed. Raw 8 kHz mu-law without a header, at most five seconds.
# Needs espeak-ng and sox (Debian packages of these names).
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
espeak-ng -v en-us+f3 -s 225 -w "$scratch/raw.wav" \
    "We are sorry, there is a technical problem and we can not go on with this call. Please try again later. Goodbye."
sox -R "$scratch/raw.wav" -t raw -e mu-law -b 8 -c 1 -r 8000 apology.ulaw highpass 120 \
    silence -l 1 0.01 0.4% -1 0.12 0.4% reverse silence 1 0.01 0.4% reverse gain -n -5
bytes=$(wc -c <apology.ulaw)
[ "$bytes" -le 40000 ] || { echo "apology.ulaw is $bytes bytes, more than five seconds" >&2; exit 1; }

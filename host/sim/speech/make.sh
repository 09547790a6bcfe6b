#!/bin/sh
# Makes the spoken clips beside this file. Needs espeak-ng and sox (Debian packages of these names).
#
# Raw files without a header, mono mu-law: `*.8k.ulaw` at 8000 bytes a second (what a telephone carries), `*.24k.ulaw` at
# 24000 (what the model speaks, decoded to PCM16 when it is sent). The words stand again in src/speech.rs: change both.
# Pauses inside a clip are cut to about 100 ms, so that a turn detector set to 200 ms or more hears one utterance.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# say VOICE WORDS_PER_MINUTE NAME RATES WORDS
say() {
    espeak-ng -v "$1" -s "$2" -w "$scratch/raw.wav" "$5"
    sox "$scratch/raw.wav" "$scratch/clean.wav" highpass 120 \
        silence -l 1 0.01 0.4% -1 0.06 1% reverse silence 1 0.01 0.4% reverse gain -n -5
    for rate in $4; do
        sox -R "$scratch/clean.wav" -t raw -e mu-law -b 8 -c 1 -r "${rate}000" "$3.${rate}k.ulaw"
    done
}

caller() { say en-gb+m3 165 "caller_$1" 8 "$2"; }
agent() { say en-us+f3 180 "agent_$1" "8 24" "$2"; }

caller hours "Hi. When are you open on Saturday?"
caller interruption "Sorry, one moment. Actually, I wanted to ask about Sunday."
caller ready "Can you check whether my bicycle is ready? The number is four seven one."
caller goodbye "Thank you, that is all. Goodbye."

agent greeting "Hello, this is Harbour Cycles. How can I help you?"
agent saturday "On Saturday we are open from nine in the morning until five in the afternoon. The workshop takes bicycles until four. For small repairs you need no appointment."
agent sunday "On Sunday the shop is closed, but somebody answers the telephone between ten and noon, and can tell you what is ready."
agent ready "Yes. Bicycle four seven one is ready, and the repair was forty two pounds."
agent goodbye "You are welcome. Goodbye."

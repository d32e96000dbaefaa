#!/usr/bin/env bash
# Everything that made the bundled checkpoint `pocket-doom`, from nothing: demonstrations, training, a round of DAgger,
# more training, evaluation. Every step can be run again by itself; finished steps are not repeated.
#
#   runs/doom.sh [FOLDER]        default: data/doom
#
# The amounts below are those of the bundled checkpoint (docs/results.md says how long it took and on what); more of
# each makes a better agent.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-data/doom}
minutes=${MINUTES:-12}         # of demonstrations per task
train_minutes=${TRAIN_MINUTES:-40}
taught_minutes=${TAUGHT_MINUTES:-4}   # of the agent's own play, labelled by the demonstrator, per task
tune_minutes=${TUNE_MINUTES:-25}
episodes=${EPISODES:-30}
workers=${WORKERS:-$(nproc)}

make --quiet .venv/dev
eyehand=.venv/bin/eyehand

once() { # once NAME COMMAND...: skip a step that has been finished
    local done="$out/.$1"; shift
    [ -e "$done" ] || { echo "== $*"; "$@"; touch "$done"; }
}

mkdir -p "$out"
once demonstrations $eyehand record --game doom --out "$out/demonstrations" --minutes "$minutes" --workers "$workers"
once first $eyehand train --data "$out/demonstrations" --out "$out/first" --minutes "$train_minutes"
once taught $eyehand record --game doom --out "$out/taught" --player "$out/first/policy" --taught \
    --minutes "$taught_minutes" --seed 2000000 --workers "$workers"
once second $eyehand train --data "$out/demonstrations" "$out/taught" --out "$out/second" \
    --init-from "$out/first/policy" --minutes "$tune_minutes" --lr 3e-4
once evaluated $eyehand evaluate --checkpoint "$out/second/policy" --game doom --episodes "$episodes" \
    --swap doom/aim,doom/approach --json "$out/evaluation.json" --workers "$workers"
echo "The policy is $out/second/policy, its scores are in $out/evaluation.json."

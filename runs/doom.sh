#!/usr/bin/env bash
# Everything that makes a Doom agent such as the bundled `pocket-doom`, from nothing: demonstrations, training, the
# agent's own play labelled by the demonstrators (DAgger), more training, evaluation. A finished step is not repeated.
#
#   runs/doom.sh [FOLDER]        default: data/doom
#
# docs/results.md says which amounts made the bundled checkpoint, how long that took and on what. TAUGHT_MINUTES=0
# leaves DAgger out.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-data/doom}
games=${GAMES:-doom/center,doom/collect,doom/home,doom/explore,doom/line,doom/corridor,doom/dodge,doom/deathmatch}
short_games=${SHORT_GAMES:-doom/aim,doom/approach}   # episodes of a second or two: fewer minutes hold as many of them
minutes=${MINUTES:-6}                                # of demonstrations per game
short_minutes=${SHORT_MINUTES:-2.5}
train_minutes=${TRAIN_MINUTES:-34}
taught_minutes=${TAUGHT_MINUTES:-4}                  # of the agent's own play per game
tune_minutes=${TUNE_MINUTES:-30}
episodes=${EPISODES:-30}
workers=${WORKERS:-$(nproc)}
options=(--batch-size 4 --warmup 100 --ema-decay 0.995 --augment "${AUGMENT:-0}" --held-out 0.03 --eval-clips 48)

make --quiet .venv/dev
eyehand=.venv/bin/eyehand

once() { # once NAME COMMAND...: skip a step that has been finished
    local done="$out/.$1"
    shift
    [ -e "$done" ] || { echo "== $*"; "$@"; touch "$done"; }
}

mkdir -p "$out"
once demonstrations $eyehand record --game "$games" --out "$out/long" --minutes "$minutes" --workers "$workers"
once short $eyehand record --game "$short_games" --out "$out/short" --minutes "$short_minutes" --workers "$workers"
data=("$out/long" "$out/short")
once first $eyehand train --data "${data[@]}" --out "$out/first" --minutes "$train_minutes" --lr 1e-3 "${options[@]}"
if [ "$taught_minutes" != 0 ]; then
    once taught $eyehand record --game "$games,$short_games" --out "$out/taught" --player "$out/first/policy" --taught \
        --minutes "$taught_minutes" --seed 2000000 --workers "$workers"
    data+=("$out/taught")
fi
once second $eyehand train --data "${data[@]}" --out "$out/second" --init-from "$out/first/policy" --seed 1 \
    --minutes "$tune_minutes" --lr 1e-3 "${options[@]}"
once evaluated $eyehand evaluate --checkpoint "$out/second/policy" --game "$games,$short_games" \
    --episodes "$episodes" --swap doom/aim,doom/approach --json "$out/evaluation.json" --workers "$workers"
echo "The policy is $out/second/policy, its scores are in $out/evaluation.json."

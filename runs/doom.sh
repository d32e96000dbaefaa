#!/usr/bin/env bash
# Everything that makes a Doom agent such as the bundled `pocket-doom`, from nothing: demonstrations, training, then
# rounds in which the agent plays while the demonstrators say what they would have done (DAgger) and learns from that
# too, and evaluation. A finished step is not repeated.
#
#   runs/doom.sh [FOLDER]        default: data/doom
#
# docs/results.md says which amounts made the bundled checkpoint, how long that took and on what. ROUNDS=0 leaves DAgger
# out. COMPILE=1 compiles the training step, which takes minutes and a C++ compiler; steps then took 0.6 of the time on a busy machine.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-data/doom}
games=${GAMES:-doom/center,doom/collect,doom/home,doom/explore,doom/line,doom/corridor,doom/dodge,doom/poison,doom/deathmatch}
short_games=${SHORT_GAMES:-doom/aim,doom/approach,doom/lead}   # episodes of a second or two: fewer minutes hold as many of them
minutes=${MINUTES:-6}                                # of demonstrations per game
short_minutes=${SHORT_MINUTES:-2.5}
train_minutes=${TRAIN_MINUTES:-70}
rounds=${ROUNDS:-2}
dagger_minutes=${DAGGER_MINUTES:-3.5}                # of the agent's own play per game and round
tune_minutes=${TUNE_MINUTES:-40}                     # of training after each round
episodes=${EPISODES:-30}
workers=${WORKERS:-$(nproc)}
options=(--batch-size 16 --clip-steps 16 --keys-weight 3 --buttons-weight 3 --ema-decay 0.998 --warmup 100
    --action-corruption 0.5 --augment "${AUGMENT:-0}" --held-out 0.03 --eval-every 2000 --eval-clips 48 --cache-frames-gb "${CACHE_GB:-4}"
    ${COMPILE:+--compile})

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
train() { # train ROUND OPTIONS...: start a run, or go on with one that was interrupted
    local run="$out/run-$1" go_on=()
    shift
    [ ! -e "$run/training_state.pt" ] || go_on=(--resume)
    $eyehand train --data "${data[@]}" --out "$run" --lr 1e-3 "${options[@]}" "$@" "${go_on[@]}"
}

once train-0 train 0 --minutes "$train_minutes"
for ((round = 1; round <= rounds; round++)); do
    before="$out/run-$((round - 1))/policy"
    once "dagger-$round" $eyehand record --game "$games" --out "$out/dagger-$round" --player "$before" --dagger \
        --minutes "$dagger_minutes" --seed "$((2000000 + 1000000 * round))" --workers "$workers"
    data+=("$out/dagger-$round")
    once "train-$round" train "$round" --init-from "$before" --seed "$round" --minutes "$tune_minutes"
done
policy="$out/run-$rounds/policy"
once evaluated $eyehand evaluate --checkpoint "$policy" --game "$games,$short_games" \
    --episodes "$episodes" --swap doom/aim,doom/approach --json "$out/evaluation.json" --workers "$workers"
echo "The policy is $policy, its scores are in $out/evaluation.json."

#!/usr/bin/env bash
# Everything that makes a Doom agent such as the bundled `pocket-doom`: demonstrations, training, rounds of DAgger in
# which the agent plays while the demonstrators say what they would have done, evaluation. A finished step is not repeated.
#
#   runs/doom.sh [FOLDER]        default: data/doom
#
# The image trunk is that of TRUNK, a checkpoint, and is not trained: every picture is looked at once. docs/results.md says
# which amounts made the bundled checkpoint, how long that took and on what.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-data/doom}
# task:minutes of demonstrations:minutes of the agent's own play in every round; episodes of `aim` last two seconds
games=${GAMES:-dodge:23:5 lead:6:4 poison:17:5 line:13:4 explore:16:5 home:10:3 deathmatch:16:4 center:9:1 collect:6:1 \
corridor:4:1 aim:2.5:0.5 approach:2.5:0.5 e1m1:20:6 map01:20:5}
trunk=${TRUNK:-pocket-doom}
train_minutes=${TRAIN_MINUTES:-14}
rounds=${ROUNDS:-5}
learner_share=${LEARNER_SHARE:-0.8}
tune_minutes=${TUNE_MINUTES:-8}                      # of training after each round
last_minutes=${LAST_MINUTES:-15}                     # after the last
episodes=${EPISODES:-30}
workers=${WORKERS:-$(nproc)}
options=(--trunk "$trunk" --batch-size 8 --weight-decay 0.05 --ema-decay 0.995 --held-out 0.03
    --eval-every 2000 --eval-clips 32)

make --quiet .venv/dev
eyehand=.venv/bin/eyehand

once() { # once NAME COMMAND...: skip a step that has been finished
    local done="$out/.$1"
    shift
    [ -e "$done" ] || { echo "== $*"; "$@"; touch "$done"; }
}
record() { # record NAME FIELD SEED OPTIONS...: every game for the minutes in this field of its entry
    local name=$1 field=$2 seed=$3 entry game
    shift 3
    for entry in $games; do
        game=${entry%%:*}
        once "$name-$game" $eyehand record --game "doom/$game" --out "$out/$name/$game" --seed "$seed" --workers "$workers" \
            --minutes "$(cut -d: -f"$field" <<<"$entry")" "$@"
        data+=("$out/$name/$game")
    done
}
train() { # train ROUND OPTIONS...: start a run, or go on with one that was interrupted
    local run="$out/run-$1" go_on=()
    shift
    [ ! -e "$run/training_state.pt" ] || go_on=(--resume)
    $eyehand train --data "${data[@]}" --out "$run" "${options[@]}" "$@" "${go_on[@]}"
}

mkdir -p "$out"
data=()
record demonstrations 2 3000000
once train-0 train 0 --preset "${PRESET:-pocket}" --lr 6e-4 --minutes "$train_minutes"
for ((round = 1; round <= rounds; round++)); do
    before="$out/run-$((round - 1))/policy"
    record "dagger-$round" 3 "$((5000000 + 100000 * round))" --player "$before" --dagger --learner-share "$learner_share"
    minutes=$((round < rounds ? tune_minutes : last_minutes))
    once "train-$round" train "$round" --init-from "$before" --lr 4e-4 --seed "$round" --minutes "$minutes"
done
policy="$out/run-$rounds/policy"
names=$(for entry in $games; do echo "doom/${entry%%:*}"; done | paste -sd,)
once evaluated $eyehand evaluate --checkpoint "$policy" --game "$names" --episodes "$episodes" \
    --swap doom/aim,doom/approach --json "$out/evaluation.json" --workers "$workers"
echo "The policy is $policy, its scores are in $out/evaluation.json."

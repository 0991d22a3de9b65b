#!/bin/bash
# preempted.sh - a job that survives being preempted
#
# test: bash {src} --test {crs}
#
# Batch systems and cloud machines announce their end by SIGTERM and give some seconds. Start the job
# by this script, always by the same line: it resumes from the newest snapshot if there is one, else
# starts the program. At SIGTERM it saves the program, ends it, and ends with 85, which many queues
# take as "run me again".
#
#     preempted.sh NAME COMMAND...
set -u
crs=${CRS:-crs}

if [ "${1-}" = --test ]; then
    # A count to 40 that is preempted twice, and comes to its end all the same.
    export CRS=$2
    count='i=0; while ((++i <= 40)); do echo $i; for ((k = 0; k < 20000; k++)); do :; done; done; echo end'
    for round in 1 2 3; do
        bash "$0" counting bash -c "$count" >>counted &
        job=$!
        if [ $round -lt 3 ]; then
            for ((i = 0; i < 300; i++)); do
                [ "$(wc -l <counted)" -ge $((round * 5)) ] && break
                sleep 0.02
            done
            kill -TERM $job
        fi
        wait $job
        code=$?
        [ $round = 3 ] || [ $code = 85 ] || exit 1
    done
    [ $code = 0 ] && [ "$(tail -n 1 counted)" = end ] && [ "$(wc -l <counted)" = 41 ]
    exit
fi

name=$1
shift
preempted() {
    if "$crs" checkpoint --terminate "$name" >&2; then
        wait "$running"
        exit 85
    fi
}

if "$crs" show "$name@latest" >/dev/null 2>&1; then
    "$crs" restart "$name@latest" &
else
    "$crs" run --name "$name" -- "$@" &
fi
running=$!
trap preempted TERM
wait "$running"

# A bash script with pipelines, background jobs, process substitution, a named FIFO and a trap.
# needs: bash sort
# run: bash {src}
# progress: 2
# until: finish
# cycles: 2
# situations: -new
#     (a shell waits for its jobs by their PIDs)
# answer: every sum is right, 2 jobs came to their end, told 1
told=0
trap 'told=$((told + 1))' USR1
mkfifo queue

job() { # NUMBER: squares come out of it until it is told that it's enough
    local n=0
    until [ -e finish ]; do
        n=$((n + 1))
        sleep 0.02
    done
    return "$1"
}

job 3 &
first=$!
(trap '' USR1; job 4 | cat) &
second=$!

round=0
until [ -e finish ]; do
    round=$((round + 1))
    (seq 200 | while read -r n; do echo $((n * n)); done >queue) &
    sum=$(sort -rn queue | tee >(cat >copy) | while read -r n; do
        echo $((s += n))
    done | tail -n 1)
    wait $!
    if [ "$sum" != 2686700 ]; then
        echo "round $round: the sum is $sum"
        exit 1
    fi
    echo "round $round"
done
wait $first
[ $? = 3 ] || echo "the first job ended wrongly"
wait $second
[ $? = 0 ] || echo "the second job ended wrongly"
kill -USR1 $$
echo "every sum is right, 2 jobs came to their end, told $told"

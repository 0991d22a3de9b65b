# A pipeline: a shell, the loop that writes and the one that reads, with data on its way. A shell
# knows its children by their PIDs.
# needs: sh
# run: sh {src}
# progress: 3
# answer: the sum is 820
# situations: -new
i=0
while [ $i -lt 40 ]; do
    i=$((i + 1))
    echo $i
    sleep 0.1
done | {
    sum=0
    while read -r n; do
        sum=$((sum + n))
        echo "step $n"
    done
    echo "the sum is $sum"
}

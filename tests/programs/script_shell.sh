# A shell with jobs in a terminal of its own: each sleep is a process group that gets the foreground.
# needs: script bash
# run: script -qec "bash {src} inside" typescript
# progress: 3
# situations: -new
# answer: 80 jobs, the shell in front: yes, yes
set -m
stty rows 31 columns 97
for n in $(seq 80); do
    sleep 0.1
    echo "$n"
done
read -r _ _ _ _ group _ _ foreground _ <"/proc/$$/stat"
[ "$(stty size </dev/tty)" = "31 97" ] && size=yes
[ "$group" = "$foreground" ] && front=yes
echo "$n jobs, the shell in front: $front, $size"

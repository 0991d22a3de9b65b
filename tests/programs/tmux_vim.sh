# A terminal multiplexer: its server, an editor in one of its terminals, a shell with jobs in another.
# needs: tmux vim bash
# run: bash {src}
# watch: progress
# progress: 3
# situations: -new
# answer: 80 jobs in 30 by 90; kept, appended
export TMUX_TMPDIR=$PWD HOME=$PWD SHELL=/bin/sh

inside() {
    until [ -e go ]; do
        sleep 0.1
    done
    set -m # each job is in the foreground while it runs
    for n in $(seq 80); do
        sleep 0.1
        echo "$n" >>progress
    done
    size=$(stty size </dev/tty)
    echo "$n jobs in ${size/ / by }" >answer.new
    mv answer.new answer
}

if [ $# -gt 0 ]; then
    inside
    exit
fi
echo kept >text
tmux -f /dev/null -D &
until tmux -N new-session -d -x 90 -y 30 -n editor 'vim -u NONE -i NONE -n text' 2>errors; do
    kill -0 %1 || { cat errors; exit 1; }
    sleep 0.1
done
tmux set-option -g status off
tmux new-window -d -n jobs "bash $0 inside"
tmux send-keys -t editor ':write copy' Enter
until [ -s copy ]; do # then it has read all that its terminal had to say
    sleep 0.1
done
touch go
until [ -e answer ]; do
    sleep 0.1
done
tmux send-keys -t editor 'oappended' Escape ':wq' Enter
until [ "$(wc -l <text)" = 2 ]; do
    sleep 0.1
done
tmux kill-server
wait
echo "$(cat answer); $(paste -sd, text | sed 's/,/, /')"

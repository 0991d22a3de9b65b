# A shell with a child: a process tree, which can't be saved yet; the refusal names the child.
# needs: sh
# run: sh {src}
# progress: 1
# refused: child
# answer: the end
sleep 3 &
echo started
wait
echo the end

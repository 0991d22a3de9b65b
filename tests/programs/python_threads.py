# Threads that work through a queue, one that sleeps, one that waits for an event with a timeout.
# needs: python3
# run: python3 -u {src}
# progress: 3
# answer: sum 146042626247338525245016011764485320
import os
import queue
import threading
import time

todo, done = queue.Queue(8), queue.Queue()
over = threading.Event()
pace = 0.2 if "CRS_TESTS_SLOW" in os.environ else 0.01  # a slow tool must meet us before the end
ticks = 0


def worker():
    while (n := todo.get()) is not None:
        done.put(n ** 20)
        todo.task_done()
        time.sleep(pace)


def ticker():
    global ticks
    while not over.wait(0.02):
        ticks += 1


def sleeper():
    time.sleep(1.0)


threads = [threading.Thread(target=f) for f in (worker, worker, worker, worker, ticker, sleeper)]
for t in threads:
    t.start()
for n in range(400):
    todo.put(n % 50)
    if n % 20 == 0:
        print("put", n)
todo.join()
for _ in range(4):
    todo.put(None)
over.set()
for t in threads:
    t.join()
total = 0
while not done.empty():
    total += done.get()
assert ticks > 5
print("sum", total)

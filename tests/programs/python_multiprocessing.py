# Python's multiprocessing with each of its start methods: a pool, shared memory, queues.
# variants: fork forkserver spawn
# needs: python3
# run: python3 -u {src} {variant}
# progress: 3
# until: finish
# cycles: 2
# situations: -new
#     (it keeps the PIDs of its children, to signal and to wait for them)
# answer: all sums were right
import multiprocessing
import os
import sys
from multiprocessing import shared_memory


def square(n):
    return n * n


def echo(inbox, outbox, lock, counter):
    for item in iter(inbox.get, None):
        with lock, counter.get_lock():
            counter.value += 1
        outbox.put(item + 1)


def fill(name, size):
    block = shared_memory.SharedMemory(name)
    for i in range(size):
        block.buf[i] = i % 251
    block.close()


def main(context):
    lock, counter = context.Lock(), context.Value("i", 0)
    inbox, outbox = context.Queue(), context.Queue()
    worker = context.Process(target=echo, args=(inbox, outbox, lock, counter))
    worker.start()
    block = shared_memory.SharedMemory(create=True, size=65536)
    expected, rounds = sum(n * n for n in range(500)), 0
    with context.Pool(2) as pool:
        while not os.path.exists("finish"):
            assert sum(pool.imap(square, range(500), 7)) == expected
            pool.apply(fill, (block.name, 4096))
            assert bytes(block.buf[:4096]) == bytes(i % 251 for i in range(4096))
            block.buf[:4096] = bytes(4096)
            for i in range(20):
                inbox.put(i)
            assert sum(outbox.get() for _ in range(20)) == sum(range(21))
            rounds += 1
            print("round", rounds)
    inbox.put(None)
    worker.join()
    block.close()
    block.unlink()
    assert worker.exitcode == 0 and counter.value == 20 * rounds
    print("all sums were right")


if __name__ == "__main__":
    main(multiprocessing.get_context(sys.argv[1]))

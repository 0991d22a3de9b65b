# asyncio over unix sockets: its own self-pipe, a server and clients, an answer now and then.
# needs: python3
# run: python3 -u {src}
# progress: 3
# situations: -new
#     (asyncio keeps its PID, to tell whether it was forked: docs/architecture.md, PIDs)
# answer: sum 49995000 lines 300
import asyncio
import os
import signal


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(b"%d\n" % (int(line) ** 2))
        await writer.drain()
    writer.close()


async def client(number, counts):
    reader, writer = await asyncio.open_unix_connection("service")
    for i in range(30):
        writer.write(b"%d\n" % i)
        await writer.drain()
        counts.append(int(await reader.readline()) - i * i)
        await asyncio.sleep(0.1)
        if number == 0 and i % 2:
            print("round", i)
    writer.close()


async def main():
    counts, signals = [], []
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, signals.append, 1)
    server = await asyncio.start_unix_server(serve, "service")
    await asyncio.gather(*(client(i, counts) for i in range(10)))
    os.kill(os.getpid(), signal.SIGUSR1)
    while not signals:
        await asyncio.sleep(0.01)
    total = await asyncio.to_thread(sum, range(10000))
    server.close()
    print("sum", total + sum(counts), "lines", len(counts))

asyncio.run(main())

// Files written and read by way of io_uring, with a thread of the kernel.
// needs: node
// run: env UV_USE_IO_URING=1 node {src}
// progress: 3
// cycles: 2
// situations: -new
//     (as for timers.js)
// answer: 60 files, 6000000 bytes, all as they were written
const fs = require('fs/promises');
const crypto = require('crypto');

async function one(n) {
  const name = `file.${n % 7}`, data = crypto.randomBytes(100000);
  const handle = await fs.open(name, 'w+');
  for (let at = 0; at < data.length; at += 10000)
    await handle.write(data, at, 10000, at);
  await handle.datasync();
  const { size } = await handle.stat();
  const back = Buffer.alloc(size);
  for (let at = 0; at < size; at += 12500)
    await handle.read(back, at, 12500, at);
  await handle.close();
  if (Buffer.compare(data, back) !== 0)
    throw new Error(`file ${n} differs`);
  return size;
}

async function all() {
  let bytes = 0;
  for (let n = 0; n < 60; n++) {
    bytes += await one(n);
    console.log(n);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  console.log(`60 files, ${bytes} bytes, all as they were written`);
}

all();

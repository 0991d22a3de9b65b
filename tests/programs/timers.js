// Timers, promises, file I/O on the thread pool, hashing, garbage.
// needs: node
// run: node {src}
// progress: 3
// situations: -new
//     (V8 holds recursive mutexes, whose owner is a thread ID: docs/architecture.md, PIDs)
// answer: digest 9688374b30e20bbc394ff45f
const crypto = require('crypto');
const fs = require('fs').promises;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let ticks = 0;
const ticker = setInterval(() => ticks++, 10);

async function main() {
  let digest = Buffer.alloc(32);
  let garbage = [];
  for (let step = 0; step < 25; step++) {
    const keys = await Promise.all([0, 1, 2, 3].map((i) => new Promise((resolve, reject) =>
      crypto.pbkdf2(digest, String(i), 2000, 32, 'sha256', (e, k) => e ? reject(e) : resolve(k)))));
    await fs.writeFile('data', Buffer.concat(keys));
    digest = crypto.createHash('sha256').update(await fs.readFile('data')).digest();
    garbage = Array.from({length: 20000}, (_, i) => ({step, i}));
    await pause(80);
    console.log('step', step);
  }
  clearInterval(ticker);
  if (ticks < 50 || garbage[19999].i !== 19999) throw new Error('wrong');
  console.log('digest', digest.toString('hex').slice(0, 24));
}

main();

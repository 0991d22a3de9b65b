// Node with a server on a unix socket and clients of it.
// needs: node
// run: node {src}
// progress: 3
// answer: 200 answers, sum 39800
// situations: -new
const net = require("net");

const server = net.createServer((socket) => {
  socket.on("data", (data) => {
    for (const line of data.toString().trim().split("\n")) socket.write(`${2 * Number(line)}\n`);
  });
});

let answers = 0, sum = 0, open = 4;

function client(number) {
  const socket = net.connect("service", () => socket.write(`${number}\n`));
  let n = number;
  socket.on("data", (data) => {
    answers++;
    sum += Number(data.toString());
    n += 4;
    if (number === 0 && answers % 5 === 1) console.log(`answer ${answers}`);
    if (n < 200) return setTimeout(() => socket.write(`${n}\n`), 50);
    socket.end();
    if (--open === 0) {
      server.close();
      console.log(`${answers} answers, sum ${sum}`);
    }
  });
}

server.listen("service", () => [0, 1, 2, 3].forEach(client));

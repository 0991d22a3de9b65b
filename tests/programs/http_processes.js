// Node: an HTTP server, and a client in a process of its own that it talks to by its IPC channel.
// needs: node
// run: node {src}
// progress: 3
// until: finish
// cycles: 2
// situations: -new
//     (it keeps the PID of its child)
// answer: the client ended with 0, every answer was right
const http = require('http');
const fs = require('fs');
const { fork } = require('child_process');

function serve() {
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (data) => { body += data; });
    request.on('end', () => response.end(body.toUpperCase().repeat(100)));
  });
  server.keepAliveTimeout = 0;  // a connection is never closed between two questions
  server.listen(0, '127.0.0.1', () => {
    const client = fork(__filename, [String(server.address().port)]);
    let right = true;
    client.on('message', (message) => {
      right = right && message.right;
      console.log(message.round);
      client.send({ more: !fs.existsSync('finish') });
    });
    client.on('exit', (code) => {
      console.log(`the client ended with ${code}, every answer was ${right ? 'right' : 'wrong'}`);
      server.close();
    });
  });
}

function ask(port) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  let round = 0;
  const one = (n) => new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', method: 'POST', agent }, (response) => {
      let body = '';
      response.on('data', (data) => { body += data; });
      response.on('end', () => resolve(body === `QUESTION ${n}`.repeat(100)));
    });
    request.on('error', reject);
    request.end(`question ${n}`);
  });
  const next = async () => {
    const answers = await Promise.all([...Array(40).keys()].map(one));
    round += 1;
    process.send({ round, right: answers.every((answer) => answer) });
  };
  process.on('message', (message) => {
    if (message.more) {
      next();
    } else {
      agent.destroy();
      process.disconnect();
    }
  });
  next();
}

if (process.argv[2]) {
  ask(Number(process.argv[2]));
} else {
  serve();
}

// An HTTP server and its client in one process.
// needs: node
// run: node {src}
// progress: 3
// situations: -new
//     (as for timers.js)
// answer: 40 answers, 7800780 bytes
const http = require('http');

const server = http.createServer((request, response) => {
  response.end('x'.repeat(Number(request.url.slice(1)) * 10001));
});
const agent = new http.Agent({ keepAlive: true });
let answers = 0, bytes = 0;

function ask(n) {
  const options = { port: server.address().port, host: '127.0.0.1', path: '/' + n,
                    agent: n % 3 ? agent : undefined };
  http.get(options, (response) => {
    response.on('data', (data) => { bytes += data.length; });
    response.on('end', () => {
      answers++;
      console.log(n);
      if (n < 39) {
        setTimeout(ask, 100, n + 1);
      } else {
        console.log(`${answers} answers, ${bytes} bytes`);
        agent.destroy();
        server.close();
      }
    });
  });
}

server.listen(0, '127.0.0.1', () => ask(0));

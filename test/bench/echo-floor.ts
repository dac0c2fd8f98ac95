// The floor of bench/console: serves a unix socket and answers every line with the same bytes. SOCKET, BYTES of an answer.
import { createServer } from 'node:net';

const [path = '', bytes = '1'] = process.argv.slice(2);
const answer = `${'x'.repeat(Number(bytes) - 1)}\n`;

createServer((socket) => {
  socket.on('data', (data: Buffer) => {
    let lines = 0;
    for (const byte of data) if (byte === 0x0a) lines += 1;
    socket.write(answer.repeat(lines));
  });
  socket.on('error', () => socket.destroy());
}).listen(path, () => process.stdout.write('\n'));

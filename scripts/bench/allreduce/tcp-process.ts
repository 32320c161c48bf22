/**
 * A contender's process: the bytes of a star's round over bare TCP, and nothing else. Every peer is sent `numBytes`
 * bytes and sends as many back. What a WebSocket, frames and sums cost on top is the difference to it.
 */
import { fork } from 'node:child_process';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { keepFreedMemory } from '../../../worker/machine/memory.ts';
import { answerRequests } from '../common/contender-answers.ts';

export interface TcpJob {
  readonly numBytes: number;
  readonly numWorkers: number;
  /** Set for a peer. */
  readonly port?: number;
}

const job = JSON.parse(process.argv.at(-1)!) as TcpJob;
const payload = Buffer.alloc(job.numBytes, 1);
keepFreedMemory();

if (job.port !== undefined) {
  echo(job.port);
} else {
  await answerRequests(() => move(job));
  process.exit();
}

async function move({ numWorkers }: TcpJob) {
  const peers: { send: () => void; received: () => Promise<void> }[] = [];
  let allThere!: () => void;
  const everyone = new Promise<void>((resolve) => (allThere = resolve));
  const server = createServer({ noDelay: true }, (socket) => {
    if (peers.push(track(socket)) === numWorkers) allThere();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  for (let peer = 0; peer < numWorkers; peer++) {
    fork(process.argv[1]!, [JSON.stringify({ ...job, port })], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  }
  await everyone;
  return {
    description: 'bare TCP',
    async next() {
      for (const { send } of peers) send();
      await Promise.all(peers.map(({ received }) => received()));
      return undefined;
    },
  };
}

/** Counts what arrives; `received` resolves with each whole payload. */
function track(socket: Socket) {
  let missing = job.numBytes;
  let done = () => {};
  socket.on('data', (bytes) => {
    missing -= bytes.length;
    if (missing > 0) return;
    missing += job.numBytes;
    done();
  });
  return {
    send: () => void socket.write(payload),
    received: () => new Promise<void>((resolve) => (done = resolve)),
  };
}

/** Reads into one buffer, which is never looked at, and answers each whole payload with one. */
function echo(port: number): void {
  process.on('disconnect', () => process.exit());
  let missing = job.numBytes;
  const socket = connect({
    port,
    host: '127.0.0.1',
    noDelay: true,
    onread: {
      buffer: new Uint8Array(256 * 1024),
      callback: (numBytes) => {
        missing -= numBytes;
        if (missing <= 0) {
          missing += job.numBytes;
          socket.write(payload);
        }
        return true;
      },
    },
  });
}

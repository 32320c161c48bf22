/** Connections that begin and do not go on, while a run does: each is ended at its deadline. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import { createNonce, createToken } from '../../../protocol/wire/authentication.ts';
import { memoryTransportPair, receiveKind } from '../../../protocol/wire/transport.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';
import { connectToCoordinator } from '../../../worker/connection/client.ts';
import { runCluster, runConfig } from '../../helpers/cluster.ts';
import { never } from '../../helpers/sockets.ts';
import { startSocketRun } from '../../helpers/socket-run.ts';

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), 'utf8');
const [cert, key] = [fixture('certificate.pem'), fixture('key.pem')];
const token = createToken();
/** Long enough for a hello that is sent at once, on a machine that does much else. */
const handshakeMs = 1000;
const config = runConfig({ epochs: 1 });

/** A run over TLS with one worker, in this process, that has begun and does not go on before it is let go. */
async function startRun() {
  const run = await startSocketRun(config, { token, handshakeMs }, { tls: { cert, key }, limits: { handshakeMs } });
  const [coordinatorEnd, workerEnd] = memoryTransportPair();
  void run.membership.admit(coordinatorEnd);
  void run.work(workerEnd, 'honest', token);
  const trained = run.train();
  return { ...run, trained, open: () => connectToCoordinator(run.joinUrl, never(), { ca: cert }) };
}

type Run = Awaited<ReturnType<typeof startRun>>;

/** What the coordinator has to say at the end of a connection. */
const endOf = async (transport: Transport) => (await transport.closed).message;

describe('while a run over TLS goes on, a connection', () => {
  test.each<[string, (run: Run) => Promise<string>, RegExp]>([
    [
      'that says nothing is cut when the time for TLS is over',
      async ({ port }) => {
        const socket = connect(port, '127.0.0.1');
        onTestFinished(() => void socket.destroy());
        socket.on('error', () => {});
        const startMs = performance.now();
        await once(socket, 'close');
        return performance.now() - startMs < LIMITS.handshakeMs ? 'cut' : 'cut at another deadline';
      },
      /^cut$/,
    ],
    [
      'that never says hello is ended with a code',
      async ({ open }) => endOf(await open()),
      /ERR_TIMEOUT: no hello from 127\.0\.0\.1:\d+ within 1 s/,
    ],
    [
      'that never proves what it was challenged to is ended with a code',
      async ({ open }) => {
        const transport = await open();
        transport.send({ kind: 'hello', name: 'mute', nonce: createNonce() });
        await receiveKind(transport, 20_000, 'challenge');
        return endOf(transport);
      },
      /ERR_TIMEOUT: no proof from 127\.0\.0\.1:\d+ within 1 s/,
    ],
  ])('%s', async (_what, begin, end) => {
    const run = await startRun();
    expect(await begin(run)).toMatch(end);
    expect(run.replica.step).toBe(0);
    run.letGo();
    await run.trained;
    expect(run.replica.parametersSha256()).toBe((await runCluster({ config })).replica.parametersSha256());
  });
});

import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startServer } from '../../../coordinator/server/server.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';
import { connectToCoordinator } from '../../../worker/connection/client.ts';
import { plainFingerprint } from '../../../worker/connection/tls.ts';
import type { TlsTrust } from '../../../worker/connection/tls.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';
import { never, startTestServer } from '../../helpers/sockets.ts';

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), 'utf8');
const [cert, key] = [fixture('certificate.pem'), fixture('key.pem')];
const fingerprint = plainFingerprint(new X509Certificate(cert).fingerprint256);
const wrong = 'ab'.repeat(32);

async function startTlsServer() {
  let accept!: (transport: Transport) => void;
  const accepted = new Promise<Transport>((resolve) => (accept = resolve));
  const address = { host: '127.0.0.1', port: 0 };
  const server = await startServer(address, () => ({}), accept, { tls: { cert, key } });
  onTestFinished(() => server.close());
  return { server, accepted };
}

describe('a worker at a wss:// URL', () => {
  test.each<[string, TlsTrust]>([
    ['its authority', { ca: cert }],
    ['its fingerprint', { fingerprint }],
    ['both', { ca: cert, fingerprint }],
  ])('trusts a certificate by %s, and messages travel both ways', async (_what, trust) => {
    const { server, accepted } = await startTlsServer();
    expect(server.joinUrl).toMatch(/^wss:\/\/127\.0\.0\.1:\d+$/);
    const worker = await connectToCoordinator(server.joinUrl, never(), trust);
    const coordinator = await accepted;
    const payload = Float32Array.from({ length: 20_003 }, (_, i) => i);
    worker.send(SAMPLE_MESSAGES.hello);
    coordinator.send({ ...SAMPLE_MESSAGES.snapshot, payload });
    expect(await coordinator.receive(10_000, 'hello')).toEqual(SAMPLE_MESSAGES.hello);
    expect(await worker.receive(10_000, 'snapshot')).toEqual({ ...SAMPLE_MESSAGES.snapshot, payload });
    expect(worker.localAddress).toBe('127.0.0.1');
    worker.close();
  });

  test.each<[string, TlsTrust, string]>([
    ['nobody known has signed', {}, "the coordinator's certificate is not trusted"],
    ['has another fingerprint', { fingerprint: wrong }, `--tls-fingerprint ${wrong}: `],
    [
      'has another fingerprint than an authority signed',
      { ca: cert, fingerprint: wrong },
      `--tls-fingerprint ${wrong}: `,
    ],
  ])('refuses a certificate that %s, before anything is sent', async (_what, trust, message) => {
    let numBytes = 0;
    const server = createServer({ cert, key });
    const over = new Promise((resolve) => {
      server.on('secureConnection', (socket) => {
        socket.on('data', (bytes: Buffer) => (numBytes += bytes.length));
        socket.on('error', () => {});
        socket.on('close', resolve);
      });
      server.on('tlsClientError', resolve);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const url = `wss://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const refusal = await connectToCoordinator(url, never(), trust).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ConfigError);
    expect((refusal as Error).message).toContain(message);
    await over;
    expect(numBytes).toBe(0);
  });

  test('is told when the coordinator speaks no TLS', async () => {
    const server = await startTestServer(() => {});
    onTestFinished(() => server.close());
    const url = server.joinUrl.replace('ws:', 'wss:');
    await expect(connectToCoordinator(url, never(), { fingerprint })).rejects.toThrow('speaks no TLS: join with ws://');
  });
});

/** What a doctor says of healthy and of broken set-ups: real sockets on loopback; the engine is not the matter here. */
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import type { Server as HttpServer } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { createMembership } from '../../../coordinator/members/membership.ts';
import type { RunFacts } from '../../../coordinator/members/examination.ts';
import { startServer } from '../../../coordinator/server/server.ts';
import type { ServerOptions } from '../../../coordinator/server/server.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import { createToken } from '../../../protocol/wire/authentication.ts';
import { encodeFrame } from '../../../protocol/wire/frame.ts';
import { PROTOCOL_VERSION } from '../../../protocol/wire/messages.ts';
import type { Check } from '../../../scripts/doctor/check.ts';
import { examine } from '../../../scripts/doctor/doctor.ts';
import type { DoctorOptions } from '../../../scripts/doctor/doctor.ts';
import { packageVersion } from '../../../scripts/process.ts';
import { sourceOf } from '../../../scripts/run/join-source.ts';
import type { surveyOne } from '../../../scripts/survey/survey.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';
import { never } from '../../helpers/sockets.ts';

const TOKEN = createToken();
const DAY_MS = 24 * 3600 * 1000;
const fixture = (name: string) => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), 'utf8');
const TLS = { cert: fixture('certificate.pem'), key: fixture('key.pem') };

const ENGINE = { isUsable: true, engine: 'tested', device: 'cpu', probe: null, stepMs: null } as const;
const usable: typeof surveyOne = ({ models }) =>
  Promise.resolve(models.map(({ name }) => ({ model: name, ...ENGINE })));

/** A run of `conv-pool` with this token, as far as an examiner can tell. */
async function startRun(facts: Partial<RunFacts> = {}, serving: ServerOptions = {}, host = '127.0.0.1') {
  const membership = createMembership({
    welcome: SAMPLE_MESSAGES.welcome,
    token: TOKEN,
    examination: () => ({
      ...{ program: packageVersion(), numWorkers: 2, numReady: 0, stepBytes: 242_392, stepTimeoutMs: 60_000 },
      ...{ mayBeRing: true, ...facts },
    }),
    log: () => {},
  });
  const server = await startServer(
    { host, port: 0 },
    () => ({}),
    (transport) => membership.admit(transport),
    serving,
  );
  onTestFinished(async () => {
    membership.dismiss('the test is over');
    await server.close();
  });
  return server.joinUrl;
}

async function portOf(server: HttpServer | ReturnType<typeof createTcpServer>): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function closedPort(): Promise<number> {
  const server = createTcpServer();
  const port = await portOf(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** All checks, by their names; of several of one name the last. */
async function examined(
  url: string | readonly string[] | undefined,
  options: Partial<DoctorOptions> = {},
  token = TOKEN,
) {
  const { checks } = await examine({
    target: url === undefined ? undefined : sourceOf({ url, token }),
    tlsOf: () => undefined,
    engine: 'auto',
    device: undefined,
    dataDir: undefined,
    peerPorts: undefined,
    cacheFolder: temporaryFolder(),
    signal: never(),
    onCheck: () => {},
    survey: usable,
    ...options,
  });
  const named = (name: string): Check | undefined => checks.findLast((check) => check.name === name);
  return { checks, named, failed: checks.filter(({ mark }) => mark === 'fail').map(({ name }) => name) };
}

describe('a doctor finds nothing in the way', () => {
  test('of a run that can be joined, and tells its figures', async () => {
    const { named, failed } = await examined(await startRun());
    expect(failed).toEqual([]);
    expect(named('token')).toMatchObject({ mark: 'ok', text: 'both sides know it' });
    expect(named('version')?.text).toBe(`gradsock ${packageVersion()}, protocol ${PROTOCOL_VERSION} on both sides`);
    expect(named('run')?.text).toBe('conv-pool, for 2 workers, of which 0 are ready');
    expect(named('round trip')?.figures).toMatchObject({ numEchoes: 100 });
    expect(named('bandwidth')?.text).toMatch(/^[\d.]+ [GM]bit\/s from the coordinator, [\d.]+ [GM]bit\/s to it$/);
    expect(named('step')?.text).toMatch(/^242\.4 kB each way: at least [\d.]+ ms of each step over this link/);
    expect(named('ring ports')?.mark).toBe('ok');
  });

  test('of a run on ::1', async ({ skip }) => {
    const url = await startRun({}, {}, '::1').catch(() => undefined);
    if (url === undefined) return skip('no IPv6 here');
    const { named, failed } = await examined(url);
    expect(failed).toEqual([]);
    expect(named('port')?.text).toMatch(/^\[::1\]:\d+ takes connections/);
  });

  test('over TLS, where the certificate is trusted', async () => {
    const { named, failed } = await examined(await startRun({}, { tls: TLS }), { tlsOf: () => ({ ca: TLS.cert }) });
    expect(failed).toEqual([]);
    expect(named('certificate')?.text).toMatch(/^sha256 [0-9a-f]{64}, valid until \d{4}-\d\d-\d\d, \d+ days left$/);
    expect(named('TLS')?.text).toBe('trusted by --tls-ca');
  });

  test('where one of several addresses does not answer, which is a warning', async () => {
    const port = await closedPort();
    const { checks, failed } = await examined([`ws://127.0.0.1:${port}`, await startRun()]);
    expect(failed).toEqual([]);
    expect(checks.filter(({ name }) => name === 'port').map(({ mark }) => mark)).toEqual(['warn', 'ok']);
  });

  test('of this machine alone, without a word of a coordinator', async () => {
    const { checks, failed } = await examined(undefined);
    expect(failed).toEqual([]);
    expect(new Set(checks.map(({ section }) => section))).toEqual(new Set(['machine']));
  });
});

describe('a doctor names what is broken, with its cure:', () => {
  test('a wrong port', async () => {
    const { named, failed } = await examined(`ws://127.0.0.1:${await closedPort()}`);
    expect(failed).toEqual(['port']);
    expect(named('port')?.text).toMatch(/refuses connections$/);
    expect(named('port')?.cure).toContain('--listen 0.0.0.0:7878');
    expect(named('run')?.mark).toBe('skipped');
  });

  test('a name without an address', async () => {
    const lookup = () => Promise.reject(new Error('getaddrinfo ENOTFOUND trainer.invalid'));
    const { named, failed } = await examined('ws://trainer.invalid:7878', { lookup });
    expect(failed).toEqual(['name']);
    expect(named('name')?.text).toContain('ENOTFOUND');
  });

  test('ws:// in place of wss://', async () => {
    const url = await startRun({}, { tls: TLS });
    const { named, failed } = await examined(url.replace('wss:', 'ws:'));
    expect(failed).toEqual(['TLS']);
    expect(named('TLS')?.cure).toContain(`use ${url}, with --tls-fingerprint or --tls-ca`);
  });

  test('wss:// in place of ws://', async () => {
    const { named, failed } = await examined((await startRun()).replace('ws:', 'wss:'));
    expect(failed).toEqual(['TLS']);
    expect(named('TLS')).toMatchObject({
      text: expect.stringContaining('the coordinator speaks no TLS'),
      cure: 'join with ws:// as it printed it',
    });
  });

  test('a certificate that is not trusted', async () => {
    const { named, failed } = await examined(await startRun({}, { tls: TLS }));
    expect(failed).toEqual(['TLS']);
    expect(named('TLS')?.cure).toContain('give --tls-ca FILE');
  });

  test("a certificate that has expired by this machine's clock", async () => {
    const { named, failed } = await examined(await startRun({}, { tls: TLS }), {
      tlsOf: () => ({ ca: TLS.cert }),
      now: () => Date.parse('2999-01-01'),
    });
    expect(failed).toEqual(['certificate']);
    expect(named('certificate')?.text).toMatch(/^expired: it was valid until/);
  });

  test('another token, which it does not show', async () => {
    const other = createToken();
    const { checks, named, failed } = await examined(await startRun(), {}, other);
    expect(failed).toEqual(['token']);
    expect(named('token')?.cure).toContain("the run's token: at its prompt, by GRADSOCK_TOKEN");
    expect(JSON.stringify(checks)).not.toContain(other);
  });

  test('another version of the protocol', async () => {
    const http = createHttpServer((_, response) => response.end('{}'));
    const server = new WebSocketServer({ server: http });
    server.on('connection', (socket) => {
      socket.on('message', () => {
        const { head } = encodeFrame(SAMPLE_MESSAGES.challenge);
        head[4] = PROTOCOL_VERSION - 1;
        socket.send(head);
      });
    });
    const { named, failed } = await examined(`ws://127.0.0.1:${await portOf(http)}`);
    expect(failed).toEqual(['version']);
    expect(named('version')).toMatchObject({
      text: `the peer speaks protocol version ${PROTOCOL_VERSION - 1}, this program ${PROTOCOL_VERSION}`,
      cure: 'run the same gradsock on both sides',
    });
    server.close();
  });

  test('a coordinator that is too old to be examined', async () => {
    const http = createHttpServer((_, response) => response.end('{}'));
    const server = new WebSocketServer({ server: http });
    server.on('connection', (socket) => {
      const message = 'message kind 50 is not in this protocol version';
      socket.on('message', () => socket.send(encodeFrame({ kind: 'error', code: 'ERR_UNKNOWN_KIND', message }).head));
    });
    const { named, failed } = await examined(`ws://127.0.0.1:${await portOf(http)}`);
    expect(failed).toEqual(['version']);
    expect(named('version')?.text).toBe('the coordinator is of a version that cannot be examined');
    server.close();
  });

  test('a program that is no coordinator', async () => {
    const { failed } = await examined(
      `ws://127.0.0.1:${await portOf(createTcpServer((socket) => socket.on('error', () => {}).end('SSH-2.0\r\n')))}`,
    );
    expect(failed).toEqual(['HTTP']);
  });

  test.each([
    [DAY_MS, 'this machine is 24 h 0 min ahead of the coordinator'],
    [-DAY_MS, 'this machine is 24 h 0 min behind the coordinator'],
  ])('a clock that is %d ms off', async (offsetMs, text) => {
    const { named } = await examined(await startRun(), { now: () => Date.now() + offsetMs });
    expect(named('clock')).toMatchObject({ mark: 'warn', text });
    expect(named('clock')?.cure).toContain('NTP');
  });

  test('an engine that cannot be used', async () => {
    const { named, failed } = await examined(undefined, {
      engine: 'tfjs',
      survey: () =>
        Promise.resolve([{ model: 'conv-pool', isUsable: false, reason: 'TensorFlow.js is not installed' }]),
    });
    expect(failed).toEqual(['engine']);
    expect(named('engine')?.text).toBe('--engine tfjs cannot be used: TensorFlow.js is not installed');
  });

  test('a link over which a step takes longer than the coordinator waits', async () => {
    const { named, failed } = await examined(await startRun({ stepBytes: 1e13 }));
    expect(failed).toEqual(['step']);
    expect(named('step')?.cure).toMatch(/^the worker would be lost by --step-timeout 60: have less sent/);
  });

  test('a join file that is not there', async () => {
    const joinFile = join(temporaryFolder(), 'join');
    const { named, failed } = await examined(undefined, { target: sourceOf({ joinFile, token: undefined }) });
    expect(failed).toEqual(['join file']);
    expect(named('join file')?.cure).toBe(`start the coordinator with --join-file ${joinFile}`);
  });

  test('ports of a ring that are all taken', async () => {
    const port = await portOf(createTcpServer());
    const { named, failed } = await examined(await startRun(), { peerPorts: { first: port, last: port } });
    expect(failed).toEqual([]);
    expect(named('ring ports')).toMatchObject({
      mark: 'warn',
      text: `--peer-ports ${port}-${port}: 1 port is taken on 127.0.0.1`,
    });
  });
});

test('the model that the engine is probed with is that of the run', async () => {
  const asked: string[] = [];
  const survey: typeof surveyOne = (job) => {
    asked.push(...job.models.map(({ name }) => name));
    return usable(job);
  };
  await examined(await startRun(), { survey });
  expect(asked).toEqual([SAMPLE_MESSAGES.welcome.model.name]);
  expect(asked).not.toEqual([MODELS.conv.name]);
});

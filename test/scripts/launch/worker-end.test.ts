import { describe, expect, test } from 'vitest';
import { createRetries } from '../../../scripts/launch/retries.ts';
import { describeWorkerEnd } from '../../../scripts/launch/worker-end.ts';
import type { EndFacts } from '../../../scripts/launch/worker-end.ts';

const FACTS: EndFacts = {
  destination: 'ada@node1',
  label: 'node1',
  name: 'node1',
  told: undefined,
  hasStarted: false,
  session: { code: 255, lastLines: [] },
  version: '1.2.3',
  ssh: 'ssh',
};

/** The end of a session in which ssh, or the host, has said `line` last. */
const endOf = (facts: Partial<EndFacts>, line?: string, code = 255) =>
  describeWorkerEnd({ ...FACTS, session: { code, lastLines: line === undefined ? [] : [line] }, ...facts });

describe('how a connection ended', () => {
  test.each<[string, string, RegExp]>([
    [
      'ada@node1: Permission denied (publickey,password).',
      'hopeless',
      /Permission denied.*: no key of yours.*ssh-copy-id ada@node1/,
    ],
    ['Host key verification failed.', 'hopeless', /run `ssh ada@node1` once and compare it$/],
    ['ssh: Could not resolve hostname node1: Name or service not known', 'hopeless', /check the name/],
    ['command-line: line 0: Bad configuration option: nosuch', 'hopeless', /check --ssh/],
    ['ssh: connect to host node1 port 22: Connection refused', 'unreachable', /start sshd there/],
    ['ssh: connect to host node1 port 22: Connection timed out', 'unreachable', /check that the host is up/],
    [
      'kex_exchange_identification: Connection closed by remote host',
      'unreachable',
      /`ssh -o BatchMode=yes ada@node1 true` must work$/,
    ],
  ])('%s', (line, kind, message) => {
    const end = endOf({}, line);
    expect(end.kind).toBe(kind);
    expect(end.error.message).toMatch(/^node1: cannot be reached by ssh \(exit code 255\): /);
    expect(end.error.message).toMatch(message);
    expect(end.error.worker).toBe('node1');
  });

  test('after the worker has started, it was lost', () => {
    const end = endOf(
      { hasStarted: true, told: { word: 'started', rest: '' } },
      'Connection to node1 closed by remote host.',
    );
    expect(end).toMatchObject({ kind: 'lost' });
    expect(end.error.message).toBe('node1: its connection was lost: Connection to node1 closed by remote host');
  });

  test('ssh itself may be missing, and a host may be silent', () => {
    const missing = describeWorkerEnd({
      ...FACTS,
      session: { code: undefined, refusal: 'spawn ssh ENOENT', lastLines: [] },
    });
    expect(missing).toMatchObject({ kind: 'hopeless' });
    expect(missing.error.message).toBe(
      "ssh cannot be started (spawn ssh ENOENT): install OpenSSH's client, or name it by --ssh",
    );
    expect(endOf({ ended: 'too-late' }).error.message).toMatch(/^node1: no worker was started within 60 s: `ssh/);
    expect(endOf({ ended: 'no-tunnel-port' })).toMatchObject({ kind: 'hopeless' });
  });
});

describe('how a worker ended', () => {
  const ended = (code: number, line?: string) =>
    endOf({ hasStarted: true, told: { word: 'ended', rest: String(code) } }, line, code);

  test.each<[number, string | undefined, string, string]>([
    [0, undefined, 'done', 'node1 exited with code 0'],
    [1, 'error: out of memory', 'lost', 'node1 exited with code 1: out of memory'],
    [
      2,
      'error: --engine abacus: no such engine',
      'hopeless',
      'node1 exited with code 2: --engine abacus: no such engine',
    ],
    [137, undefined, 'lost', 'node1 was ended by SIGKILL'],
  ])('with code %i', (code, line, kind, message) => {
    const end = ended(code, line);
    expect([end.kind, end.error.message]).toEqual([kind, message]);
  });

  test('a coordinator that was not found has its cure', () => {
    const line = 'error: gave up waiting for a coordinator at ws://192.0.2.1:7878 after 60 s (ECONNREFUSED): start it';
    expect(ended(1, line).error.message).toMatch(
      /: give --advertise with an address by which node1 reaches.*--tunnel$/,
    );
  });
});

describe('a worker that has ended', () => {
  const retries = () => createRetries({ stepTimeoutMs: 60_000, patienceMs: 600_000 });

  test('without hope is given up at once', () => {
    expect(retries().ended('hopeless', 0, 0)).toHaveProperty('givenUp');
  });

  test('before it ever worked is tried three times', () => {
    const { ended } = retries();
    expect([ended('unreachable', 0, 0), ended('unreachable', 1, 0)]).toEqual([{ pauseMs: 1000 }, { pauseMs: 3000 }]);
    expect(ended('unreachable', 2, 0)).toEqual({ givenUp: 'failed 3 times' });
  });

  test('after it has worked is waited for, in pauses that grow, up to the patience', () => {
    const { ended } = retries();
    expect(ended('lost', 1000, 900_000)).toEqual({ pauseMs: 0 });
    const pauses = [1, 2, 4, 8, 16, 30, 30].map((seconds) => ({ pauseMs: seconds * 1000 }));
    expect(pauses.map(() => ended('unreachable', 2000, 0))).toEqual(pauses);
    expect(ended('unreachable', 602_000, 0)).toEqual({ givenUp: 'was not there for 601 s' });
  });

  test('is started again as often as a local one', () => {
    const { ended } = retries();
    const short = [ended('lost', 0, 100), ended('lost', 200, 100), ended('lost', 300, 100)];
    expect(short).toEqual([{ pauseMs: 0 }, { pauseMs: 0 }, { givenUp: 'ended within 3 s of its start 3 times' }]);
  });
});

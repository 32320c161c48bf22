import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { createNotifier } from '../../../coordinator/reporting/notify.ts';
import type { RunResult } from '../../../coordinator/reporting/reporter.ts';
import { runConfig } from '../../helpers/cluster.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { beginOrResume } from '../../helpers/small-run.ts';

interface Post {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A server on loopback that keeps what is posted. */
async function receiver(status = 200) {
  const posts: Post[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      posts.push({ headers: request.headers, body });
      response.writeHead(status).end();
    });
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { posts, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/topic-that-is-secret` };
}

/** Where somebody listened a moment ago. */
async function urlOfNobody(): Promise<string> {
  const { url } = await receiver();
  const server = servers.pop()!;
  server.close();
  await once(server, 'close');
  return url;
}

const silent = { warn: () => {} };
const failed: RunResult = {
  status: 'failed',
  steps: 7,
  epochs: 0,
  testAccuracy: null,
  seconds: 3,
  trainingSeconds: 2,
  waitingSeconds: 1,
  parametersSha256: '',
  error: { code: 'ERR_TIMEOUT', message: 'no worker is left, and none has joined' },
};

test('a run is told of when it begins and when it ends, before the call returns', async () => {
  const { posts, url } = await receiver();
  const runDir = join(temporaryFolder(), 'run');
  await beginOrResume(runDir, { subscribers: [createNotifier({ url, ...silent })] });
  expect(posts.map(({ headers, body }) => [headers['title'], headers['priority'], headers['tags'], body])).toEqual([
    [`${runDir}: training`, '3', 'rocket', expect.stringMatching(/^tiny on made up for 2 epochs, by worker$/)],
    [`${runDir}: completed`, '3', 'white_check_mark', expect.stringMatching(/^4 steps in .*, accuracy 0\.\d{4}$/)],
  ]);
});

test('a failure and a run without workers are told with high priority', async () => {
  const { posts, url } = await receiver();
  const notifier = createNotifier({ url, ...silent });
  notifier.onEvent?.({ kind: 'alone', step: 7, waitSeconds: 600 });
  notifier.onEnd?.(failed, 'runs/mine');
  await notifier.close?.();
  expect(posts.map(({ headers, body }) => [headers['title'], headers['priority'], body])).toEqual([
    ['run: no worker is left', '4', 'No worker is left at step 7. The run waits 10 min 0 s for one to join.'],
    [
      'runs/mine: failed',
      '4',
      expect.stringContaining('ERR_TIMEOUT: no worker is left, and none has joined\nAfter 7 steps'),
    ],
  ]);
});

test('Slack is told as JSON', async () => {
  const { posts, url } = await receiver();
  const notifier = createNotifier({ url: `slack+${url}`, ...silent });
  notifier.onEnd?.({ ...failed, status: 'interrupted' }, 'runs/mine');
  await notifier.close?.();
  expect(posts[0]!.headers['content-type']).toBe('application/json');
  expect(JSON.parse(posts[0]!.body)).toEqual({
    text: expect.stringMatching(/^\*runs\/mine: interrupted\*\n7 steps in/),
  });
});

test('a title beyond ASCII arrives whole', async () => {
  const { posts, url } = await receiver();
  const notifier = createNotifier({ url, ...silent });
  notifier.onEnd?.(failed, 'läufe/größer');
  await notifier.close?.();
  const [, base64] = /^=\?UTF-8\?B\?(.*)\?=$/.exec(String(posts[0]!.headers['title']))!;
  expect(Buffer.from(base64!, 'base64').toString()).toBe('läufe/größer: failed');
});

test.each([
  ['nobody who listens', urlOfNobody, 'ECONNREFUSED'],
  ['an answer that refuses', async () => (await receiver(403)).url, 'it answered 403'],
])('%s is told once, without the secret, and changes nothing', async (_, urlOf, reason) => {
  const warnings: string[] = [];
  const notifier = createNotifier({ url: await urlOf(), warn: (line) => warnings.push(line) });
  notifier.onStart?.(runConfig(), [], undefined, 0);
  notifier.onEnd?.(failed, undefined);
  await notifier.close?.();
  expect(warnings).toEqual([expect.stringMatching(/^--notify: http:\/\/127\.0\.0\.1:\d+ was not told: /)]);
  expect(warnings[0]).toContain(reason);
  expect(warnings[0]).not.toContain('secret');
});

test('a URL that is none is refused', () => {
  expect(() => createNotifier({ url: 'my-topic', ...silent })).toThrow(
    '--notify: expected a URL that begins with http://, https:// or slack+https://: correct it',
  );
});

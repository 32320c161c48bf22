/** The runs of a folder as a list, side by side, and over real connections: for friendly pages and hostile ones. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { compareRuns } from '../../../scripts/show/comparison.ts';
import { openRunListing } from '../../../scripts/show/run-listing.ts';
import { parsePublicUrl } from '../../../coordinator/server/public-url.ts';
import { startShow } from '../../../scripts/show/show-server.ts';
import { viewKeyOf } from '../../../coordinator/server/view-access.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { hmac, openPage } from '../../helpers/page-client.ts';
import { epochRecord } from '../../helpers/records.ts';
import { appendEpoch, makeRunFolder } from '../../helpers/run-folders.ts';

const HOSTILE = '<img src=x onerror=alert(1)>, "%2e%2e" & ünï';

function makeRuns(): string {
  const runs = join(temporaryFolder(), 'runs');
  makeRunFolder(join(runs, 'done'));
  makeRunFolder(join(runs, 'going'), {
    result: null,
    lock: 'held',
    config: { workers: 2, startedAt: '2026-11-30T10:00:00.000Z' },
  });
  makeRunFolder(join(runs, HOSTILE), { result: null, lock: 'left', config: { startedAt: undefined } });
  mkdirSync(join(runs, 'no-run'));
  mkdirSync(join(runs, 'broken'));
  writeFileSync(join(runs, 'broken', 'config.json'), '{"model": [');
  symlinkSync('done', join(runs, 'latest'));
  makeRunFolder(join(runs, '..', 'outside'));
  return runs;
}

async function show(
  folder = makeRuns(),
  rule: Parameters<typeof startShow>[0]['rule'] = 'anyone',
  publicUrl?: Parameters<typeof startShow>[0]['publicUrl'],
) {
  const server = await startShow({ folder, rule, publicUrl, address: { host: '127.0.0.1', port: 0 }, everyMs: 5 });
  onTestFinished(() => server.close());
  return { folder, server, url: server.urls[0], socket: server.urls[0].replace('http', 'ws') };
}

/** `path` as it is: without what a client would make of ".." in it. */
function get(url: string, path: string, headers: Record<string, string> = {}) {
  const { hostname, port } = new URL(url);
  return new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: string }>((resolve, reject) => {
    const sent = request({ hostname, port, path, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

test('behind a tunnel the public URL is the link, and its pages are let in', async () => {
  const { server } = await show(makeRuns(), 'anyone', parsePublicUrl('http://localhost:8080/lab'));
  expect(server.urls).toEqual(['http://localhost:8080/lab/']);
  const socket = `ws://127.0.0.1:${server.port}/live`;
  await openPage(socket, { origin: 'http://localhost:8080', host: 'localhost:8080' });
  await expect(openPage(socket, { origin: 'http://localhost:8081', host: 'localhost:8081' })).rejects.toThrow('403');
  const { status, body } = await get(`http://127.0.0.1:${server.port}`, '/runs/nothing/else');
  expect([status, /href="([^"]*)"/.exec(/<a [^>]*>/.exec(body)![0])![1]]).toEqual([404, './../../']);
});

test('a list has the runs of a folder, the newest first, and no link', async () => {
  const listing = await openRunListing(makeRuns());
  const rows = await listing.rows();
  expect(rows.map(({ name, state }) => [name, state])).toEqual([
    ['going', 'running'],
    ['done', 'completed'],
    [HOSTILE, 'stopped'],
    ['broken', 'stopped'],
  ]);
  expect(rows[1]).toMatchObject({
    ...{ model: 'tiny', data: 'fashion-mnist', epochs: 2, plannedEpochs: 2, bestAccuracy: 0.84, loss: 0.5 },
    ...{ seconds: 20, workers: 2, samplesPerSecond: 1280 },
  });
  expect(rows[3]).toMatchObject({ model: '?', epochs: 0, bestAccuracy: null, startedAt: null });
});

test('a run is read again when it has changed', async () => {
  const runs = makeRuns();
  const listing = await openRunListing(runs);
  await listing.rows();
  appendEpoch(join(runs, 'going'), epochRecord(3));
  expect((await listing.rows())[0]).toMatchObject({ name: 'going', epochs: 3 });
  rmSync(join(runs, 'going'), { recursive: true });
  expect((await listing.rows())[0]).toMatchObject({ name: 'done' });
});

test('only names of the list lead to a folder', async () => {
  const runs = makeRuns();
  const listing = await openRunListing(runs);
  expect(await listing.pathOf('done')).toBe(join(runs, 'done'));
  for (const name of ['../outside', '..', '.', '', 'latest', 'no-run', 'done/', 'done/../done', '/etc', 'done\0']) {
    expect(await listing.pathOf(name), name).toBeUndefined();
  }
});

test('a single run directory is a list of one; what is no folder is refused', async () => {
  const runs = makeRuns();
  expect((await (await openRunListing(join(runs, 'done'))).rows()).map(({ name }) => name)).toEqual(['done']);
  await expect(openRunListing(join(runs, 'gone'))).rejects.toThrow(/gone/);
});

test('a comparison has curves, and the values that are not the same', async () => {
  const runs = makeRuns();
  const { differences, ...found } = await compareRuns(
    ['done', 'going'].map((name) => ({ name, path: join(runs, name) })),
  );
  expect(found.runs[0]!.curves).toEqual({
    ...{ epochs: [1, 2], seconds: [10.5, 21], loss: [1, 0.5] },
    accuracy: [1 - 0.32, 1 - 0.16],
  });
  expect(differences).toEqual([{ field: 'workers', values: ['1', '2'] }]);
});

test('pages are served with the policy that only their own script runs', async () => {
  const { url } = await show();
  const hostile = encodeURIComponent(HOSTILE);
  for (const path of ['/', '/compare?runs=done,going', '/runs/done/', `/runs/${hostile}/`]) {
    const { status, headers, body } = await get(url, path);
    expect([path, status]).toEqual([path, 200]);
    expect(headers['content-security-policy']).toMatch(/default-src 'none'.*script-src 'sha256-/);
    expect(body).not.toContain('<img src=x');
  }
  for (const path of ['/runs/../outside/', '/x', '/runs/done/config.json', '/runs//', '/runs/%']) {
    expect([path, (await get(url, path)).status]).toEqual([path, 404]);
  }
  // Another name that its owner points here.
  expect((await get(url, '/', { host: 'evil.example' })).status).toBe(421);
  await expect(openPage(`${url.replace('http', 'ws')}live`, { origin: 'http://evil.example' })).rejects.toThrow(/403/);
});

test('a run is shown and followed; one that is not in the list is refused', async () => {
  const { folder, socket } = await show();
  const page = await openPage(`${socket}runs/going/live`);
  page.send({ kind: 'look' });
  expect((await page.next('view')).view).toMatchObject({ head: { name: 'going' }, now: { state: 'running' } });
  appendEpoch(join(folder, 'going'), epochRecord(3));
  expect((await page.next('update')).update.epochs).toMatchObject({ from: 2, items: [{ epoch: 3 }] });
  page.send({ kind: 'images', indices: [0] });
  expect((await page.next('images')).images).toMatchObject([{ index: 0 }]);
  page.send({ kind: 'confusion', epoch: 1 });
  expect((await page.next('confusion')).confusion).toBeNull();

  const hostile = await openPage(`${socket}runs/${encodeURIComponent(HOSTILE)}/live`);
  hostile.send({ kind: 'look' });
  expect((await hostile.next('view')).view.head.name).toBe(HOSTILE);
  for (const name of ['..%2foutside', 'latest', 'no-run']) {
    await expect(openPage(`${socket}runs/${name}/live`), name).rejects.toThrow('ended before hello');
  }
});

test('a list tells of new runs, a comparison is asked for by names, and a third request is too much', async () => {
  const { folder, socket } = await show();
  // The list has messages of its own.
  const page = (await openPage(`${socket}live`)) as unknown as {
    send(message: object): void;
    next(kind: string): Promise<Record<string, { length: number; runs: { name: string }[] } & { name: string }[]>>;
    closed: Promise<number>;
  };
  page.send({ kind: 'look' });
  expect((await page.next('runs'))['runs']).toHaveLength(4);
  makeRunFolder(join(folder, 'newest'));
  expect((await page.next('runs'))['runs']).toHaveLength(5);
  page.send({ kind: 'compare', runs: ['going', '../outside', 'done', 'done'] });
  const { comparison } = await page.next('comparison');
  expect(comparison!.runs.map(({ name }) => name)).toEqual(['going', 'done']);
  page.send({ kind: 'compare', runs: ['done'] });
  await page.closed;
});

test('beyond loopback nothing is told without the view key', async () => {
  const viewKey = viewKeyOf('a-token-that-is-long-enough-0123');
  const { url, socket } = await show(makeRuns(), { viewKey });
  // A page is the same whether or not there is such a run.
  expect((await get(url, '/runs/done/')).body.length).toBe((await get(url, '/runs/gone/')).body.length);
  for (const path of ['live', 'runs/done/live']) {
    const stranger = await openPage(`${socket}${path}`);
    stranger.send({ kind: 'look', proof: hmac('wrong', `view ${stranger.nonce}`) });
    expect(await stranger.next('refused')).toMatchObject({ reason: 'key' });
    const friend = await openPage(`${socket}${path}`);
    friend.send({ kind: 'look', proof: hmac(viewKey, `view ${friend.nonce}`) });
    await friend.next((path === 'live' ? 'runs' : 'view') as 'view');
  }
});

/** Pages that look at a run, friendly and hostile ones, over real sockets. */
import { request } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Control, FromServer } from '../../../coordinator/dashboard/page-messages.ts';
import { createViewBuilder } from '../../../coordinator/dashboard/view-builder.ts';
import { createViewers } from '../../../coordinator/dashboard/viewers.ts';
import type { ViewersOptions } from '../../../coordinator/dashboard/viewers.ts';
import type { PageSocket } from '../../../coordinator/server/page-socket.ts';
import { startServer } from '../../../coordinator/server/server.ts';
import { viewKeyOf } from '../../../coordinator/server/view-access.ts';
import { epochRecord, stepRecord } from '../../helpers/records.ts';
import { hmac, openPage } from '../../helpers/page-client.ts';

const TOKEN = 'a-token-that-is-long-enough-0123';

async function startRun(options: Partial<ViewersOptions> = {}) {
  const builder = createViewBuilder({ name: 'run-1' });
  const pressed: Control[] = [];
  const buttons = {
    token: TOKEN,
    press(control: Control) {
      pressed.push(control);
      return { ok: true, text: `${control}: done` };
    },
  };
  const run = {
    view: () => builder.view(),
    confusion: (epoch: number) =>
      Promise.resolve(epoch === 1 ? { epoch, split: 'test' as const, numSamples: 1, cells: [] } : null),
    images: (indices: readonly number[]) => Promise.resolve(indices.map((index) => ({ index, url: `data:${index}` }))),
    buttons,
  };
  const viewers = createViewers({ run, rule: 'anyone', intervalMs: 5, ...options });
  const refused: string[] = [];
  const workers: string[] = [];
  const server = await startServer(
    { host: '127.0.0.1', port: 0 },
    () => ({}),
    (transport) => workers.push(transport.peer),
    {
      pageSockets: new Map([['/live', (socket) => viewers.take(socket)]]),
      onRefused: (reason) => refused.push(reason),
    },
  );
  onTestFinished(async () => {
    viewers.close();
    await server.close();
  });
  return { builder, pressed, viewers, server, refused, workers, url: `${server.joinUrl}/live` };
}

test('a page is sent the view, then what changes, and what it asks for', async () => {
  const { builder, url, viewers } = await startRun();
  builder.reporter.onStep!(stepRecord(1), []);
  const page = await openPage(url);
  page.send({ kind: 'look' });
  expect((await page.next('view')).view).toMatchObject({ head: { name: 'run-1' }, series: [{ step: 1 }] });
  builder.reporter.onStep!(stepRecord(2), []);
  expect((await page.next('update')).update.series).toMatchObject({ from: 1, items: [{ step: 2 }] });
  page.send({ kind: 'confusion', epoch: 1 });
  expect(await page.next('confusion')).toMatchObject({ epoch: 1, confusion: { numSamples: 1 } });
  page.send({ kind: 'confusion', epoch: 2 });
  expect(await page.next('confusion')).toMatchObject({ epoch: 2, confusion: null });
  page.send({ kind: 'images', indices: [4, 5] });
  expect((await page.next('images')).images).toEqual([4, 5].map((index) => ({ index, url: `data:${index}` })));
  builder.reporter.onEpoch!(epochRecord(1));
  viewers.close();
  expect((await page.next('update')).update.epochs!.items).toMatchObject([{ epoch: 1 }]);
  expect(await page.closed).toBe(1001);
});

test('buttons take the token alone: no view key, no old proof, no proof of another connection', async () => {
  const viewKey = viewKeyOf(TOKEN);
  const { pressed, url } = await startRun({ rule: { viewKey } });
  const [page, other] = [await openPage(url), await openPage(url)];
  for (const one of [page, other]) {
    one.send({ kind: 'look', proof: hmac(viewKey, `view ${one.nonce}`) });
    await one.next('view');
  }
  const answerOf = async (one: typeof page) => {
    const { ok } = await one.next('controlled');
    return ok;
  };
  page.press('pause', viewKey);
  expect(await answerOf(page)).toBe(false);
  page.press('pause', TOKEN, 2);
  expect(await answerOf(page)).toBe(true);
  const proof = hmac(TOKEN, `pause ${page.nonce} 2`);
  for (const [one, count] of [
    [page, 2],
    [page, 3],
    [other, 2],
    [other, 1],
  ] as const) {
    one.send({ kind: 'control', control: 'pause', count, proof });
    expect(await answerOf(one)).toBe(false);
  }
  page.send({ kind: 'control', control: 'stop', count: 5, proof: hmac(TOKEN, `pause ${page.nonce} 5`) });
  expect(await answerOf(page)).toBe(false);
  page.press('resume', TOKEN, 6);
  expect(await answerOf(page)).toBe(true);
  expect(pressed).toEqual(['pause', 'resume']);
});

test('where a view key is needed, a page without it sees nothing of the run', async () => {
  const { url, builder } = await startRun({ rule: { viewKey: viewKeyOf(TOKEN) } });
  builder.say('a secret event');
  for (const proof of [undefined, hmac('another key', 'view'), hmac(TOKEN, 'view')]) {
    const page = await openPage(url);
    page.send({ kind: 'look', ...(proof !== undefined && { proof }) });
    expect(await page.next('refused')).toMatchObject({ reason: 'key' });
    expect(await page.closed).toBe(1008);
  }
  const early = await openPage(url);
  early.send({ kind: 'confusion', epoch: 1 });
  expect(await early.next('refused')).toMatchObject({ reason: 'message' });
});

test.each([
  ['text that is no JSON', 'hello'],
  ['bytes', Buffer.from('{"kind":"look"}')],
  ['a second look', '{"kind":"look"}'],
  ['an unknown kind', '{"kind":"shutdown"}'],
  ['an unknown field', '{"kind":"confusion","epoch":1,"run":"../other"}'],
  ['too many images', JSON.stringify({ kind: 'images', indices: Array.from({ length: 61 }, (_, i) => i) })],
  ['a proof that is none', '{"kind":"control","control":"stop","count":1,"proof":"yes"}'],
])('a page that sends %s is refused, and others look on', async (_what, sent) => {
  const { url, builder, pressed } = await startRun();
  const [bad, good] = [await openPage(url), await openPage(url)];
  for (const page of [bad, good]) {
    page.send({ kind: 'look' });
    await page.next('view');
  }
  bad.socket.send(sent);
  expect(await bad.next('refused')).toMatchObject({ reason: 'message' });
  expect(await bad.closed).toBe(1008);
  builder.say('still here');
  expect((await good.next('update')).update.events!.items).toMatchObject([{ text: 'still here' }]);
  expect(pressed).toEqual([]);
});

test('a message that is too long ends the connection, and so does a flood of them', async () => {
  const { url } = await startRun();
  const long = await openPage(url);
  long.socket.send(JSON.stringify({ kind: 'look', proof: 'a'.repeat(100_000) }));
  expect(await long.closed).toBe(1009);
  const flood = await openPage(url);
  flood.send({ kind: 'look' });
  for (let i = 0; i < 100; i++) flood.send({ kind: 'images', indices: [i] });
  expect(await flood.next('refused')).toMatchObject({ reason: 'message' });
});

test('of 200 pages at once the first 64 look, the others are told why not, and a worker can join', async () => {
  const { url, server, builder, workers } = await startRun();
  const pages = [];
  for (let i = 0; i < 64; i++) {
    const page = await openPage(url);
    page.send({ kind: 'look' });
    await page.next('view');
    pages.push(page);
  }
  const refused = await Promise.allSettled(Array.from({ length: 136 }, () => refusalOf(url)));
  expect(refused.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThanOrEqual(16);
  for (const one of refused) if (one.status === 'fulfilled') expect(one.value).toMatch(/64 pages look at this run/);
  builder.say('still here');
  for (const page of pages) expect((await page.next('update')).update.events).toBeDefined();
  const worker = new WebSocket(server.joinUrl);
  onTestFinished(() => worker.terminate());
  await new Promise((resolve, reject) => worker.once('open', resolve).once('error', reject));
  await expect.poll(() => workers.length).toBe(1);
});

/** The reason that a page is told instead of `hello`; rejects where the connection itself is not accepted. */
async function refusalOf(url: string): Promise<string> {
  const socket = new WebSocket(url);
  const text = await new Promise<string>((resolve, reject) => {
    socket.once('message', (data: Buffer) => resolve(data.toString()));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
  socket.close();
  return text;
}

test('a page of another origin and a name that was pointed here are refused before anything is sent', async () => {
  const { url, server, refused } = await startRun();
  const { port } = server;
  await expect(openPage(url, { origin: 'http://evil.example' })).rejects.toThrow('403');
  await expect(openPage(url, { origin: `http://127.0.0.1:${port + 1}` })).rejects.toThrow('403');
  await expect(openPage(url, { host: `evil.example:${port}` })).rejects.toThrow('403');
  // The browser sends the name that it was told in both headers.
  const rebound = `evil.example:${port}`;
  await expect(openPage(url, { origin: `http://${rebound}`, host: rebound })).rejects.toThrow('403');
  expect(refused).toEqual(['origin', 'origin', 'origin', 'origin']);
  await openPage(url, { origin: `http://127.0.0.1:${port}` });
});

test('a page that does not take what it is sent misses updates, and gets the whole view when it takes them again', async () => {
  const builder = createViewBuilder({ name: 'run-1' });
  const none = { confusion: () => Promise.resolve(null), images: () => Promise.resolve([]) };
  const viewers = createViewers({ run: { view: () => builder.view(), ...none }, rule: 'anyone', maxQueueBytes: 1000 });
  onTestFinished(() => viewers.close());
  const pageOf = () => {
    const sent: FromServer[] = [];
    let say: (text: string) => void = () => {};
    const socket: PageSocket & { queuedBytes: number } = {
      queuedBytes: 0,
      send: (text) => void sent.push(JSON.parse(text) as FromServer),
      onText: (listener) => (say = listener),
      closed: new Promise(() => {}),
      close: () => {},
    };
    const taken = viewers.take(socket);
    say('{"kind":"look"}');
    return { sent, socket, taken };
  };
  const [slow, quick] = [pageOf(), pageOf()];
  await Promise.all([slow.taken, quick.taken]);
  const kindsOf = ({ sent }: typeof slow) => sent.splice(0).map(({ kind }) => kind);
  expect(kindsOf(slow)).toEqual(['hello', 'view']);
  expect(kindsOf(quick)).toEqual(['hello', 'view']);
  /** All that look are brought up to date when another page comes. */
  const updateAll = async (text: string) => {
    builder.say(text);
    await pageOf().taken;
  };
  slow.socket.queuedBytes = 1001;
  await updateAll('one');
  await updateAll('two');
  expect(kindsOf(slow)).toEqual([]);
  expect(kindsOf(quick)).toEqual(['update', 'update']);
  slow.socket.queuedBytes = 0;
  await updateAll('three');
  const [caughtUp] = slow.sent;
  expect(caughtUp).toMatchObject({
    kind: 'view',
    view: { events: [{ text: 'one' }, { text: 'two' }, { text: 'three' }] },
  });
  slow.sent.splice(0);
  await updateAll('four');
  expect(kindsOf(slow)).toEqual(['update']);
});

test('a page hears something also while nothing changes, so that it notices a connection that is lost', async () => {
  const { url } = await startRun({ silenceMs: 20 });
  const page = await openPage(url);
  page.send({ kind: 'look' });
  await page.next('view');
  for (let i = 0; i < 2; i++) expect((await page.next('update')).update).toEqual({});
});

test.each([
  [
    'throws',
    () => {
      throw new Error('damaged');
    },
  ],
  ['rejects', () => Promise.reject(new Error('damaged'))],
])('a record that cannot be read is told as missing, where reading it %s', async (_how, fail: () => Promise<never>) => {
  const builder = createViewBuilder({ name: 'run-1' });
  const run = { view: () => builder.view(), confusion: fail, images: fail };
  const { url } = await startRun({ run });
  const page = await openPage(url);
  page.send({ kind: 'look' });
  await page.next('view');
  page.send({ kind: 'confusion', epoch: 3 });
  expect(await page.next('confusion')).toEqual({ kind: 'confusion', epoch: 3, confusion: null });
  page.send({ kind: 'images', indices: [7] });
  expect((await page.next('images')).images).toEqual([{ index: 7, url: null }]);
});

test('an upgrade request of a page that ends half-way does no harm', async () => {
  const { server, url } = await startRun();
  const half = request({ port: server.port, path: '/live', headers: { connection: 'Upgrade', upgrade: 'websocket' } });
  half.on('error', () => {});
  half.end();
  await new Promise((resolve) => half.once('close', resolve).once('response', resolve));
  await openPage(url);
});

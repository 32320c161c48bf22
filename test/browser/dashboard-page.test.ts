/** The dashboard's page in a real browser, as the build made it, before a server that speaks a coordinator's messages. */
import { createHmac } from 'node:crypto';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { pageHtml } from '../../coordinator/dashboard/html.ts';
import { overflowOf, violationsOf } from '../helpers/axe.ts';
import { BROWSER_PATH, launchBrowser } from '../helpers/browser.ts';
import { finishedView, fixtureConfusion, runningView } from '../helpers/fixture-view.ts';
import { NONCE, startPageServer } from '../helpers/page-server.ts';
import type { PageServer, PageServerOptions } from '../helpers/page-server.ts';

const MOST_BYTES = 200_000;

let browser: Browser;

if (BROWSER_PATH === undefined)
  process.stderr.write('no Chromium here: the tests of the dashboard in a browser are skipped\n');

async function serve(options: Partial<PageServerOptions> = {}): Promise<PageServer> {
  const server = await startPageServer({ view: runningView(), confusion: fixtureConfusion, ...options });
  onTestFinished(() => server.close());
  return server;
}

/** An open page, the requests that it has made, and what the browser has complained of. */
async function open(server: PageServer, { fragment = '', width = 1280 } = {}) {
  const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme: 'light' });
  onTestFinished(() => page.close());
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('websocket', (socket) => requests.push(socket.url()));
  // A violation of the policy is an error on the console, too.
  page.on('console', (message) => {
    if (message.type() !== 'info' && message.type() !== 'log') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(server.url + fragment);
  return { page, requests, complaints };
}

const hmac = (secret: string, text: string): string => createHmac('sha256', secret).update(text).digest('hex');

/** Of a box's width. */
const middleOf = (box: { x: number; width: number } | null): number => (box ? box.x + box.width / 2 : NaN);

describe.skipIf(BROWSER_PATH === undefined)('the page of a run in a browser', () => {
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());

  test(`is one file of less than ${MOST_BYTES / 1000} kB that draws its charts and asks nobody else for anything`, async () => {
    expect(Buffer.byteLength(pageHtml({ title: 'run', data: { mode: 'live' } }))).toBeLessThan(MOST_BYTES);
    const server = await serve();
    const { page, requests, complaints } = await open(server);
    await page.locator('figure canvas').nth(4).waitFor();
    await page.locator('.matrix').waitFor();
    const socketUrl = `${server.url.replace('http', 'ws')}live`;
    expect(requests.filter((url) => !url.startsWith('data:'))).toEqual([server.url, socketUrl]);
    expect(await page.title()).toBe('53 % – 2026-11-30-conv-pool-k3x9');
    expect(await page.locator('.chart-loss .legend').textContent()).toContain('test 0.3493');

    const view = runningView();
    server.update({
      now: { ...view.now, verdict: 'All is well.' },
      series: { from: 60, items: [{ ...view.series[59]!, epochs: 6.5, loss: 0.1234 }] },
    });
    await page.getByText('All is well.').waitFor();
    await page.locator('.chart-loss .legend', { hasText: '0.1234' }).waitFor();
    expect(complaints).toEqual([]);
  });

  test('has nothing that axe finds wrong, in both themes and on a phone, where nothing is wider than the screen', async () => {
    const { page, complaints } = await open(await serve(), { width: 390 });
    await page.locator('[data-place="6 0"]').click();
    await page.locator('.cell-images img').first().waitFor();
    expect(await overflowOf(page)).toBe(0);
    const [name, cell] = [page.getByRole('columnheader', { name: 'Ankle boot' }), page.locator('[data-place="9 9"]')];
    expect(middleOf(await name.boundingBox())).toBeCloseTo(middleOf(await cell.boundingBox()), 0);
    expect(await violationsOf(page)).toEqual([]);
    await page.getByLabel('Theme').selectOption('dark');
    expect(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme)).toBe('dark');
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.locator('.chart-loss summary').click();
    await page.locator('.chart-loss details table').waitFor();
    expect(await violationsOf(page)).toEqual([]);
    // The choice is kept for the next page of this address.
    await page.reload();
    expect(await page.evaluate(() => document.documentElement.dataset['theme'])).toBe('dark');
    expect(complaints).toEqual([]);
  });

  test('shows the images of a cell, and other epochs, to those who have a keyboard alone', async () => {
    const server = await serve();
    const { page } = await open(server);
    await page.locator('.matrix').waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main');
    const isInMatrix = () => page.evaluate(() => document.activeElement?.matches('.matrix .cell') === true);
    for (let i = 0; i < 20 && !(await isInMatrix()); i++) await page.keyboard.press('Tab');
    for (const key of ['End', 'ArrowDown', 'ArrowUp', 'Home', ...Array<string>(6).fill('ArrowDown')])
      await page.keyboard.press(key);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Shirt taken for T-shirt/top' }).waitFor();
    await page.locator('.cell-images img').first().waitFor();
    expect((await server.message('images')).indices).toHaveLength(60);
    expect(await isInMatrix()).toBe(true);

    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Home');
    await page.locator('.section-confusion', { hasText: 'epoch 1:' }).waitFor();
    expect(server.heard.filter(({ kind }) => kind === 'confusion')).toEqual([
      { kind: 'confusion', epoch: 6 },
      { kind: 'confusion', epoch: 1 },
    ]);
  });

  test('connects again to a server that comes back, and keeps all when the run is over and its server gone', async () => {
    const server = await startPageServer({ view: runningView() });
    const { page } = await open(server);
    await page.locator('h1').waitFor();
    await server.close();
    await page.getByText('Connection lost. What you see is what was known at').waitFor();
    await page.getByText(/Trying again in \d+ s/).waitFor();
    expect(await page.locator('.state').textContent()).toBe('running');
    expect(await page.getByRole('button', { name: 'Pause' }).isDisabled()).toBe(true);
    const next = await startPageServer({ port: server.port, view: finishedView() });
    await page.locator('.state', { hasText: 'completed' }).waitFor();
    await page.locator('.progress', { hasText: 'epoch 12 of 12' }).waitFor();
    expect(await page.getByText('Connection lost').count()).toBe(0);
    await next.close();
    await page
      .getByText('The run is over: completed. The coordinator is gone; what you see is what was known at')
      .waitFor();
    expect(await page.locator('figure canvas').count()).toBe(5);
    expect(await page.locator('.section-workers tbody tr').count()).toBe(3);
  });

  test('proves that a person knows the token, and asks for it once; a stop is confirmed', async () => {
    const server = await serve();
    const { page } = await open(server);
    await page.getByRole('button', { name: 'Pause' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Token of the run').fill('the-token');
    await dialog.getByRole('button', { name: 'Pause' }).click();
    expect(await server.message('control')).toEqual({
      kind: 'control',
      control: 'pause',
      count: 1,
      proof: hmac('the-token', `pause ${NONCE} 1`),
    });
    await page.getByText('The run will pause.').waitFor();
    await page.getByRole('button', { name: 'Stop after this epoch' }).click();
    expect(await dialog.getByLabel('Token of the run').count()).toBe(0);
    await dialog.getByRole('button', { name: 'Stop after this epoch' }).click();
    await page.getByText('The run will stop.').waitFor();
    expect(server.heard.at(-1)).toMatchObject({
      control: 'stop',
      count: 2,
      proof: hmac('the-token', `stop ${NONCE} 2`),
    });
    const stored = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage]));
    expect(stored).not.toContain('the-token');
  });

  test('takes the view key from its address, and asks for it where there is none, or a wrong one', async () => {
    const acceptsProof = (proof: string | undefined, nonce: string) => proof === hmac('right', `view ${nonce}`);
    const server = await serve({ acceptsProof });
    const { page } = await open(server, { fragment: '#view=right' });
    await page.locator('.key-figures').waitFor();

    const { page: another } = await open(server);
    await another.getByLabel('View key').fill('wrong');
    await another.keyboard.press('Enter');
    await another.getByText('This is not the view key of the run.').waitFor();
    expect(await another.locator('figure').count()).toBe(0);
    await another.getByLabel('View key').fill('right');
    await another.keyboard.press('Enter');
    await another.locator('.key-figures').waitFor();
  });
});

/** What is left of a run, in a browser: its report as a file, and `gradsock show` over finished and killed runs. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import type { AxeResults } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BROWSER_PATH, launchBrowser } from '../helpers/browser.ts';
import { runCli, SMALL, startCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { runInProcess } from '../helpers/in-process.ts';

const MOST_BYTES = 1_200_000;

let browser: Browser;

/** A page, what it has asked others for, and what the browser has complained of. */
async function open(url: string, { javaScriptEnabled = true, width = 1280 } = {}) {
  const context = await browser.newContext({ javaScriptEnabled, viewport: { width, height: 900 } });
  const page = await context.newPage();
  const trouble: string[] = [];
  page.on('request', (request) => {
    const asked = request.url();
    if (asked !== url && !asked.startsWith('data:')) trouble.push(asked);
  });
  page.on('console', (message) => {
    if (message.type() !== 'info' && message.type() !== 'log') trouble.push(message.text());
  });
  page.on('pageerror', (error) => trouble.push(String(error)));
  await page.goto(url);
  return { page, trouble };
}

/** How far the page reaches beyond its window, in pixels; and what axe finds wrong. */
async function check(page: Page): Promise<unknown> {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(options: object): Promise<AxeResults> } }).axe.run({
      resultTypes: ['violations'],
    }),
  );
  const words = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  return { overflow, violations: words };
}

const SOUND = { overflow: 0, violations: [] };

describe.skipIf(BROWSER_PATH === undefined)('what is left of runs', () => {
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());

  test('a report opens from the disk, reads without scripts, and is the same when it is made again', async () => {
    const run = join(temporaryFolder(), 'run');
    // An empty variable is an unset one: here, a report is written.
    const flags = ['baseline', ...SMALL, '--epochs', '2', '--run-dir', run, '--quiet'];
    expect(await runCli(flags, { GRADSOCK_NO_REPORT: '' })).toEqual({ code: 0, output: '' });
    for (const name of ['report.html', 'curves.svg', 'curves.png'])
      expect(existsSync(join(run, name)), name).toBe(true);
    const first = readFileSync(join(run, 'report.html'), 'utf8');
    expect(first.length).toBeLessThan(MOST_BYTES);
    const url = pathToFileURL(join(run, 'report.html')).href;

    const still = await open(url, { javaScriptEnabled: false, width: 390 });
    await still.page.locator('svg.static-chart').first().waitFor();
    expect(await still.page.locator('h1').textContent()).toBe('run');
    expect(await still.page.locator('.matrix .cell').count()).toBe(100);
    expect(await still.page.locator('.cell-images img').count()).toBeGreaterThan(0);
    expect(await still.page.locator('.command').textContent()).toContain('gradsock baseline');
    expect(still.trouble).toEqual([]);

    const { page, trouble } = await open(url);
    await page.locator('figure canvas').nth(4).waitFor();
    await page.locator('.pairs button').last().click();
    await page.locator('.cell-images img').first().waitFor();
    expect(await check(page)).toEqual(SOUND);
    expect(trouble).toEqual([]);

    rmSync(join(run, 'report.html'));
    expect(await runInProcess(['report', run])).toEqual({ code: 0, output: join(run, 'report.html') });
    expect(readFileSync(join(run, 'report.html'), 'utf8')).toBe(first);

    const other = join(run, '..', 'other');
    cpSync(run, other, { recursive: true });
    const output = join(run, '..', 'both.html');
    expect(await runInProcess(['report', run, other, '--output', output])).toEqual({ code: 0, output });
    const both = await open(pathToFileURL(output).href);
    await both.page.locator('figure canvas').nth(1).waitFor();
    expect(await check(both.page)).toEqual(SOUND);
    expect(both.trouble).toEqual([]);
  });

  test('gradsock show lists runs, shows one that was killed, compares, and ends on Ctrl-C', async () => {
    const runs = join(temporaryFolder(), 'runs');
    mkdirSync(runs);
    const finished = join(runs, 'finished');
    const flags = ['baseline', '--train-samples', '512', '--test-samples', '64', '--epochs', '2', '--quiet'];
    expect((await runInProcess([...flags, '--run-dir', finished])).code).toBe(0);
    expect(existsSync(join(finished, 'report.html'))).toBe(false);
    // What a killed run leaves: all but a result.
    cpSync(finished, join(runs, 'killed'), { recursive: true });
    rmSync(join(runs, 'killed', 'result.json'));
    const shown = startCli(['show', runs, '--listen', '127.0.0.1:0']);
    const line = await shown.line(/^showing 2 runs of .*runs\/ at http:\/\/127\.0\.0\.1:\d+\/$/);
    const url = line.split(' ').at(-1)!;

    const { page, trouble } = await open(url);
    await page.locator('tbody tr').nth(1).waitFor();
    expect(await check(page)).toEqual(SOUND);
    for (const box of await page.locator('tbody input').all()) await box.click();
    await page.getByText('Compare 2 runs').click();
    await page.locator('figure canvas').nth(1).waitFor();
    expect(await page.locator('.section-figures thead').textContent()).toMatch(/finished.*killed|killed.*finished/);
    expect(await check(page)).toEqual(SOUND);
    await page.getByRole('link', { name: 'killed' }).click();
    await page.locator('.state-stopped').waitFor();
    await page.locator('figure canvas').nth(4).waitFor();
    await page.getByRole('link', { name: 'All runs' }).click();
    await page.locator('tbody tr').nth(1).waitFor();
    expect(trouble.filter((one) => !one.startsWith(url))).toEqual([]);

    shown.kill('SIGINT');
    expect(await shown.exit).toBe(0);
  });
});

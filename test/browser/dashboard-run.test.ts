/** The dashboard of a real run in a real browser: live, with its buttons, through the death and return of the coordinator. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { splitJoinUrl } from '../../protocol/wire/join-url.ts';
import { overflowOf, violationsOf } from '../helpers/axe.ts';
import { BROWSER_PATH, launchBrowser } from '../helpers/browser.ts';
import { readResult, SMALL, startCli, startCoordinator } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';

if (BROWSER_PATH === undefined)
  process.stderr.write('no Chromium here: the test of the dashboard of a real run is skipped\n');

test.skipIf(BROWSER_PATH === undefined)(
  'shows a run as it goes, takes orders with its token alone, and outlives it',
  async () => {
    const runDir = join(temporaryFolder(), 'run');
    const flags = ['--workers', '1', '--run-dir', runDir, '--model', 'dense', '--epochs', '10000', ...SMALL];
    const { coordinator, url } = await startCoordinator(flags);
    const { url: bare, token } = splitJoinUrl(url);
    const worker = startCli(['worker', url, '--name', 'desk']);
    const link = /http:\S+/.exec(await coordinator.line(/^dashboard: /))![0];
    expect(link).toBe(bare.replace('ws:', 'http:').replace(/\/?$/, '/'));
    await coordinator.line(/^epoch 2,/);

    const browser = await launchBrowser();
    onTestFinished(() => browser.close());
    const page = await browser.newPage({ viewport: { width: 390, height: 800 } });
    // A bound on hanging: the run and the browser share the machine's cores.
    page.setDefaultTimeout(60_000);
    const requests: string[] = [];
    const complaints: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(link);
    await page.locator('figure canvas').nth(4).waitFor();
    // Epochs are short: a page that is updated once a second does not show each of them.
    const epochShown = async () => Number(/epoch (\d+)/.exec((await page.locator('.progress').textContent())!)![1]);
    const epoch = await epochShown();
    await expect.poll(epochShown, { timeout: 60_000 }).toBeGreaterThan(epoch);
    await page.locator('.section-workers', { hasText: 'desk' }).waitFor();

    const state = page.locator('.state');
    const dialog = page.getByRole('dialog');
    await page.getByRole('button', { name: 'Pause' }).click();
    await dialog.getByLabel('Token of the run').fill('a token that is not the run’s');
    await dialog.getByRole('button', { name: 'Pause' }).click();
    await page.getByText("that is not the run's token").first().waitFor();
    expect(await state.textContent()).toBe('running');
    await page.getByRole('button', { name: 'Pause' }).click();
    await dialog.getByLabel('Token of the run').fill(token!);
    await dialog.getByRole('button', { name: 'Pause' }).click();
    await state.filter({ hasText: 'paused' }).waitFor();
    // The page stands still: what axe looks at does not change meanwhile.
    await page.locator('[data-place="0 0"]').click();
    await page.locator('.cell-images img').first().waitFor();
    expect(await violationsOf(page)).toEqual([]);
    expect(await overflowOf(page)).toBe(0);
    await page.getByRole('button', { name: 'Resume' }).click();
    await state.filter({ hasText: 'running' }).waitFor();

    coordinator.kill('SIGKILL');
    await coordinator.exit;
    await page.getByText('Connection lost').waitFor();
    expect(await page.locator('figure canvas').count()).toBe(5);
    const port = new URL(link).port;
    const back = startCli(['coordinator', '--resume', runDir, '--listen', `127.0.0.1:${port}`]);
    const resumedAt = Number(/^epoch (\d+)/.exec(await back.line(/^epoch \d+,/))![1]);
    await state.filter({ hasText: 'running' }).waitFor();
    // Curves and matrices begin with the first epoch of all, not with the first one after the return.
    expect(resumedAt).toBeGreaterThan(1);
    await page.getByRole('slider', { name: 'Epoch' }).fill('0');
    await page.locator('.section-confusion', { hasText: 'epoch 1:' }).waitFor();
    await page.locator('.chart-loss summary').click();
    expect(await page.locator('.chart-loss table tbody').locator('th, td').first().textContent()).toBe('1');

    await page.getByRole('button', { name: 'Stop after this epoch' }).click();
    await dialog.getByRole('button', { name: 'Stop after this epoch' }).click();
    expect(await back.exit).toBe(130);
    expect(await worker.exit).toBe(0);
    await page.getByText('The run is over: interrupted.').waitFor();
    expect(readResult(runDir).status).toBe('interrupted');
    expect(requests.filter((address) => !address.startsWith(link) && !address.startsWith('data:'))).toEqual([]);
    // A connection that is refused, while nobody listens, is the browser's own complaint.
    expect(complaints.filter((text) => !text.includes('ERR_CONNECTION_REFUSED'))).toEqual([]);
    expect(readFileSync(join(runDir, 'log.jsonl'), 'utf8')).not.toContain(token);
  },
);

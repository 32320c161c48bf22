/** A run of two local workers by the built program, with its dashboard looked at in one way or another, and what a step took. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { WebSocket } from 'undici';
import type { EpochRecord } from '../../../coordinator/reporting/reporter.ts';
import { ConfigError } from '../../../protocol/errors.ts';

const PROGRAM = fileURLToPath(new URL('../../../dist/scripts/cli.js', import.meta.url));
const BROWSER = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** `none`: the run has no dashboard at all. */
export type Viewing = 'none' | 'reader' | 'browser';

export interface TimedRunOptions {
  readonly model: string;
  /** 2 or more. */
  readonly epochs: number;
  readonly viewing: Viewing;
}

/** Mean milliseconds of a step, over all epochs but the first. */
export async function timedRun({ model, epochs, viewing }: TimedRunOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'gradsock-bench-'));
  const runDir = join(folder, 'run');
  const args = ['train', '--workers', '2', '--model', model, '--epochs', String(epochs), '--run-dir', runDir];
  const child = spawn(process.execPath, [PROGRAM, ...args, ...(viewing === 'none' ? ['--no-dashboard'] : [])], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let viewer: { close(): Promise<void> } | undefined;
  try {
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    for await (const line of createInterface({ input: child.stdout })) {
      const url = /^dashboard: (\S+)$/.exec(line)?.[1];
      if (url !== undefined && viewing !== 'none') viewer = await VIEWERS[viewing](url);
    }
    const code = await ended;
    if (code !== 0) throw new ConfigError(`gradsock ${args.join(' ')}: expected exit code 0, got ${code}`);
    const lines = readFileSync(join(runDir, 'epochs.jsonl'), 'utf8').trimEnd().split('\n').slice(1);
    const records = lines.map((text) => JSON.parse(text) as EpochRecord);
    const sum = (of: (record: EpochRecord) => number) => records.reduce((total, record) => total + of(record), 0);
    return (1000 * sum(({ seconds }) => seconds)) / sum(({ steps }) => steps);
  } finally {
    child.kill();
    await viewer?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const VIEWERS: Readonly<Record<Exclude<Viewing, 'none'>, (url: string) => Promise<{ close(): Promise<void> }>>> = {
  async reader(url) {
    const socket = new WebSocket(new URL('live', url.replace(/^http/, 'ws')));
    // The server speaks first.
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('message', () => resolve(), { once: true });
      socket.addEventListener('error', () => reject(new ConfigError(`${url}: the dashboard does not answer`)));
    });
    socket.send(JSON.stringify({ kind: 'look' }));
    return {
      close() {
        socket.close();
        return Promise.resolve();
      },
    };
  },
  async browser(url) {
    const browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox', '--disable-gpu'] });
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await page.goto(url);
    return { close: () => browser.close() };
  },
};

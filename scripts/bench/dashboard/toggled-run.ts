/** A run of two local workers by the built program, whose dashboard is open in every second block of epochs. */
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

/**
 * `none`: the page is never open, to see what chance does. `reader`: a program takes what a page is sent, as if the page were
 * on another machine. `browser`: Chromium draws it, on the same cores.
 */
export type Viewing = 'none' | 'reader' | 'browser';

export interface ToggledRunOptions {
  readonly model: string;
  /** Blocks of epochs with the page open, each compared with those beside it. */
  readonly pairs: number;
  readonly viewing: Viewing;
}

export interface BlockPair {
  /** Mean milliseconds of a step: with the page open, and without it, of the blocks before and after. */
  readonly openMs: number;
  readonly closedMs: number;
}

interface Viewer {
  look(url: string): Promise<void>;
  leave(): Promise<void>;
  end(): Promise<void>;
}

/** The first half of a block is not counted: the page is loaded in it, and what it leaves behind is gone after it. */
const BLOCK_EPOCHS = 16;

export async function toggledRun({ model, pairs, viewing }: ToggledRunOptions): Promise<readonly BlockPair[]> {
  const folder = mkdtempSync(join(tmpdir(), 'gradsock-bench-'));
  const runDir = join(folder, 'run');
  const epochs = BLOCK_EPOCHS * (2 * pairs + 1);
  const args = ['train', '--workers', '2', '--model', model, '--epochs', String(epochs), '--run-dir', runDir];
  const viewer = await VIEWERS[viewing]();
  const child = spawn(process.execPath, [PROGRAM, ...args, '--no-report'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    let url = '';
    for await (const line of createInterface({ input: child.stdout })) {
      url = /^dashboard: (\S+)$/.exec(line)?.[1] ?? url;
      const epoch = Number(/^epoch (\d+),/.exec(line)?.[1]);
      if (epoch % BLOCK_EPOCHS === 0 && epoch < epochs) {
        await ((epoch / BLOCK_EPOCHS) % 2 === 1 ? viewer.look(url) : viewer.leave());
      }
    }
    const code = await ended;
    if (code !== 0) throw new ConfigError(`gradsock ${args.join(' ')}: expected exit code 0, got ${code}`);
    const lines = readFileSync(join(runDir, 'epochs.jsonl'), 'utf8').trimEnd().split('\n');
    const stepMs = lines.map((text) => {
      const { seconds, steps } = JSON.parse(text) as EpochRecord;
      return (1000 * seconds) / steps;
    });
    const blockMs = Array.from({ length: 2 * pairs + 1 }, (_, block) => {
      const counted = stepMs.slice((block + 0.5) * BLOCK_EPOCHS, (block + 1) * BLOCK_EPOCHS);
      return counted.reduce((sum, ms) => sum + ms, 0) / counted.length;
    });
    return Array.from({ length: pairs }, (_, i) => ({
      openMs: blockMs[2 * i + 1]!,
      closedMs: (blockMs[2 * i]! + blockMs[2 * i + 2]!) / 2,
    }));
  } finally {
    child.kill();
    await viewer.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

const VIEWERS: Readonly<Record<Viewing, () => Promise<Viewer>>> = {
  none: () => Promise.resolve({ look: nothing, leave: nothing, end: nothing }),
  reader() {
    let socket: WebSocket | undefined;
    const leave = () => {
      socket?.close();
      socket = undefined;
      return Promise.resolve();
    };
    const look = async (url: string) => {
      const opened = new WebSocket(new URL('live', url.replace(/^http/, 'ws')));
      socket = opened;
      // The server speaks first.
      await new Promise<void>((resolve, reject) => {
        opened.addEventListener('message', () => resolve(), { once: true });
        opened.addEventListener('error', () => reject(new ConfigError(`${url}: the dashboard does not answer`)));
      });
      opened.send(JSON.stringify({ kind: 'look' }));
    };
    return Promise.resolve({ look, leave, end: leave });
  },
  async browser() {
    const browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox', '--disable-gpu'] });
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    return {
      async look(url) {
        await page.goto(url);
      },
      async leave() {
        await page.goto('about:blank');
      },
      end: () => browser.close(),
    };
  },
};

const nothing = () => Promise.resolve();

/** A real browser for tests of pages: Chromium, where the machine has it. */
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Undefined where there is none: tests that need it are skipped, and say so. */
export const BROWSER_PATH = [process.env['CHROMIUM'] ?? [], PLACES].flat().find((path) => existsSync(path));

/** Starts it, without what it would fetch by itself. The caller closes it. */
export function launchBrowser(): Promise<Browser> {
  if (BROWSER_PATH === undefined) throw new Error(`no Chromium in ${PLACES.join(', ')}: set CHROMIUM to its path`);
  return chromium.launch({
    executablePath: BROWSER_PATH,
    args: [
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      '--disable-gpu',
    ],
  });
}

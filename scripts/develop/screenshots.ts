/**
 * Pictures of a page as readers see it: `npx tsx scripts/develop/screenshots.ts URL FOLDER` opens it in Chromium on a phone,
 * a tablet and a wide screen, in light and dark, and writes a PNG of the whole page for each.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const WIDTHS = [390, 768, 1440] as const;
const THEMES = ['light', 'dark'] as const;

/** `executablePath`: Chromium's. Returns the paths of the pictures: `FOLDER/1440-dark.png` and so on. */
export async function takeScreenshots(url: string, folder: string, executablePath: string): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const paths: string[] = [];
  try {
    for (const width of WIDTHS) {
      for (const colorScheme of THEMES) {
        const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
        await page.goto(url);
        // A page that shows something has a heading, and its charts, if any, are drawn in the next frames.
        await page.locator('h1').waitFor();
        await page.waitForLoadState('networkidle');
        const path = join(folder, `${width}-${colorScheme}.png`);
        await page.screenshot({ path, fullPage: true });
        paths.push(path);
        await page.close();
      }
    }
  } finally {
    await browser.close();
  }
  return paths;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url, folder] = process.argv.slice(2);
  if (url === undefined || folder === undefined) {
    process.stderr.write('usage: npx tsx scripts/develop/screenshots.ts URL FOLDER\n');
    process.exitCode = 2;
  } else {
    const paths = await takeScreenshots(url, folder, process.env['CHROMIUM'] ?? '/usr/bin/chromium');
    process.stdout.write(`${paths.join('\n')}\n`);
  }
}

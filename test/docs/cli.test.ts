/** The reference of the command line says what the program says. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { cliDocs } from '../../scripts/develop/write-cli-docs.ts';

const PAGE = fileURLToPath(new URL('../../docs/reference/cli.md', import.meta.url));

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('docs/reference/cli.md', () => {
  test('is what `npm run docs:cli` writes', async () => {
    expect(readFileSync(PAGE, 'utf8') === (await cliDocs()), 'another text: run `npm run docs:cli`').toBe(true);
  });

  test('is the same whatever the terminal and the environment', async () => {
    const text = await cliDocs();
    vi.stubEnv('COLUMNS', '40');
    vi.stubEnv('FORCE_COLOR', '1');
    vi.stubEnv('HOME', '/nowhere');
    vi.stubEnv('GRADSOCK_EPOCHS', '7');
    vi.stubEnv('GRADSOCK_QUIET', 'false');
    expect(await cliDocs()).toBe(text);
  });

  test('has a section for every command and a line for every flag', async () => {
    const text = await cliDocs();
    for (const name of ['train', 'baseline', 'coordinator', 'worker', 'data fetch', 'engines', 'sweep']) {
      expect(text).toContain(`\n## \`gradsock ${name}\`\n`);
    }
    for (const flag of ['--workers', '--epochs', '--join-file', '--sweep-dir', '--no-timing', '--data-dir']) {
      expect(text).toMatch(new RegExp(`^  ${flag}\\b`, 'm'));
    }
  });
});

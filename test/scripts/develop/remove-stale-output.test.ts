import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { removeStaleOutput } from '../../../scripts/develop/remove-stale-output.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

function write(folder: string, path: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), '');
}

test('what has no source any more is removed, what was not compiled stays', () => {
  const folder = temporaryFolder();
  const output = join(folder, 'dist');
  write(folder, 'worker/session.ts');
  write(folder, 'dashboard/page.tsx');
  const stays = [
    'dashboard/page.js',
    'assets/dashboard.js',
    'worker/session.js',
    'worker/session.js.map',
    'worker/native/addon.node',
    'build-report.json',
  ];
  for (const path of [...stays, 'worker/tls.js', 'worker/tls.js.map']) write(output, path);
  expect(removeStaleOutput(output, folder).sort()).toEqual(['worker/tls.js', 'worker/tls.js.map']);
  const left = readdirSync(output, { recursive: true, encoding: 'utf8' });
  expect(left.filter((path) => path.includes('.')).sort()).toEqual([...stays].sort());
});

/** Copies of the built program in other places than the checkout. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from './folder.ts';
import { neededPackages } from './npm-registry.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The path of a program in a folder that no other user can look into. */
export function programNobodySees(): string {
  const folder = temporaryFolder();
  for (const name of ['dist', 'package.json']) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return join(folder, 'dist/scripts/cli.js');
}

/** The path of a program that was installed from its package, in a folder that no other user can look into. */
export function installedProgram(): string {
  const folder = temporaryFolder();
  const own = join(folder, 'node_modules/gradsock');
  mkdirSync(own, { recursive: true });
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const [{ filename }] = JSON.parse(execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8' })) as [
    { filename: string },
  ];
  execFileSync('tar', ['-xzf', join(folder, filename), '--strip-components=1', '-C', own]);
  const packages = join(ROOT, 'node_modules/');
  for (const { folder: from } of neededPackages()) {
    const to = join(folder, 'node_modules', relative(packages, from));
    cpSync(from, to, { recursive: true, filter: (path) => !relative(from, path).startsWith('node_modules') });
  }
  return join(own, 'dist/scripts/cli.js');
}

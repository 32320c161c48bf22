import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { buildNative } from '../../../../worker/engines/native/build/build-native.ts';
import { readBuildReport } from '../../../../worker/engines/native/build-output.ts';
import { availabilityIn } from '../../../../worker/engines/native/loader.ts';

describe('building the native addon', () => {
  let directory: string;
  let output: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gradsock-build-'));
    output = join(directory, 'output');
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(directory, { recursive: true });
  });

  /** A shell script in the compiler's place. */
  async function useCompiler(script: string): Promise<void> {
    const path = join(directory, 'compiler');
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    vi.stubEnv('CXX', path);
  }

  it('without a compiler says in one line what to install, and leaves the reason for the loader', async () => {
    vi.stubEnv('CXX', '');
    vi.stubEnv('PATH', directory);
    expect((await buildNative(output)).line).toMatch(/^not built, no C\+\+ compiler found .*install g\+\+.*$/);
    expect(availabilityIn(output)).toMatchObject({ reason: 'no C++ compiler was found' });
  });

  it('with a compiler that fails says where its output is, and leaves no scraps', async () => {
    await useCompiler('if [ "$1" = --version ]; then echo "broken 1.0"; else echo "cannot compile" >&2; exit 1; fi');
    expect((await buildNative(output)).line).toBe(`not built, broken 1.0 failed: see ${join(output, 'build.log')}`);
    expect(await readFile(join(output, 'build.log'), 'utf8')).toContain('cannot compile');
    expect(availabilityIn(output)).toMatchObject({ reason: expect.stringContaining('did not compile') });
    expect((await readdir(output)).sort()).toEqual(['build-report.json', 'build.log']);
  });

  it('builds again only when something changed', async () => {
    await useCompiler(
      'while [ $# -gt 0 ]; do if [ "$1" = -o ]; then echo built > "$2"; fi; shift; done; echo "quick 1.0"',
    );
    expect((await buildNative(output)).line).toMatch(/^built for .* with quick 1\.0$/);
    expect(readBuildReport(output)).toMatchObject({ status: 'built', compiler: 'quick 1.0' });
    expect((await buildNative(output)).line).toMatch(/^up to date/);
    await useCompiler(
      'while [ $# -gt 0 ]; do if [ "$1" = -o ]; then echo built > "$2"; fi; shift; done; echo "quick 2.0"',
    );
    expect((await buildNative(output)).line).toMatch(/^built for .* with quick 2\.0$/);
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { buildInCache } from '../../../../worker/engines/native/build/prepare-native.ts';
import { cachedBuilds } from '../../../../worker/engines/native/build/cached-build.ts';
import { instructionSetsOf, reportPath } from '../../../../worker/engines/native/build-output.ts';
import { availabilityIn, nativeAvailability, RETRY_MINUTES } from '../../../../worker/engines/native/loader.ts';
import { writeStandInCompiler } from '../../../helpers/stand-in-compiler.ts';

const built = nativeAvailability();
const numSets = instructionSetsOf(process.arch).length;
/** What a whole build consists of. */
const WHOLE = ['build-report.json', ...instructionSetsOf(process.arch).map((set) => `gradsock-${set}.node`)].sort();
const QUICK = { renewMs: 10, staleMs: 300, lookMs: 5, deadlineMs: 60_000 };

describe.skipIf(!built.available)("the native engine in the user's cache", () => {
  let folder: string;
  let cache: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gradsock-cache-'));
    cache = join(folder, 'cache', 'build');
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });

  function useCompiler(before?: string) {
    const compiler = writeStandInCompiler(folder, built.available ? built.directory : '', before);
    vi.stubEnv('CXX', compiler.path);
    return compiler;
  }

  it('is built once for many that come at once: one builds and says where, the others wait for it', async () => {
    const compiler = useCompiler();
    const lines: string[][] = [];
    const refusals = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        buildInCache(cache, { timing: QUICK, log: (line) => (lines[i] ??= []).push(line) }),
      ),
    );
    expect(refusals).toEqual(Array.from({ length: 8 }, () => undefined));
    expect(compiler.numAddons()).toBe(numSets);
    expect(readdirSync(cache).sort()).toEqual(WHOLE);
    const said = lines.map((of) => of.join('\n'));
    expect(said.filter((text) => text.includes(`once; kept in ${cache}`))).toHaveLength(1);
    expect(said.filter((text) => text.includes(`waiting for process ${process.pid} on ${hostname()}`))).toHaveLength(7);
  });

  it('of which a build was interrupted is not there in part, and is built by the next', async () => {
    useCompiler('sleep 60');
    const user = new AbortController();
    const build = buildInCache(cache, {
      signal: user.signal,
      log: () => setTimeout(() => user.abort(new Error('enough')), 50),
    });
    await expect(build).rejects.toThrow('enough');
    expect(readdirSync(cache)).toEqual([]);
    useCompiler();
    expect(await buildInCache(cache)).toBeUndefined();
    expect(readdirSync(cache).sort()).toEqual(WHOLE);
  });

  it('is built at once where a process was killed that built it on this machine', async () => {
    const process = spawn('true');
    await once(process, 'exit');
    leaveLock(process.pid!, hostname());
    mkdirSync(join(cache, 'build-in-abcdefgh'));
    useCompiler();
    expect(await buildInCache(cache)).toBeUndefined();
    expect(readdirSync(cache).sort()).toEqual(WHOLE);
  });

  it('is built where a process on another machine has not renewed its lock for a while', async () => {
    leaveLock(1, 'elsewhere');
    useCompiler();
    const lines: string[] = [];
    expect(await buildInCache(cache, { timing: QUICK, log: (line) => lines.push(line) })).toBeUndefined();
    expect(lines[0]).toBe(`native engine: waiting for process 1 on elsewhere, which compiles it into ${cache}`);
    expect(readdirSync(cache).sort()).toEqual(WHOLE);
  });

  it('is not waited for without end: the refusal names the process that builds and does not finish', async () => {
    useCompiler();
    let beat = 0;
    leaveLock(1, 'elsewhere');
    const renewal = setInterval(() => leaveLock(1, 'elsewhere', ++beat), 20);
    const refusal = await buildInCache(cache, { timing: { ...QUICK, deadlineMs: 1000 } });
    clearInterval(renewal);
    expect(refusal).toEqual({
      reason: 'its kernels were not built: process 1 on elsewhere has not finished within 1 s',
      cure: `end that process, or delete ${cache}`,
    });
  });

  it('is refused with a cure where the cache cannot be written or is full', async () => {
    useCompiler();
    writeFileSync(join(folder, 'cache'), 'a file');
    expect(await buildInCache(cache)).toEqual({
      reason: `its kernels were not built: ${cache} cannot be written: a part of the path is a file, not a folder (ENOTDIR)`,
      cure: expect.stringMatching(/ or set XDG_CACHE_HOME to another folder, or run node .*scripts\/build-native\.js /),
    });
    expect(await buildInCache(join(folder, 'full'), { minFreeBytes: Infinity })).toMatchObject({
      reason: expect.stringMatching(/full cannot be written: no space is left on that disk \(ENOSPC\)$/),
      cure: expect.stringMatching(/^make room on that disk, or /),
    });
    expect(readdirSync(join(folder, 'full'))).toEqual([]);
  });

  it('that did not compile is not tried again for a while: each of many workers would', async () => {
    const compiler = useCompiler('echo "no such header" >&2; exit 1');
    const first = await buildInCache(cache);
    expect(first).toMatchObject({ reason: `its kernels did not compile (${join(cache, 'build.log')})` });
    useCompiler();
    expect(await buildInCache(cache)).toEqual(first);
    expect(compiler.numAddons()).toBe(0);

    const seconds = statSync(reportPath(cache)).mtimeMs / 1000 - RETRY_MINUTES * 60 - 1;
    utimesSync(reportPath(cache), seconds, seconds);
    expect(await buildInCache(cache)).toBeUndefined();
  });

  it('has a folder for each compiler, and those of other compilers are known', async () => {
    const { path } = useCompiler();
    const { own, others } = cachedBuilds(folder)!;
    expect(others).toEqual([]);
    expect(await buildInCache(own!)).toBeUndefined();
    expect(availabilityIn(own!)).toMatchObject({ available: true, directory: own });

    vi.stubEnv('CXX', `${path} --other`);
    const other = cachedBuilds(folder)!;
    expect(other.own).not.toBe(own);
    expect(other.others).toEqual([own]);
    vi.stubEnv('CXX', '');
    vi.stubEnv('PATH', folder);
    expect(cachedBuilds(folder)).toEqual({ own: undefined, others: [own] });
    expect(existsSync(other.own!)).toBe(false);
  });

  /** As a process leaves it that has the lock. */
  function leaveLock(pid: number, host: string, beat = 0): void {
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(cache, 'lock'), JSON.stringify({ id: 'another', pid, host, beat }));
  }
});

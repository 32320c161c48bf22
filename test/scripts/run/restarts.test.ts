/** Local workers that die: started again a few times, then the run ends with the reason. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ConfigError } from '../../../protocol/errors.ts';
import { startLocalWorkers } from '../../../scripts/run/local-workers.ts';
import { adviceOn } from '../../../coordinator/reporting/cures.ts';
import { createRestarts } from '../../../scripts/run/restarts.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const MINUTE = 60_000;

/** What is said of each of these deaths in turn. */
function verdictsOn(livesMs: readonly number[], stepTimeoutMs = MINUTE) {
  const restarts = createRestarts(stepTimeoutMs);
  return livesMs.map((lifeMs) => restarts.died(lifeMs));
}

describe('a local worker is given up', () => {
  test('at its third failed start in a row', () => {
    expect(verdictsOn([10, 10, 10])).toEqual([undefined, undefined, 'ended within 3 s of its start 3 times']);
    expect(verdictsOn([10, 10, MINUTE, 10])).toEqual([undefined, undefined, undefined, undefined]);
  });

  test('at its fifth death, unless it has worked for long in between', () => {
    const again = Array.from({ length: 4 }, () => MINUTE);
    expect(verdictsOn([...again, MINUTE]).at(-1)).toBe('died 5 times');
    expect(verdictsOn([...again, 10 * MINUTE, ...again.slice(1)])).toEqual(Array.from({ length: 8 }, () => undefined));
    // Steps that may take an hour: a life of some of them proves nothing.
    expect(verdictsOn([...again, 100 * MINUTE], 60 * MINUTE).at(-1)).toBe('died 5 times');
  });
});

test.each([
  'local-1 was ended by SIGKILL',
  'local-1 exited with code 1: ws://127.0.0.1:1 reports ERR_TIMEOUT: step 3: no gradient within 60 s',
  'local-1 exited with code 1: the connection to 127.0.0.1:1 was lost',
  'local-1 exited with code 1: std::bad_alloc',
  'local-1 was ended by SIGABRT: FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
])('%s: the message names --microbatches', (death) => {
  expect(adviceOn(death)).toContain('use more --microbatches, or a longer --step-timeout');
});

test('of another death nothing is advised', () => {
  expect(adviceOn('local-1 exited with code 1: step 3: not finite')).toBeUndefined();
});

/** Starts one worker whose program is this text; resolves with how it failed and what was logged. */
async function runWorkerProgram(text: string) {
  const program = join(temporaryFolder(), 'worker.mjs');
  writeFileSync(program, text);
  const lines: string[] = [];
  let lastLines: readonly string[] = [];
  const error = await new Promise<Error>((onFailure) => {
    const flags = { numWorkers: 1, joinUrl: 'ws://127.0.0.1:1', flags: [] };
    const failed = (reason: Error) => {
      lastLines = workers.lastLinesOf('local-1');
      onFailure(reason);
    };
    const workers = startLocalWorkers({ ...flags, program, log: (line) => lines.push(line), onFailure: failed });
    onTestFinished(() => workers.stop());
  });
  return { error, lines, lastLines };
}

test('a process that dies again and again is started three times, and its last words are told once', async () => {
  const { error, lines, lastLines } = await runWorkerProgram(
    `process.stderr.write('here\\nerror: std::bad_alloc\\n', () => process.exit(1));`,
  );
  const death = 'local-1 exited with code 1: std::bad_alloc';
  expect(lastLines).toEqual(['here', 'std::bad_alloc', death]);
  expect(lines).toEqual(['local-1: here', `${death}; it is started again`, `${death}; it is started again`]);
  expect(error.message).toBe(
    `local-1 ended within 3 s of its start 3 times, and is not started again; the last time: ${death}: ` +
      adviceOn(death)!,
  );
});

test('a process that was asked for what is not there is not started again', async () => {
  const { error, lines } = await runWorkerProgram(
    `process.stderr.write('error: --engine tfjs: it does not load\\n', () => process.exit(2));`,
  );
  expect(lines).toEqual([]);
  expect(error).toBeInstanceOf(ConfigError);
  expect(error.message).toBe('local-1 exited with code 2: --engine tfjs: it does not load');
});

/** Runs from runs: made longer, begun with another's model, carried out again by their own record. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeData, writeIdxFolder } from '../../helpers/data-files.ts';
import { readEpochs, readResult } from '../../helpers/cli.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { runInProcess } from '../../helpers/in-process.ts';

const three = makeData([1, 12, 10], 3, [240, 30]);
const four = makeData([1, 12, 10], 4, [240, 40]);

/** A folder with data, and what runs a baseline in it. */
function setUp() {
  const folder = temporaryFolder();
  const data = writeIdxFolder(join(folder, 'mine'), three);
  const other = writeIdxFolder(join(folder, 'other'), four);
  const at = (name: string) => join(folder, name);
  const train = async (...args: string[]) => {
    const { code, output } = await runInProcess(['baseline', ...args]);
    return { code, output };
  };
  const flags = [
    '--data',
    data,
    '--model',
    'dense',
    '--global-batch',
    '60',
    '--schedule',
    'step',
    '--decay-epochs',
    '2',
  ];
  const configOf = (name: string) => JSON.parse(readFileSync(join(at(name), 'config.json'), 'utf8')) as object;
  return { at, train, flags, other, configOf };
}

describe('a run', () => {
  test('is made longer, to the bits of one that was as long from the start', async () => {
    const { at, train, flags, configOf } = setUp();
    await train(...flags, '--epochs', '5', '--run-dir', at('whole'));
    await train(...flags, '--epochs', '2', '--run-dir', at('run'));
    const longer = await train('--resume', at('run'), '--epochs', '3');
    expect(longer.code, longer.output).toBe(0);
    expect(longer.output).toContain(`${at('run')}: 3 epochs in place of 2`);
    // Again, and from a checkpoint that two configurations ago was the last.
    rmSync(join(at('run'), 'checkpoints', 'step-00000012.checkpoint'));
    const again = await train('--resume', at('run'), '--epochs', '5');
    expect(again.code, again.output).toBe(0);
    expect(again.output).toContain('after step 8, 2 epochs done');
    expect(configOf('run')).toMatchObject({ epochs: 5, earlierEpochs: [2, 3] });
    expect(readResult(at('run')).parametersSha256).toBe(readResult(at('whole')).parametersSha256);
    expect(readEpochs(at('run')).map(({ loss }) => loss)).toEqual(readEpochs(at('whole')).map(({ loss }) => loss));
  });

  test('goes on to record its steps when it is resumed, unless it is told not to', async () => {
    const { at, train, flags, configOf } = setUp();
    const stepsOf = (name: string) =>
      readFileSync(join(at(name), 'steps.jsonl'), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { step: number }).step);
    await train(...flags, '--epochs', '1', '--record-steps', '2', '--run-dir', at('run'));
    expect(configOf('run')).toMatchObject({ recordSteps: 2 });
    expect(stepsOf('run')).toEqual([2, 4]);
    const longer = await train('--resume', at('run'), '--epochs', '2');
    expect(longer.code, longer.output).toBe(0);
    expect(stepsOf('run')).toEqual([2, 4, 6, 8]);
    await train('--resume', at('run'), '--epochs', '3', '--record-steps', '0');
    expect(stepsOf('run')).toEqual([2, 4, 6, 8]);
    await train('--resume', at('run'), '--epochs', '4', '--record-steps');
    expect(stepsOf('run')).toEqual([2, 4, 6, 8, 13, 14, 15, 16]);
  });

  test('is not made longer where each step so far would have been another, and never shorter', async () => {
    const { at, train, flags } = setUp();
    await train(...flags, '--schedule', 'cosine', '--epochs', '2', '--run-dir', at('run'));
    const longer = await train('--resume', at('run'), '--epochs', '3');
    expect(longer).toEqual({
      code: 2,
      output:
        `error: --resume ${at('run')} --epochs 3: its cosine schedule ends after 2 epochs, and with more of them every step ` +
        `before would have been another: start a new run from its model, with --init-from ${at('run')}`,
    });
    const shorter = await train('--resume', at('run'), '--epochs', '1');
    expect(shorter.output).toContain('--epochs (given 1, the run has 2) would change what the run computes');
  });

  test('begins with the model of another, as far as it fits, and says what does not', async () => {
    const { at, train, flags, other, configOf } = setUp();
    await train(...flags, '--epochs', '2', '--run-dir', at('first'));
    const fine = await train(...flags, '--init-from', at('first'), '--max-steps', '0', '--run-dir', at('same'));
    expect(fine.output).toMatch(
      /initialised from \S+model\.safetensors, trained on mine: dense1\.weight, .*norm3\.variance$/m,
    );
    expect(readResult(at('same')).parametersSha256).toBe(readResult(at('first')).parametersSha256);
    expect(configOf('same')).toMatchObject({ initFrom: { source: join(at('first'), 'model.safetensors') } });

    const model = join(at('first'), 'best.safetensors');
    const fresh = ['--init-from', model, '--epochs', '1', '--run-dir', at('tuned')];
    const tuned = await train(...flags, '--data', other, ...fresh);
    expect(tuned.code, tuned.output).toBe(0);
    expect(tuned.output).toMatch(/; new: dense3\.weight \(\[84, 4\], the model has \[84, 3\]\), dense3\.bias/);
    // It goes on without that model: its checkpoint has all.
    rmSync(model);
    rmSync(join(at('tuned'), 'result.json'));
    expect((await train('--resume', at('tuned'))).code).toBe(0);
    rmSync(join(at('tuned'), 'result.json'));
    for (const name of ['checkpoints', 'epochs.jsonl']) rmSync(join(at('tuned'), name), { recursive: true });
    const lost = await train('--resume', at('tuned'));
    expect(lost.code).toBe(2);
    expect(lost.output).toContain(`${model}: cannot be read: there is no such file`);
    expect((await train(...flags, '--init-from', at('none'), '--run-dir', at('z'))).output).toContain('cannot be read');
  });

  test('is carried out again by its own record, with what other flags change', async () => {
    const { at, train, flags, other, configOf } = setUp();
    await train(...flags, '--epochs', '2', '--seed', '9', '--ema-decay', '0.5', '--run-dir', at('first'));
    const config = join(at('first'), 'config.json');
    const again = await train('--config', config, '--run-dir', at('again'));
    expect(again.code, again.output).toBe(0);
    expect(readResult(at('again')).parametersSha256).toBe(readResult(at('first')).parametersSha256);
    const changed = await train('--config', config, '--seed', '8', '--data', other, '--run-dir', at('changed'));
    expect(changed.code, changed.output).toBe(0);
    expect(configOf('changed')).toMatchObject({ seed: 8, epochs: 2, model: { name: 'dense', numClasses: 4 } });

    const wrong = await train('--config', join(at('first'), 'result.json'));
    expect(wrong.output).toContain('expected the config.json of a run directory');
    const both = await train('--config', config, '--resume', at('first'));
    expect(both.output).toContain('--config with --resume: a run goes on with its own: leave one out');
  });
});

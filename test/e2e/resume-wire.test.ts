/** Runs with rounded gradients that were ended in the middle of an epoch: they too are resumed to the same bits. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readResult, runCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { figuresOf, goBackToMidEpoch, runAndKill } from '../helpers/resuming.ts';

const EPOCHS = 2;
const STEPS_PER_EPOCH = 3;
/** Slow steps: a worker that a busy machine holds up for a fraction of a second is not late. */
const recipe = ['--model', 'conv-pool', '--engine', 'reference', '--optimizer', 'adam', '--microbatches', '2'];
const sizes = ['--epochs', String(EPOCHS), '--train-samples', '288', '--test-samples', '64', '--global-batch', '96'];

/** The bits of rounded sums are promised as long as the workers share the work as they should. */
const isDisturbed = (runDir: string): boolean =>
  /is late in step|lost worker/.test(readFileSync(join(runDir, 'log.jsonl'), 'utf8'));
const MOST_ATTEMPTS = 3;

/** A quiet run, and one that was killed and resumed; made again when a worker was late in one of them. */
async function runTwice(wire: string, attempt = 1): Promise<Record<'quiet' | 'killed', string>> {
  const folder = temporaryFolder();
  const [quiet, killed] = [join(folder, 'quiet'), join(folder, 'killed')];
  const train = ['train', '--workers', '2', '--wire', wire, ...recipe, ...sizes];
  const { code, output } = await runCli([...train, '--run-dir', quiet]);
  expect(code, output).toBe(0);
  await runAndKill([...train, '--checkpoint-every', '1', '--keep-checkpoints', '1000', '--run-dir', killed]);
  const step = goBackToMidEpoch(killed, STEPS_PER_EPOCH);
  const resumed = await runCli(['train', '--resume', killed]);
  expect(resumed.code, resumed.output).toBe(0);
  expect(resumed.output).toContain(`resuming ${killed} after step ${step}`);
  const isUseful = ![quiet, killed].some(isDisturbed) || attempt === MOST_ATTEMPTS;
  return isUseful ? { quiet, killed } : runTwice(wire, attempt + 1);
}

// Other formats are resumed alike: what differs between them is in protocol/vectors/encoding.ts.
test(
  'with bf16 and two workers, a run that was killed ends as if nothing had been',
  async () => {
    const { quiet, killed } = await runTwice('bf16');
    const { parametersSha256 } = readResult(quiet);
    const steps = EPOCHS * STEPS_PER_EPOCH;
    expect(readResult(killed)).toMatchObject({ status: 'completed', steps, parametersSha256 });
    expect(figuresOf(killed)).toEqual(figuresOf(quiet));
  },
  // Should a busy machine make it take several attempts.
  280_000,
);

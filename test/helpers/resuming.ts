/** Runs that are ended in the middle of an epoch, to be resumed. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { allGone, childrenOf, readEpochs, startCli } from './cli.ts';

/** Small batches: 256 steps an epoch, so that an epoch has a middle to be ended in. */
export const STEPS_PER_EPOCH = 256;
const sizes = ['--train-samples', '4096', '--test-samples', '512', '--global-batch', '16', '--microbatches', '2'];

/** The flags of a run of this many epochs, and those that make it save its state often. */
export const runOf = (epochs: number): string[] => {
  const recipe = ['--schedule', 'cosine', '--optimizer', 'adam'];
  return ['--model', 'dense', '--epochs', String(epochs), ...recipe, ...sizes];
};
export const OFTEN = ['--checkpoint-every', '5', '--keep-checkpoints', '1000'];

/** Of each epoch, what does not depend on how long anything took. */
export const figuresOf = (runDir: string) =>
  readEpochs(runDir).map(({ epoch, loss, trainAccuracy, testLoss, testAccuracy, samples, steps }) => {
    return { epoch, loss, trainAccuracy, testLoss, testAccuracy, samples, steps };
  });

/** Starts `gradsock ARGS` and kills it after its first epoch; resolves, with its pid, when it and its children are gone. */
export async function runAndKill(args: readonly string[]): Promise<number> {
  const cli = startCli(args);
  await cli.line(/^epoch 1,/);
  const children = childrenOf(cli.pid);
  cli.kill('SIGKILL');
  await cli.exit;
  await allGone(children);
  return cli.pid;
}

/** The steps after which there is a checkpoint. */
export const stepsOf = (runDir: string): number[] =>
  readdirSync(join(runDir, 'checkpoints'))
    .flatMap((name) => /^step-(\d+)\.checkpoint$/.exec(name)?.[1] ?? [])
    .map(Number);

/** Takes away what was saved after the last checkpoint in the middle of an epoch: as if the run had ended there. */
export function goBackToMidEpoch(runDir: string, stepsPerEpoch = STEPS_PER_EPOCH): number {
  const folder = join(runDir, 'checkpoints');
  const last = Math.max(...stepsOf(runDir).filter((step) => step % stepsPerEpoch !== 0));
  rmSync(join(folder, 'best.checkpoint'), { force: true });
  for (const step of stepsOf(runDir).filter((step) => step > last)) {
    rmSync(join(folder, `step-${String(step).padStart(8, '0')}.checkpoint`));
  }
  return last;
}

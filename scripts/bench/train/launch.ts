/** How the leading processes of the training benchmark are started; each starts its own peers, which end with it. */
import { fileURLToPath } from 'node:url';
import { startContender } from '../common/contender.ts';
import type { Contender } from '../common/contender.ts';
import { pytorchEnvironment } from '../compute/launch.ts';
import type { PyTorch } from '../compute/launch.ts';
import type { TrainJob } from './job.ts';
import { countOf } from '../../../protocol/counts.ts';

const OUR_PROGRAM = fileURLToPath(new URL('./leader-process.ts', import.meta.url));
const PYTORCH_PROGRAM = fileURLToPath(new URL('./pytorch_train.py', import.meta.url));

export function startLeader(job: TrainJob): Promise<Contender> {
  const { numWorkers, wire } = job;
  const name = numWorkers === 'baseline' ? 'baseline' : `${countOf(numWorkers, 'worker')}, ${wire}`;
  // execArgv carries the loader of TypeScript.
  const command = [process.execPath, ...process.execArgv, OUR_PROGRAM] as const;
  return startContender({ name, command, env: process.env, job });
}

/** `job`: what `pytorchJob` makes. */
export function startDdp(pytorch: PyTorch, job: object, numWorkers: number): Promise<Contender> {
  const command = [pytorch.python, PYTORCH_PROGRAM] as const;
  const options = { name: `DDP, ${countOf(numWorkers, 'rank')}`, command, env: pytorchEnvironment(pytorch) };
  return startContender({ ...options, job: { ...job, numWorkers } });
}

/** How the processes of an all-reduce benchmark are started: the leader of each contender, which starts its own peers. */
import { fileURLToPath } from 'node:url';
import { startContender } from '../common/contender.ts';
import type { Contender } from '../common/contender.ts';
import { pytorchEnvironment } from '../compute/launch.ts';
import type { PyTorch } from '../compute/launch.ts';
import type { RingJob } from './ring-process.ts';
import type { StarJob } from './star-process.ts';
import type { TcpJob } from './tcp-process.ts';

const program = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
// execArgv carries the loader of TypeScript.
const ours = (name: string) => [process.execPath, ...process.execArgv, program(name)] as const;

export function startStar(job: StarJob): Promise<Contender> {
  const name = `star, ${job.wire}, ${job.sharesMemory ? 'shared memory' : 'sockets'}`;
  return startContender({ name, command: ours('./star-process.ts'), env: process.env, job });
}

export function startRing(job: RingJob): Promise<Contender> {
  const name = `ring, ${job.wire}, sockets`;
  return startContender({ name, command: ours('./ring-process.ts'), env: process.env, job });
}

export function startTcp(job: TcpJob): Promise<Contender> {
  return startContender({ name: 'bare TCP', command: ours('./tcp-process.ts'), env: process.env, job });
}

export function startGloo(
  pytorch: PyTorch,
  job: { readonly numFloats: number; readonly numWorkers: number },
): Promise<Contender> {
  const command = [pytorch.python, program('./gloo_allreduce.py')] as const;
  return startContender({ name: 'Gloo', command, env: pytorchEnvironment(pytorch), job });
}

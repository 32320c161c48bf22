/** The speaking part of a contender's process, our side: see `contender.ts` for what it is told and answers. */
import { createInterface } from 'node:readline';
import { describeError } from '../../../protocol/errors.ts';
import type { Measurement, ReadyReport } from './contender.ts';

export interface Work {
  readonly description: string;
  /** Does it once; resolves with the training loss, if it has one. */
  next(): Promise<number | undefined>;
  /** Minor page faults so far of the processes that work for this one, all together; undefined where nobody counts. */
  workerPageFaults?(): number | undefined;
}

/** Makes the work, then measures it as often as asked, until the input ends. */
export async function answerRequests(prepare: () => Promise<Work>): Promise<void> {
  try {
    const work = await prepare();
    say({ description: work.description, details: '' });
    for await (const line of createInterface({ input: process.stdin })) {
      const { repeats } = JSON.parse(line) as { repeats: number };
      say(await measure(work, repeats));
    }
  } catch (error) {
    say({ error: describeError(error) });
  }
}

async function measure(work: Work, repeats: number): Promise<Measurement> {
  // The other contenders have had the caches since.
  await work.next();
  let lossSum = 0;
  let hasLoss = true;
  const workerFaultsBefore = work.workerPageFaults?.();
  const faultsBefore = process.resourceUsage().minorPageFault;
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  for (let i = 0; i < repeats; i++) {
    const loss = await work.next();
    if (loss === undefined) hasLoss = false;
    else lossSum += loss;
  }
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const minorPageFaults = process.resourceUsage().minorPageFault - faultsBefore;
  const workerFaultsAfter = work.workerPageFaults?.();
  if (!Number.isFinite(lossSum)) throw new Error(`${work.description}: its loss is ${lossSum}: this is no training`);
  return {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    minorPageFaults,
    ...(workerFaultsBefore !== undefined &&
      workerFaultsAfter !== undefined && { workerPageFaults: workerFaultsAfter - workerFaultsBefore }),
    ...(hasLoss && { loss: lossSum / repeats }),
  };
}

function say(message: Measurement | ReadyReport | { error: string }): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

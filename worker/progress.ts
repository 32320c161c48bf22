/** What a worker tells its user of a run: when it joined, its share of the work and its speed, and what it took part in. */
import { countOf } from '../protocol/counts.ts';
import { printable } from '../protocol/errors.ts';
import type { Assignment, MessageOf } from '../protocol/wire/messages.ts';

export interface WorkerProgress {
  /** The worker is ready for its work. */
  joined(welcome: JoinedRun): void;
  /** The coordinator has no work for it, for this reason. */
  standsBy(reason: string): void;
  /** It was given work: more of a step that it has begun is no step of its own. */
  assigned(assignment: Pick<Assignment, 'step' | 'epoch' | 'numMicrobatches' | 'localRates'>): void;
  /** The connection has ended: tells what it took part in, and nothing after that. */
  end(): void;
}

type JoinedRun = Pick<MessageOf<'welcome'>, 'runId' | 'workerId' | 'globalBatch' | 'numMicrobatches'> & {
  readonly model: { readonly name: string };
};

export interface WorkerProgressOptions {
  readonly tell: (line: string) => void;
  /** Between two lines that tell how it goes. */
  readonly intervalMs?: number;
}

const INTERVAL_MS = 30_000;

export function createWorkerProgress({ tell, intervalMs = INTERVAL_MS }: WorkerProgressOptions): WorkerProgress {
  let timer: NodeJS.Timeout | undefined;
  let numMicrobatches = 0;
  let atWork: Parameters<WorkerProgress['assigned']>[0] | undefined;
  /** What it does when it has no work. */
  let idle = 'waiting for the run to begin';
  let numSteps = 0;
  let since = { atMs: 0, numSteps: 0 };

  const begin = () => (since = { atMs: performance.now(), numSteps });
  const share = () => `${atWork!.numMicrobatches} of ${countOf(numMicrobatches, 'microbatch', 'microbatches')} a step`;
  const tellHowItGoes = () => {
    if (!atWork) {
      tell(idle);
      return;
    }
    const stepsPerSecond = (numSteps - since.numSteps) / ((performance.now() - since.atMs) / 1000);
    tell(`step ${atWork.step}, epoch ${atWork.epoch}: ${share()}, ${stepsPerSecond.toFixed(1)} steps/s`);
    begin();
  };

  return {
    joined({ runId, workerId, model, globalBatch, numMicrobatches: ofRun }) {
      numMicrobatches = ofRun;
      const work = `${countOf(globalBatch, 'sample')} a step in ${countOf(ofRun, 'microbatch', 'microbatches')}`;
      tell(printable(`joined run ${runId} as ${workerId}: ${model.name}, ${work}`));
      // The process must not stay for it.
      timer = setInterval(tellHowItGoes, intervalMs).unref();
    },
    standsBy(reason) {
      atWork = undefined;
      idle = printable(`standing by: ${reason}`);
      tell(idle);
    },
    assigned(assignment) {
      const isFirst = atWork === undefined;
      const isMore = atWork?.step === assignment.step;
      if (!isMore) {
        atWork = assignment;
        numSteps += assignment.localRates?.length ?? 1;
      }
      if (!isFirst) return;
      begin();
      tell(`working from step ${assignment.step} on: ${share()}`);
    },
    end() {
      clearInterval(timer);
      if (timer) tell(`took part in ${countOf(numSteps, 'step')}`);
      timer = undefined;
    },
  };
}

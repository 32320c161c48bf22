/**
 * A contender: a process that repeats one unit of work (a training step, a matrix product) on request and says how long
 * it took. This is the benchmark's end of it; `contender-process.ts` and `pytorch_step.py` are the other.
 *
 * Each contender has a process of its own, ours too: page faults, garbage and compiled code of one are no other's, and
 * what differs between two sides of a pair is what they compute. A process waits in a read, using no CPU, while others
 * are measured.
 *
 * They speak JSON, a line a message. The process is given its job as its last argument; it answers with what it is, or
 * with `{"error"}`. Each `{"repeats"}` is answered by a measurement. It ends when its input does.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { ConfigError } from '../../../protocol/errors.ts';

/** Starting loads libraries and 47 MB of samples, and proves an engine; the reference engine takes seconds a step. */
const ANSWER_DEADLINE_MS = 600_000;

const readySchema = z.object({
  /** What it is, for people: "native on cpu (avx512)", "PyTorch 2.1.0". */
  description: z.string(),
  /** Choices it made, for people and records: "channels_last, foreach". */
  details: z.string().default(''),
});

const measurementSchema = z.object({
  /** Wall time of the repeats asked for, warm. */
  seconds: z.number().gt(0),
  /** Time that the process's threads ran in them, all together: less than `seconds` where others had the core. */
  cpuSeconds: z.number().min(0),
  /** Of the process, while they ran. */
  minorPageFaults: z.int().min(0),
  /** Of the processes that work for it, all together, where it has some and they can be counted. */
  workerPageFaults: z.int().min(0).optional(),
  /** Mean training loss over the repeats, where the work has one. */
  loss: z.number().optional(),
});

const errorSchema = z.object({ error: z.string() });

export type ReadyReport = z.infer<typeof readySchema>;
export type Measurement = z.infer<typeof measurementSchema>;

export interface ContenderOptions {
  /** For messages. */
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  readonly job: object;
}

export interface Contender extends ReadyReport {
  /**
   * Does the work `repeats` times after one unmeasured time. One call at a time. Rejects with `ConfigError` when the
   * process ends or fails: what computes no finite loss does.
   */
  run(repeats: number): Promise<Measurement>;
  /** Ends the process; resolves when it is gone. */
  stop(): Promise<void>;
}

/** Starts a process and waits until it is ready. Rejects with `ConfigError` when it ends, or says why it cannot. */
export async function startContender({ name, command, env, job }: ContenderOptions): Promise<Contender> {
  const [program, ...args] = command;
  const child = spawn(program, [...args, JSON.stringify(job)], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let lastWords = '';
  createInterface({ input: child.stderr }).on('line', (line) => (lastWords = line));
  const gone = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      lastWords = error.message;
      resolve();
    });
    child.once('close', () => resolve());
  });
  // A request to a process that has ended fails by the end of its output, below.
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();

  const stop = async (): Promise<void> => {
    child.stdin.end();
    child.kill('SIGKILL');
    await gone;
  };
  const answer = async <T>(schema: z.ZodType<T>): Promise<T> => {
    const timer = setTimeout(() => child.kill('SIGKILL'), ANSWER_DEADLINE_MS);
    const line = await lines.next();
    clearTimeout(timer);
    if (line.done === true) {
      await gone;
      throw new ConfigError(`${name}: its process ended${lastWords === '' ? '' : `: ${lastWords}`}`);
    }
    const message: unknown = JSON.parse(line.value);
    const failure = errorSchema.safeParse(message);
    if (failure.success) throw new ConfigError(failure.data.error);
    return schema.parse(message);
  };

  try {
    const ready = await answer(readySchema);
    return {
      ...ready,
      stop,
      run(repeats) {
        child.stdin.write(`${JSON.stringify({ repeats })}\n`);
        return answer(measurementSchema);
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

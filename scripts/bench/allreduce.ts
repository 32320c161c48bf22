/**
 * `npm run bench:allreduce`: how long an all-reduce over loopback takes, ours in every wire format, beside Gloo's and
 * beside bare TCP moving the same bytes. How it is measured, and results: docs/results/allreduce.md.
 */
import { Command } from 'commander';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { MODELS } from '../../protocol/state/models.ts';
import { WIRE_FORMATS } from '../../protocol/vectors/encoding.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { parseCount } from '../flags/run-flags.ts';
import { parseCounts, parseNames, parseWires } from '../flags/lists.ts';
import { EXIT, runMain } from '../process.ts';
import { startGloo, startRing, startStar, startTcp } from './allreduce/launch.ts';
import { formatAllReduce } from './allreduce/report.ts';
import type { AllReduceRow } from './allreduce/report.ts';
import { currentLoad, readConditions } from './common/conditions.ts';
import type { Contender } from './common/contender.ts';
import { findPyTorch, PYTORCH_CURE } from './compute/launch.ts';
import { measurePairs, warmUp } from './common/pairs.ts';

interface Flags {
  workers: number[];
  floats: number[];
  wires: WireFormat[];
  ways: Way[];
  pairs: number;
  python?: string;
  gloo: boolean;
  json?: true;
}

const { conv, dense, 'conv-pool': convPool } = MODELS;
const SIZES = [...[convPool, dense, conv].map((model) => planModel(model).numParameters), 10_000_000];

interface Size {
  readonly numFloats: number;
  readonly numWorkers: number;
  readonly wire: WireFormat;
}

/** How vectors get from worker to worker: as within one machine, and as between machines. */
const WAYS = {
  memory: (size: Size) => startStar({ ...size, sharesMemory: true }),
  star: (size: Size) => startStar({ ...size, sharesMemory: false }),
  ring: (size: Size) => startRing(size),
};
type Way = keyof typeof WAYS;

const parseWays = (text: string): Way[] =>
  parseNames(text).map((name) => {
    if (!(name in WAYS)) throw new ConfigError(`--ways ${name}: expected some of ${Object.keys(WAYS).join(',')}`);
    return name as Way;
  });

const command = new Command('bench:allreduce')
  .description('times all-reduces over loopback, in pairs with Gloo')
  .option('--workers <n,...>', 'numbers of workers', parseCounts, [2, 4, 8, 16])
  .option('--floats <n,...>', 'lengths of the vector; those of the three models and ten million', parseCounts, SIZES)
  .option('--wires <names>', 'wire formats, separated by commas', parseWires, [...WIRE_FORMATS])
  .option('--ways <names>', 'star through shared memory, star and ring through sockets', parseWays, Object.keys(WAYS))
  .option('--pairs <n>', 'measurements of each side', parseCount, 7)
  .option('--python <path>', 'a Python that has torch; default: the first found')
  .option('--no-gloo', 'measure ours and bare TCP alone')
  .option('--json', 'print everything measured as JSON');

await runMain(() => main(command.parse().opts<Flags>()));

async function main({ workers, floats, wires, ways, pairs, python, gloo, json }: Flags): Promise<void> {
  const log = (line: string) => void process.stderr.write(`${line}\n`);
  const pytorch = gloo ? findPyTorch(python) : undefined;
  if (gloo && !pytorch) log(`no PyTorch found, ours is measured alone; to compare: ${PYTORCH_CURE}`);
  const conditions = readConditions();
  const rows: AllReduceRow[] = [];
  for (const numFloats of floats) {
    for (const numWorkers of workers) {
      log(`${countOf(numFloats, 'float')}, ${countOf(numWorkers, 'worker')}`);
      const started: Contender[] = [];
      try {
        for (const way of ways) {
          for (const wire of wires) started.push(await WAYS[way]({ numFloats, numWorkers, wire }));
        }
        started.push(await startTcp({ numBytes: 4 * numFloats, numWorkers }));
        const ours = [];
        for (const contender of started) ours.push(await warmUp(contender));
        if (pytorch) started.push(await startGloo(pytorch, { numFloats, numWorkers }));
        const peer = pytorch && (await warmUp(started.at(-1)!));
        const measured = await measurePairs(ours, peer, pairs);
        ours.forEach(({ contender }, i) => {
          rows.push({ numFloats, numWorkers, description: contender.description, pairs: measured[i]! });
        });
      } catch (error) {
        // What has been measured so far is not lost with it.
        log(`${countOf(numFloats, 'float')}, ${countOf(numWorkers, 'worker')}: not measured: ${describeError(error)}`);
        process.exitCode = EXIT.failed;
      } finally {
        await Promise.all(started.map((contender) => contender.stop()));
      }
    }
  }
  const result = { benchmark: 'all-reduce', conditions: { ...conditions, loadAverageAfter: currentLoad() }, rows };
  process.stdout.write(`${json ? JSON.stringify(result, null, 2) : formatAllReduce(rows)}\n`);
}

/**
 * `npm run bench:allreduce`: how long an all-reduce over loopback takes, ours in every wire format, beside Gloo's and
 * beside bare TCP moving the same bytes. How it is measured, and results: docs/results/allreduce.md.
 */
import { Command } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { MODELS } from '../../protocol/state/models.ts';
import { WIRE_FORMATS } from '../../protocol/wire/encoding.ts';
import type { WireFormat } from '../../protocol/wire/encoding.ts';
import { parseCount } from '../flags.ts';
import { runMain } from '../process.ts';
import { startGloo, startStar, startTcp } from './allreduce/launch.ts';
import { formatAllReduce } from './allreduce/report.ts';
import type { AllReduceRow } from './allreduce/report.ts';
import { currentLoad, readConditions } from './conditions.ts';
import type { Contender } from './contender.ts';
import { findPyTorch, PYTORCH_CURE } from './launch.ts';
import { measurePairs, warmUp } from './pairs.ts';

interface Flags {
  workers: number[];
  floats: number[];
  wires: WireFormat[];
  links: string[];
  pairs: number;
  python?: string;
  gloo: boolean;
  json?: true;
}

const { conv, dense, 'conv-pool': convPool } = MODELS;
const SIZES = [...[convPool, dense, conv].map((model) => planModel(model).numParameters), 10_000_000];

const numbers = (text: string): number[] => text.split(',').map(parseCount);
const formats = (text: string): WireFormat[] =>
  text.split(',').map((name) => {
    const format = WIRE_FORMATS.find((known) => known === name);
    if (!format) throw new ConfigError(`--wires ${name}: expected some of ${WIRE_FORMATS.join(',')}`);
    return format;
  });

/** Between the workers of one machine, and between machines. */
const LINKS = ['memory', 'sockets'] as const;
const parseLinks = (text: string): string[] => {
  const names = text.split(',');
  const wrong = names.find((name) => !LINKS.some((link) => link === name));
  if (wrong !== undefined) throw new ConfigError(`--links ${wrong}: expected some of ${LINKS.join(',')}`);
  return names;
};

const command = new Command('bench:allreduce')
  .description('times all-reduces over loopback, in pairs with Gloo')
  .option('--workers <n,...>', 'numbers of workers', numbers, [2, 4, 8, 16])
  .option('--floats <n,...>', 'lengths of the vector; those of the three models and ten million', numbers, SIZES)
  .option('--wires <names>', 'wire formats, separated by commas', formats, [...WIRE_FORMATS])
  .option('--links <names>', 'how payloads get to the other process', parseLinks, [...LINKS])
  .option('--pairs <n>', 'measurements of each side', parseCount, 7)
  .option('--python <path>', 'a Python that has torch; the first found when left out')
  .option('--no-gloo', 'measure ours and bare TCP alone')
  .option('--json', 'print everything measured as JSON');

await runMain(() => main(command.parse().opts<Flags>()));

async function main({ workers, floats, wires, links, pairs, python, gloo, json }: Flags): Promise<void> {
  const log = (line: string) => void process.stderr.write(`${line}\n`);
  const pytorch = gloo ? findPyTorch(python) : undefined;
  if (gloo && !pytorch) log(`no PyTorch found, ours is measured alone; to compare: ${PYTORCH_CURE}`);
  const conditions = readConditions();
  const rows: AllReduceRow[] = [];
  for (const numFloats of floats) {
    for (const numWorkers of workers) {
      log(`${numFloats} floats, ${numWorkers} workers`);
      const started: Contender[] = [];
      try {
        for (const sharesMemory of links.map((link) => link === 'memory')) {
          for (const wire of wires) started.push(await startStar({ numFloats, numWorkers, wire, sharesMemory }));
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
      } finally {
        await Promise.all(started.map((contender) => contender.stop()));
      }
    }
  }
  const result = { benchmark: 'all-reduce', conditions: { ...conditions, loadAverageAfter: currentLoad() }, rows };
  process.stdout.write(`${json ? JSON.stringify(result, null, 2) : formatAllReduce(rows)}\n`);
}

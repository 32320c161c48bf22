/**
 * What each wire format costs in accuracy: trains each model with two workers in every format, from several seeds, and
 * compares with f32 from the same seed. Prints Markdown, keeps the records; a run that has its record is not run again.
 * Results: docs/results/wire.md.
 *
 *     npm run wire-accuracy -- [--models dense,conv] [--wires f32,int8] [--seeds 1,2,3] [--epochs 10] [--out FOLDER]
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import { WIRE_FORMATS } from '../../protocol/vectors/encoding.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { figuresOf, provenanceOf, runCli } from './common/cli-run.ts';
import { formatWireAccuracy } from './wire-accuracy/table.ts';
import type { WireRecord } from './wire-accuracy/table.ts';

interface Flags {
  models: string[];
  wires: string[];
  seeds: string[];
  epochs: string;
  out: string;
}

const list = (text: string): string[] => text.split(',');

const { models, wires, seeds, epochs, out } = new Command('wire-accuracy')
  .option('--models <names>', 'which models', list, ['dense', 'conv', 'conv-pool'])
  .option('--wires <names>', 'which wire formats', list, [...WIRE_FORMATS])
  .option('--seeds <numbers>', 'which seeds', list, ['1', '2', '3'])
  .option('--epochs <n>', 'epochs of each run', '10')
  .option('--out <folder>', 'where the records are kept', 'docs/results/data/wire')
  .parse()
  .opts<Flags>();

/** The rate falls to zero: at a constant one, test accuracy jumps from epoch to epoch by more than is looked for. */
const SETTINGS = ['train', '--workers', '2', '--epochs', epochs, '--schedule', 'cosine'];

mkdirSync(out, { recursive: true });
for (const model of models) {
  for (const seed of seeds) {
    for (const wire of wires) await runUnlessKept(model, wire, seed);
  }
}
const all = models.map((model): [string, WireRecord[]] => [model, readRecords(model).filter(hasSettings)]);
process.stdout.write(`${formatWireAccuracy(Object.fromEntries(all))}\n`);

async function runUnlessKept(model: string, wire: string, seed: string): Promise<void> {
  const records = readRecords(model);
  const isThisRun = (record: WireRecord) => hasSettings(record) && record.wire === wire && record.seed === Number(seed);
  if (records.some(isThisRun)) return;
  process.stderr.write(`${model}, ${wire}, seed ${seed}\n`);
  const args = [...SETTINGS, '--model', model, '--wire', wire, '--seed', seed, '--quiet'];
  const run = await runCli(`wire-${model}-${wire}-${seed}`, args);
  const record: WireRecord = {
    // The program itself refuses a format or a seed that is none.
    wire: wire as WireFormat,
    seed: Number(seed),
    settings: SETTINGS.join(' '),
    ...figuresOf(run.epochs.at(-1)!),
    ...provenanceOf(run),
  };
  await writeFileAtomically(recordsPath(model), `${JSON.stringify([...records, record], undefined, 1)}\n`);
}

function hasSettings({ settings }: WireRecord): boolean {
  return settings === SETTINGS.join(' ');
}

function readRecords(model: string): WireRecord[] {
  const path = recordsPath(model);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as WireRecord[]) : [];
}

function recordsPath(model: string): string {
  return join(out, `${model}.json`);
}

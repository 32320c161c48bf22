/** `gradsock export RUN|MODEL --format FORMAT`: a model for other programs, with a card. */
import { join } from 'node:path';
import { Command } from 'commander';
import { openModel } from '../../coordinator/run-directory/open-model.ts';
import type { OpenedModel } from '../../coordinator/run-directory/open-model.ts';
import { formatBytes } from '../../coordinator/reporting/text.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { exportModel } from '../export/export-model.ts';
import { describeExport, INPUT_KINDS } from '../export/exported-model.ts';
import type { InputKind } from '../export/exported-model.ts';
import type { ExportFormat } from '../export/format.ts';
import { FORMAT_NAMES, FORMATS } from '../export/formats.ts';
import type { FormatName } from '../export/formats.ts';
import type { WrittenFile } from '../export/write-export.ts';
import { flag } from '../flags/run-flags.ts';
import { packageVersion } from '../process.ts';

const EXAMPLES = `
Examples:
  gradsock export runs/latest --format onnx
  gradsock export runs/latest --best --format tfjs --input floats --output web/model`;

/** Files that the terminal lists. */
const MOST_LISTED = 8;

interface Flags {
  format?: FormatName;
  best: boolean;
  input?: InputKind;
  output?: string;
}

export function exportCommand(): Command {
  return new Command('export')
    .argument('<model>', 'run directory, or a model file')
    .addOption(
      flag(
        '--format <name>',
        'what to write, always needed: onnx, tfjs (TensorFlow.js), pytorch, or safetensors, the file as the run has it',
      ).choices(FORMAT_NAMES),
    )
    .option('--best', "take a run's most accurate model, not its last", false)
    .addOption(
      flag(
        '--input <kind>',
        'of onnx and tfjs: pixels that the exported model takes, bytes or floats from 0 to 1. Default: bytes',
      ).choices(INPUT_KINDS),
    )
    .addOption(
      flag(
        '--output <folder>',
        'folder for the files. Default: <run>/export/<format>, with --best <format>-best; of a model file ./<model>-<format>',
      ),
    )
    .addHelpText('after', EXAMPLES)
    .action(carryOut);
}

async function carryOut(source: string, { format: name, best, input, output }: Flags): Promise<void> {
  if (name === undefined) {
    throw new ConfigError(`--format: expected ${FORMAT_NAMES.join(', ')}, got none: name one of them`);
  }
  const format: ExportFormat = FORMATS[name];
  if (input !== undefined && !format.hasInputChoice) {
    throw new ConfigError(`--input ${input} with --format ${name}: it is for onnx and tfjs: leave it out`);
  }
  const model = openModel(source, { isBest: best });
  const exported = describeExport(model, { isBest: best, inputKind: input ?? 'bytes', version: packageVersion() });
  const folder = output ?? defaultFolder(model, name, best);
  const written = await exportModel(exported, name, folder);
  const lines = [
    `${folder}: ${model.plan.spec.name}${model.epoch === undefined ? '' : ` after epoch ${model.epoch}`}, as ${format.title}`,
    ...listFiles(written),
    `load it: ${format.loading}`,
    `more: ${join(folder, 'README.md')}`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function defaultFolder({ run, plan }: OpenedModel, format: FormatName, isBest: boolean): string {
  return run === undefined ? `${plan.spec.name}-${format}` : join(run, 'export', isBest ? `${format}-best` : format);
}

/** With their sizes; of a model in many shards the first ones, and what the others add up to. */
function listFiles(files: readonly WrittenFile[]): string[] {
  const listed = files.length > MOST_LISTED ? files.slice(0, MOST_LISTED - 1) : files;
  const rest = files.slice(listed.length);
  const width = Math.max(...listed.map(({ name }) => name.length));
  const line = (name: string, bytes: number) => `  ${name.padEnd(width)}  ${formatBytes(bytes)}`;
  const bytesOf = ({ content }: WrittenFile) => Buffer.byteLength(content);
  return [
    ...listed.map((file) => line(file.name, bytesOf(file))),
    ...(rest.length === 0
      ? []
      : [
          line(
            `${rest.length} more`,
            rest.reduce((sum, file) => sum + bytesOf(file), 0),
          ),
        ]),
  ];
}

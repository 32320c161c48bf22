/** `gradsock data info|verify|fetch`: what a run can train on, and whether it is whole. */
import { Command, InvalidArgumentError } from 'commander';
import type { Argument } from 'commander';
import { FASHION_MNIST } from '../../coordinator/dataset/dataset-source.ts';
import { fetchDataset } from '../../coordinator/dataset/fetch.ts';
import { findDataset } from '../../coordinator/dataset/find-dataset.ts';
import { DATASET_NAMES, knownDataset } from '../../coordinator/dataset/known-datasets.ts';
import { fetchPublished } from '../../coordinator/dataset/published.ts';
import type { ImageSize } from '../../coordinator/dataset/readers/reader.ts';
import { sha256OfBytes } from '../../protocol/data/byte-source.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { DATASET_FILES, DATASET_SHA256 } from '../../protocol/data/fashion-mnist.ts';
import { datasetPlaces, locateDatasetFile, readDatasetFiles } from '../../protocol/data/fashion-mnist-files.ts';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import { describeSummary, summarise } from '../data/summary.ts';
import { checkFileFolder } from '../flags/check-file.ts';
import { readingFlags } from '../flags/data.ts';
import { dataDirFlag, flag } from '../flags/run-flags.ts';

const EXAMPLES = `
Examples:
  gradsock data fetch
  gradsock data info my-images --sheet samples.png`;

interface DataFlags {
  dataDir?: string;
  resize?: ImageSize;
  testFraction?: number;
}

const line = (text: string) => process.stdout.write(`${text}\n`);
const note = (text: string) => process.stderr.write(`${text}\n`);

export function dataCommand(): Command {
  const command = new Command('data').addHelpText('after', EXAMPLES);
  command.addCommand(infoCommand()).addCommand(verifyCommand()).addCommand(fetchCommand());
  return command;
}

function infoCommand(): Command {
  const command = named(new Command('info'))
    .description('say what a dataset is: shape, samples of each class, mean and deviation, sha256')
    .addOption(flag('--sheet <file>', 'PNG file in which to draw the first samples of each class'))
    .option('--json', 'print the result as JSON', false)
    .addOption(dataDirFlag());
  for (const option of readingFlags()) command.addOption(option);
  return command.action(async (data: string, flags: DataFlags & { sheet?: string; json: boolean }) => {
    const { dataDir, resize, testFraction, sheet, json } = flags;
    if (sheet !== undefined) checkFileFolder('--sheet', sheet);
    const source = await findDataset({ data, dataDir, resize, testFraction, log: note });
    const dataset = await source.open();
    const summary = summarise(source.name, dataset);
    if (json) line(JSON.stringify({ ...summary, source: source.source }, undefined, 2));
    else for (const text of describeSummary(summary)) line(text);
    if (sheet === undefined) return;
    const { drawSheet, labelsOnSheet } = await import('../data/sheet.ts');
    const { bytes, warning } = drawSheet(dataset);
    await writeFileAtomically(sheet, bytes);
    if (warning !== undefined) note(`warning: ${warning}`);
    const numClasses = dataset.classes.length;
    const numDrawn = labelsOnSheet(numClasses).length;
    note(`samples of ${numDrawn === numClasses ? 'each class' : `${numDrawn} of the ${numClasses} classes`}: ${sheet}`);
  });
}

function verifyCommand(): Command {
  const command = named(new Command('verify'))
    .description('verify the data that a run would use: published files by their sha256, others by reading them')
    .addOption(dataDirFlag());
  for (const option of readingFlags()) command.addOption(option);
  return command.action(async (data: string, { dataDir, resize, testFraction }: DataFlags) => {
    if (data === FASHION_MNIST) {
      await verifyFashionMnist(dataDir);
      return;
    }
    const known = knownDataset(data);
    if (known) {
      const offline = () => Promise.reject(new Error('it is not on this machine: run `gradsock data fetch`'));
      const folder = await fetchPublished(known, { dataDir, log: note, fetchFile: offline });
      for (const { name, sha256 } of known.files) line(`${folder}/${name}: ok, sha256 ${sha256}`);
      return;
    }
    const dataset = await (await findDataset({ data, dataDir, resize, testFraction, log: note })).open();
    // Of what was read before: that the kept form is whole, which opening it has found.
    line(`${data}: ok, in canonical form sha256 ${await sha256OfBytes(dataset.bytes)}`);
  });
}

async function verifyFashionMnist(dataDir: string | undefined): Promise<void> {
  const places = datasetPlaces(dataDir);
  if ((await readDatasetFiles(places)) === undefined) {
    const looked = places.map(({ folder, origin }) => `${folder} (${origin})`).join(' or ');
    throw new ConfigError(`Fashion-MNIST is not in ${looked}: run \`gradsock data fetch\``);
  }
  const used = places.find(({ folder }) => locateDatasetFile(folder, DATASET_FILES[0]!) !== undefined)!;
  for (const file of DATASET_FILES) {
    line(`${locateDatasetFile(used.folder, file)!}: ok, sha256 ${DATASET_SHA256[file]}`);
  }
}

function fetchCommand(): Command {
  const command = new Command('fetch')
    .description(
      'download the files of a named dataset that are missing, verify the others, replace none; Fashion-MNIST as root on ' +
        'Debian also by apt-get',
    )
    .addOption(dataDirFlag());
  command.addArgument(
    nameArgument(command, '[name]', `dataset: ${DATASET_NAMES.join(', ')}`).argParser((name: string) => {
      if ((DATASET_NAMES as readonly string[]).includes(name)) return name;
      throw new InvalidArgumentError(`Expected ${DATASET_NAMES.join(', ')}: other data is not fetched.`);
    }),
  );
  return command.action(async (name: string, { dataDir }: DataFlags) => {
    const known = knownDataset(name);
    if (!known) {
      await fetchDataset({ dataDir, log: line });
      return;
    }
    const folder = await fetchPublished(known, { dataDir, log: line, isFetch: true });
    line(`${name} is in ${folder}, verified`);
  });
}

function named(command: Command): Command {
  const about = `dataset: ${DATASET_NAMES.join(', ')}, or the path of your data, as for --data`;
  return command.addArgument(nameArgument(command, '[name|path]', about));
}

function nameArgument(command: Command, name: string, about: string): Argument {
  return command.createArgument(name, about).default(FASHION_MNIST);
}

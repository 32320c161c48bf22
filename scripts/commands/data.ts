/** `gradsock data fetch|verify`: the four Fashion-MNIST files. */
import { Command } from 'commander';
import { fetchDataset } from '../../coordinator/dataset/fetch.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { DATASET_FILES, DATASET_SHA256 } from '../../protocol/data/dataset.ts';
import { datasetPlaces, locateDatasetFile, readDatasetFiles } from '../../protocol/data/dataset-files.ts';
import { dataDirFlag } from '../flags/run-flags.ts';

const EXAMPLES = `
Examples:
  gradsock data fetch
  gradsock data verify --data-dir /data/fashion-mnist`;

export function dataCommand(): Command {
  const line = (text: string) => process.stdout.write(`${text}\n`);
  const command = new Command('data').addHelpText('after', EXAMPLES);
  command
    .command('fetch')
    .description(
      'download the files that are missing, as root on Debian also by apt-get; verify the others, replace none',
    )
    .addOption(dataDirFlag())
    .action(async ({ dataDir }: { dataDir?: string }) => {
      await fetchDataset({ dataDir, log: line });
    });
  command
    .command('verify')
    .description('verify the sha256 of the files that a run would use')
    .addOption(dataDirFlag())
    .action(async ({ dataDir }: { dataDir?: string }) => {
      const places = datasetPlaces(dataDir);
      if ((await readDatasetFiles(places)) === undefined) {
        const looked = places.map(({ folder, origin }) => `${folder} (${origin})`).join(' or ');
        throw new ConfigError(`Fashion-MNIST is not in ${looked}: run \`gradsock data fetch\``);
      }
      const used = places.find(({ folder }) => locateDatasetFile(folder, DATASET_FILES[0]!) !== undefined)!;
      for (const file of DATASET_FILES)
        line(`${locateDatasetFile(used.folder, file)!}: ok, sha256 ${DATASET_SHA256[file]}`);
    });
  return command;
}

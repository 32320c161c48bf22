/** The model card, README.md: what a model is, what it was trained on and how, how well it does, and how to use it. */
import { countOf } from '../../protocol/counts.ts';
import { printable } from '../../protocol/errors.ts';
import { formatBytes } from '../../coordinator/reporting/text.ts';
import { formatTable } from '../tables/table.ts';
import type { ExportedModel } from './exported-model.ts';
import type { ExportFile, ExportFormat } from './format.ts';
import { describeRecipe } from './recipe.ts';

/** Names of classes that are listed; programs find all of them in the metadata. */
const MOST_CLASSES = 100;

/** Markdown. The same export gives the same text: it has no date. */
export function modelCard(exported: ExportedModel, format: ExportFormat, files: readonly ExportFile[]): string {
  const { model, version } = exported;
  const { spec, numParameters } = model.plan;
  const sections: [string, string][] = [
    [
      'Files',
      table(
        ['file', 'size', 'what it is'],
        files.map(({ name, content, about }) => [name, formatBytes(Buffer.byteLength(content)), about]),
      ),
    ],
    ['Input and output', format.convention(exported)],
    ['Load it and predict', format.usage(exported)],
    ['Figures', figures(exported)],
    ['Data', data(exported)],
    ['Recipe', recipe(exported)],
    ['Origin', origin(exported)],
  ];
  return [
    `# ${spec.name}`,
    `A network of ${countOf(numParameters, 'parameter')} that tells images apart: ${spec.input.join(' x ')} (channels x rows x ` +
      `columns), ${countOf(model.classes.length, 'class', 'classes')}. Exported by gradsock ${version} as ${format.title}.`,
    ...sections.map(([title, text]) => `## ${title}\n\n${text}`),
  ]
    .join('\n\n')
    .concat('\n');
}

function figures({ model, isBest, run }: ExportedModel): string {
  const { step, epoch, accuracy } = model;
  const ofModel = [['steps of training', String(step)]];
  if (epoch !== undefined) ofModel.push(['epochs of training', String(epoch)]);
  if (!run) {
    if (accuracy !== undefined) ofModel.push(['accuracy', String(accuracy)]);
    const note =
      'These figures are those of the model file. It does not say on which samples the accuracy was measured: on the test ' +
      'samples, or in a run with `--validation` on those held back. An export of the run directory has more figures.';
    return `${table(['this model', 'value'], ofModel)}\n\n${note}`;
  }
  const { summary, config } = run;
  const samples = config.validationSamples === undefined ? 'test' : 'validation';
  const loss = run.epoch?.validationLoss ?? run.epoch?.testLoss;
  if (accuracy !== undefined) ofModel.push([`${samples} accuracy`, String(accuracy)]);
  if (typeof loss === 'number') ofModel.push([`${samples} loss, nats`, loss.toFixed(4)]);
  if (run.epoch) {
    ofModel.push(
      ['training accuracy', run.epoch.trainAccuracy.toFixed(4)],
      ['training loss, nats', run.epoch.loss.toFixed(4)],
    );
  }
  const ofRun = [['epochs', `${summary.epochs} of ${summary.plannedEpochs}, ${summary.status}`]];
  if (summary.lastAccuracy !== null)
    ofRun.push([`${samples} accuracy of the last epoch`, String(summary.lastAccuracy)]);
  if (summary.bestEpoch !== null) {
    ofRun.push([`${samples} accuracy of the best epoch, ${summary.bestEpoch}`, String(summary.bestAccuracy)]);
  }
  const note = isBest && samples === 'test' ? `\n\n${CHOSEN}` : '';
  return `${table(['this model', 'value'], ofModel)}\n\n${table(['its run', 'value'], ofRun)}${note}`;
}

const CHOSEN =
  'This model was chosen from all epochs by its accuracy on these test samples: on new images it may do somewhat worse.';

function data({ model, run }: ExportedModel): string {
  const { plan, classes, dataset } = model;
  const listed = classes.slice(0, MOST_CLASSES).map((name, label) => `${label} ${plain(name)}`);
  const rest = classes.length - listed.length;
  const name = dataset?.name ?? run?.config.dataset?.name;
  const rows = [
    ['name', name === undefined ? NOT_RECORDED : plain(name)],
    ['sha256 of its canonical form', dataset?.sha256 ?? run?.config.dataset?.sha256 ?? NOT_RECORDED],
    ['image, channels x rows x columns', plan.spec.input.join(' x ')],
    ['classes', String(classes.length)],
    ...(run?.epoch ? [['training samples of an epoch', String(run.epoch.samples)]] : []),
  ];
  const list = `Classes, in the order of the outputs: ${listed.join(', ')}${rest > 0 ? `, and ${rest} more` : ''}.`;
  return `${table(['data', 'value'], rows)}\n\n${list}`;
}

const NOT_RECORDED = 'not recorded';

function recipe({ run }: ExportedModel): string {
  if (run) return table(['setting', 'value'], describeRecipe(run.config));
  return 'A model file does not say how it was trained: an export of the run directory does.';
}

function origin({ model, version, parametersSha256 }: ExportedModel): string {
  return table(
    ['origin', 'value'],
    [
      ['gradsock', version],
      ['sha256 of the parameters', parametersSha256],
      ['sha256 of the model file', model.fileSha256],
    ],
  );
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  return formatTable(headings, headings.length, rows);
}

/** Text that users wrote, in Markdown: on one line, and nothing but text. */
function plain(text: string): string {
  return printable(text).replace(/[\\`*_[\]<>|#&]/g, '\\$&');
}

/**
 * Writes `docs/reference/cli.md` from the program's own definitions, in this process.
 *
 *     npm run docs:cli
 *
 * The text is the same on every machine: a fixed width, no colours, and for a default that depends on the machine its
 * description. `test/docs/cli.test.ts` fails when the file differs.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Help } from 'commander';
import type { Command, Option } from 'commander';
import { createProgram } from '../program.ts';
import { formatTable } from '../tables/table.ts';

/** Columns of a block of help, and of the text around it. */
const WIDTH = 100;
const TEXT_WIDTH = 120;

/** The commands that carry out a run: the flags that all of them take are listed once. */
const RUN_COMMANDS: readonly string[] = ['train', 'baseline', 'coordinator', 'launch', 'rank'];

const INTRODUCTION = `# Command line

Every command, with its flags, their defaults and their environment variables. \`--help\` after a command prints the
same. This page is generated from the program: after a change of a flag, run \`npm run docs:cli\`.
`;

const RULES = `## How flags are read

- The environment variable of a flag stands after \`env:\`. The command line overrides the variable, the variable
  overrides \`--recipe\`, and the recipe overrides the default.
- An empty variable counts as unset. The variable of a flag without a value takes \`true\`, \`1\`, \`yes\`, \`on\` or
  \`false\`, \`0\`, \`no\`, \`off\`.
- With \`--resume\`, a flag that is not given is as the run's \`config.json\` has it.
- Exit codes: 0 done, 1 the run failed, 2 a mistake in the command or its configuration, 130 interrupted. See
  [errors](errors.md).

The program also reads these variables, which stand for no flag:
`;

const VARIABLES = [
  ['`GRADSOCK_TOKEN`', "the run's token, of `coordinator` and `worker`"],
  ['`FASHION_MNIST_DIR`', 'where the data is, unless `--data-dir` names a folder'],
  ['`XDG_CACHE_HOME`', 'the folder of caches, where downloaded data is kept'],
  ['`https_proxy`, `all_proxy`, `no_proxy`', 'the proxy of downloads; also in capitals'],
  ['`CUDA_VISIBLE_DEVICES`', 'the NVIDIA GPUs that may be used'],
  [
    '`RANK`, `PET_NODE_RANK`, `SLURM_PROCID` and others',
    'the part of a `rank`: see [schedulers](../guide/schedulers.md)',
  ],
  ['`LOCAL_RANK`, `SLURM_LOCALID`, `OMPI_COMM_WORLD_LOCAL_RANK`', 'which of several GPUs a worker uses'],
  ['`CXX`', 'the C++ compiler that builds the native engine'],
] as const;

const RUN_FLAGS = `## Flags of every run

What decides a run's outcome, and where its files are. These commands take them: ${RUN_COMMANDS.join(', ')}.
`;
const RUN_FLAGS_LINK = '[flags of every run](#flags-of-every-run)';

/** The text of the page. */
export async function cliDocs(): Promise<string> {
  const program = await createProgram();
  const commands = program.commands.flatMap(leavesOf);
  const runFlags = sharedFlags(program.commands.filter((command) => RUN_COMMANDS.includes(command.name())));
  const list = commands.map((command) => {
    const name = nameOf(command);
    return wrap(`- [\`${name}\`](#${name.replaceAll(' ', '-')}): ${command.description()}`, '  ');
  });
  return [
    INTRODUCTION,
    `${list.join('\n')}\n`,
    RULES,
    `${formatTable(['variable', 'what it sets'], 2, VARIABLES)}\n`,
    ...commands.map((command) => describeCommand(command, runFlags)),
    RUN_FLAGS,
    blockOf(formatGroups([...runFlags.values()])),
  ].join('\n');
}

/** The commands that do something: `data` does not, `data fetch` does. */
function leavesOf(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
}

/** As it is typed: `gradsock data fetch`. */
function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();
}

/** The flags that all of these commands have, described alike; keyed by {@link keyOf}. */
function sharedFlags(commands: readonly Command[]): ReadonlyMap<string, Option> {
  const [first, ...others] = commands.map(({ options }) => new Map(options.map((option) => [keyOf(option), option])));
  return new Map([...first!].filter(([key]) => others.every((flags) => flags.has(key))));
}

const keyOf = (option: Option): string => `${option.flags} ${itemOf(option).description}`;

function describeCommand(command: Command, runFlags: ReadonlyMap<string, Option>): string {
  const isRun = RUN_COMMANDS.includes(command.name());
  const flags = command.options.filter((option) => !option.hidden && !(isRun && runFlags.has(keyOf(option))));
  const help = new Help();
  const args = command.registeredArguments.map((argument) => ({
    term: help.argumentTerm(argument),
    description: help.argumentDescription(argument),
  }));
  const after = textAfterHelp(command);
  return [
    `## \`${nameOf(command)}\`\n`,
    `${wrap(`${sentenceOf(command.description())}${isRun ? ` It also takes the ${RUN_FLAGS_LINK}.` : ''}`)}\n`,
    blockOf([`${nameOf(command)} ${command.usage()}`, '', ...formatGroups(flags, args)]),
    ...(after === '' ? [] : [blockOf([after])]),
  ].join('\n');
}

interface Item {
  readonly term: string;
  readonly description: string;
}

function itemOf(option: Option): Item {
  const help = new Help();
  return { term: help.optionTerm(option), description: help.optionDescription(option) };
}

/** In lines: the arguments, then each group of flags under its heading, as `--help` has them. */
function formatGroups(flags: readonly Option[], args: readonly Item[] = []): readonly string[] {
  const help = Object.assign(new Help(), { helpWidth: WIDTH });
  const termWidth = Math.max(...[...args, ...flags.map(itemOf)].map(({ term }) => term.length));
  const format = ({ term, description }: Item) => help.formatItem(term, termWidth, description, help);
  const headings = [...new Set(flags.map(({ helpGroupHeading }) => helpGroupHeading))];
  const groups = headings.map((heading) => [
    ...(heading === undefined ? [] : [heading]),
    ...flags.filter(({ helpGroupHeading }) => helpGroupHeading === heading).map((option) => format(itemOf(option))),
  ]);
  return [...(args.length === 0 ? [] : [args.map(format)]), ...groups].flatMap((lines, nth) =>
    nth === 0 ? lines : ['', ...lines],
  );
}

/** What `addHelpText` puts below a command's help. */
function textAfterHelp(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => (text += part),
    getOutHelpWidth: () => WIDTH,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text.slice(command.helpInformation().length).trim();
}

/** In lines, those after the first indented. */
const wrap = (text: string, indent = ''): string =>
  new Help().boxWrap(text, TEXT_WIDTH - indent.length).replaceAll('\n', `\n${indent}`);

const sentenceOf = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}.`;

const blockOf = (lines: readonly string[]): string => ['```', ...lines, '```', ''].join('\n');

const PAGE = fileURLToPath(new URL('../../docs/reference/cli.md', import.meta.url));

const isMain = process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url);
if (isMain) writeFileSync(PAGE, await cliDocs());

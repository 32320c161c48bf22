/** The script that starts a worker on a host, by `sh`. What it tells the launcher, `session.ts` reads. */
import { quoteWord, quoteWords } from './shell-words.ts';
import { TOLD } from './session.ts';

/** How `gradsock` is started on a host. */
export type RemoteProgram =
  /** The program at the path that it has here, as in a shared home folder, else `gradsock` on the PATH there. */
  | { readonly kind: 'found'; readonly path: string }
  /** What the user says, in the words of a shell there. */
  | { readonly kind: 'command'; readonly command: string }
  /** What a launch has installed. */
  | { readonly kind: 'installed'; readonly path: string };

export interface StartScriptOptions {
  readonly program: RemoteProgram;
  /** Node.js here, for hosts that have it at the same path and not on their PATH. */
  readonly node: string;
  /** The version that the host's program must have. */
  readonly version: string;
  /** Arguments of the program. */
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** The oldest Node.js that runs the program. */
export const OLDEST_NODE = '20.12';
const CHECK_NODE =
  'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 12) ? 0 : 1)';

/**
 * Finds Node.js and the program, compares versions, and runs the program. Tells why it does not get as far: `no-node`,
 * `old-node VERSION`, `no-program`, `broken-program CODE` and `other-version VERSION`; else `started`, and at the end
 * `ended CODE`. The script stays while the program runs: ssh alone would not tell which signal has ended it.
 */
export function startScript({ program, node, version, args, environment }: StartScriptOptions): string {
  const settings = Object.entries(environment).map(([name, value]) => `${name}=${quoteWord(value)}`);
  return [
    tellFunction(),
    'exec 3>&2',
    // What the user says may set up Node.js itself.
    ...(program.kind === 'command' ? [] : findNode(node)),
    ...defineProgram(program),
    'version=$(program --version </dev/null)',
    'code=$?',
    'if [ "$code" -eq 127 ]; then tell no-program; exit 127; fi',
    'if [ "$code" -ne 0 ]; then tell broken-program "$code"; exit 1; fi',
    `if [ "$version" != ${quoteWord(version)} ]; then tell other-version "$version"; exit 1; fi`,
    ...(settings.length > 0 ? [`export ${settings.join(' ')}`] : []),
    // Here a shell would say which signal has ended the program: the launcher says so itself.
    'exec 2>/dev/null',
    'tell started',
    `program ${quoteWords(args)}`,
    'code=$?',
    'tell ended "$code"',
    'exit "$code"',
  ].join('\n');
}

export const tellFunction = (): string => `tell() { printf '%s\\n' "${TOLD}$*"; }`;

/** Sets `$node`, or ends the script. */
export function findNode(node: string): string[] {
  return [
    `node=$(command -v node) || node=${quoteWord(node)}`,
    'if [ ! -x "$node" ]; then tell no-node; exit 127; fi',
    `if ! "$node" -e ${quoteWord(CHECK_NODE)}; then tell old-node "$("$node" --version)"; exit 127; fi`,
  ];
}

/** Defines the shell function `program`, whose standard error is the script's own, which the script may turn away from later. */
function defineProgram(program: RemoteProgram): string[] {
  const define = (command: string) => `program() { (exec 2>&3 3>&-; ${command} "$@"); }`;
  if (program.kind === 'command') return [define(program.command)];
  const path = quoteWord(program.path);
  if (program.kind === 'installed') return [define(`exec "$node" ${path}`)];
  return [
    `if [ -r ${path} ]; then ${define(`exec "$node" ${path}`)}`,
    `elif command -v gradsock >/dev/null; then ${define('exec gradsock')}`,
    'else tell no-program; exit 127; fi',
  ];
}

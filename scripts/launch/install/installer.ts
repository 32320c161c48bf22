/** Installs a bundle on hosts, on each of them once, by a session of its own. The other half is `on-host.ts`. */
import { ProtocolError } from '../../../protocol/errors.ts';
import type { HostGroup } from '../hosts.ts';
import type { ReadyProgram } from '../remote-workers.ts';
import { openSession, TOLD } from '../session.ts';
import type { Session } from '../session.ts';
import { quoteWord } from '../shell-words.ts';
import { sshCommand } from '../ssh-command.ts';
import { findNode, tellFunction } from '../start-script.ts';
import { describeWorkerEnd, START_DEADLINE_S } from '../worker-end.ts';
import type { EndFacts } from '../worker-end.ts';
import type { Bundle } from './bundle.ts';
import type { InstallOrder } from './on-host.ts';

/** Longer than the host's own deadline, which says more. */
const INSTALL_DEADLINE_S = 900;
/** From the end of the input to the end of the session: what was begun on the host is removed. */
const CLEANUP_MS = 3000;

export interface InstallerOptions {
  readonly ssh: readonly string[];
  readonly bundle: Bundle;
  readonly node: string;
  readonly version: string;
  readonly log: (line: string) => void;
}

/** For {@link RemoteWorkersOptions.programOn}: the groups of a host share one installation. A failed one is tried again when asked. */
export function createInstaller(options: InstallerOptions) {
  const byHost = new Map<string, Promise<ReadyProgram>>();
  return (group: HostGroup, signal: AbortSignal): Promise<ReadyProgram> => {
    const { destination } = group;
    const known = byHost.get(destination);
    if (known) return known;
    const installing = installOn(group, signal, options).then((ready) => {
      if ('end' in ready) byHost.delete(destination);
      return ready;
    });
    byHost.set(destination, installing);
    return installing;
  };
}

async function installOn(group: HostGroup, signal: AbortSignal, options: InstallerOptions): Promise<ReadyProgram> {
  const { destination, label, name } = group;
  const { ssh, bundle, node, version, log } = options;
  let told: EndFacts['told'];
  const state = { folder: undefined as string | undefined, isLate: false };
  const onTold = (word: string, rest: string) => {
    told = { word, rest };
    deadline.refresh();
    if (word === 'waiting') log(`${label}: another launch installs gradsock there: waiting for it`);
    if (word === 'installed') state.folder = rest;
    if (word !== 'send') return;
    clearTimeout(deadline);
    deadline = setTimeout(end, INSTALL_DEADLINE_S * 1000);
    log(`${label}: installing gradsock ${version} and its packages in its cache`);
    session.write(bundle.archive);
  };
  const script = [
    tellFunction(),
    ...findNode(node),
    `exec "$node" --input-type=module -e ${quoteWord(codeOf(bundle))}`,
  ];
  const session: Session = openSession(sshCommand({ ssh, destination, script: script.join('\n') }), {
    onTold,
    onLine: (line) => log(`${label}: ${line.replace(/^error: /, '')}`),
  });
  const end = () => {
    state.isLate = true;
    session.kill();
  };
  let deadline = setTimeout(end, START_DEADLINE_S * 1000);
  const leave = () => {
    session.endInput();
    setTimeout(() => session.kill(), CLEANUP_MS).unref();
  };
  signal.addEventListener('abort', leave);
  session.write(`${JSON.stringify(orderOf(bundle))}\n`);
  const sessionEnd = await session.ended;
  clearTimeout(deadline);
  signal.removeEventListener('abort', leave);
  const { folder, isLate } = state;
  if (folder !== undefined) return { program: { kind: 'installed', path: `${folder}/dist/scripts/cli.js` } };
  const ended = isLate ? ('too-late' as const) : undefined;
  const facts = {
    destination,
    label,
    name,
    told,
    hasStarted: false,
    ended,
    session: sessionEnd,
    version,
    ssh: ssh[0]!,
  };
  const hasRun = sessionEnd.code === 1 || told?.word === 'send' || told?.word === 'waiting';
  if (!hasRun) return { end: describeWorkerEnd(facts) };
  const how = isLate ? `within ${INSTALL_DEADLINE_S} s` : `(exit code ${sessionEnd.code ?? 'none'})`;
  const last = sessionEnd.lastLines.at(-1)?.replace(/^error: /, '') ?? 'its connection was lost';
  const message = `${label}: gradsock could not be installed there ${how}: ${last}: npm there must reach its registry`;
  return { end: { kind: 'unreachable', error: new ProtocolError('ERR_CONFIG', message, { worker: name }) } };
}

const codeOf = ({ installer }: Bundle): string => `${installer}\nawait install(${JSON.stringify(TOLD)});\n`;

function orderOf({ key, archive, packageJson, packageLock }: Bundle): InstallOrder {
  return { key, archiveBytes: archive.length, packageJson, packageLock };
}

/** How the session of a worker has ended: what kind of end it was, and what to tell its user, with a cure. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { ProtocolErrorCode } from '../../protocol/errors.ts';
import { signalName } from './signal-name.ts';
import { OLDEST_NODE } from './start-script.ts';
import type { SessionEnd } from './session.ts';

export type EndKind =
  /** The coordinator has let the worker go. */
  | 'done'
  /** The same would happen again: only the user can change it. */
  | 'hopeless'
  /** No connection came about, or the host was not ready to start a worker. */
  | 'unreachable'
  /** The connection, or the worker, was lost while it worked. */
  | 'lost';

export interface WorkerEnd {
  readonly kind: EndKind;
  /** Of `done`: nobody is told. */
  readonly error: ProtocolError;
}

/** Of any session. */
export interface EndFacts {
  readonly destination: string;
  readonly label: string;
  readonly name: string;
  /** The last word that the script told, with what belonged to it. */
  readonly told: { readonly word: string; readonly rest: string } | undefined;
  readonly hasStarted: boolean;
  /** Why the launcher itself has ended the session, if it has. */
  readonly ended?: 'too-late' | 'no-tunnel' | 'no-tunnel-port' | undefined;
  readonly session: SessionEnd;
  /** Of the program here. */
  readonly version: string;
  /** The program of ssh, as the user named it. */
  readonly ssh: string;
}

/** What ssh exits with when it fails itself. */
const SSH_FAILED = 255;
const USAGE = 2;

/** A host that has not started a worker by then is given up. */
export const START_DEADLINE_S = 60;

export function describeWorkerEnd(facts: EndFacts): WorkerEnd {
  const { told, hasStarted, session, name } = facts;
  const end = (kind: EndKind, code: ProtocolErrorCode, message: string): WorkerEnd => ({
    kind,
    error: new ProtocolError(code, message, { worker: name }),
  });
  if (told?.word === 'ended') {
    const code = Number(told.rest);
    const signal = signalName(code);
    const how = signal === undefined ? `exited with code ${code}${lastWords(session)}` : `was ended by ${signal}`;
    const message = `${name} ${how}`;
    if (code === 0) return end('done', 'ERR_CLOSED', message);
    const cure = joinCure(session, facts);
    if (code === USAGE) return end('hopeless', 'ERR_CONFIG', message);
    return end('lost', 'ERR_PEER_LOST', cure === undefined ? message : `${message}: ${cure}`);
  }
  const problem = setUpProblem(facts);
  if (problem !== undefined) return end('hopeless', 'ERR_CONFIG', `${facts.label}: ${problem}`);
  if (hasStarted) return end('lost', 'ERR_PEER_LOST', `${name}: its connection was lost${lastWords(session)}`);
  const { message, isHopeless } = connectionProblem(facts);
  return end(isHopeless ? 'hopeless' : 'unreachable', isHopeless ? 'ERR_CONFIG' : 'ERR_PEER_LOST', message);
}

/** What is wrong with the host's Node.js or program, or with the tunnel; with its cure. */
function setUpProblem({ told, ended, version, destination, session }: EndFacts): string | undefined {
  if (ended === 'no-tunnel') {
    return (
      'its sshd forwards no ports, which --tunnel needs: set AllowTcpForwarding to yes or remote in its sshd_config, or ' +
      'leave --tunnel out'
    );
  }
  if (ended === 'no-tunnel-port') {
    return 'ssh has not told the port of the tunnel on the host: leave out -q and LogLevel of --ssh';
  }
  const byHand = `npm install -g gradsock@${version} on it`;
  if (!told) return undefined;
  switch (told.word) {
    case 'no-node':
      return (
        `expected Node.js ${OLDEST_NODE} or later, found none (exit code 127): install it there, so that ` +
        `\`ssh ${destination} node --version\` finds it; or say how it is found, such as by ` +
        "--remote-command '. ~/.nvm/nvm.sh && gradsock'"
      );
    case 'old-node':
      return `expected Node.js ${OLDEST_NODE} or later, got ${told.rest}: install a newer one there`;
    case 'no-program':
      return (
        `no gradsock is there (exit code 127): --install brings it along; or ${byHand}; or --remote-command says how ` +
        'it is started there'
      );
    case 'other-version':
      return `expected gradsock ${version}, as here, got ${told.rest}: --install brings it along; or ${byHand}`;
    case 'broken-program':
      return `gradsock does not start there (exit code ${told.rest})${lastWords(session)}: --install brings it along`;
    default:
      return undefined;
  }
}

/** What ssh says, and what helps. */
const SSH_PROBLEMS: readonly { readonly says: RegExp; readonly isHopeless: boolean; readonly cure: string }[] = [
  {
    says: /Permission denied|Too many authentication failures|no more authentication methods/i,
    isHopeless: true,
    cure: 'no key of yours is accepted there, and nobody can type a password: run `ssh-copy-id HOST`, or add a key to ssh-agent',
  },
  {
    says: /Host key verification failed|HOST IDENTIFICATION HAS CHANGED|host key is known/i,
    isHopeless: true,
    cure: 'its key is not the one in known_hosts, or not known yet: run `ssh HOST` once and compare it',
  },
  {
    says: /Could not resolve hostname/i,
    isHopeless: true,
    cure: 'check the name, or give its address in ~/.ssh/config',
  },
  {
    says: /Bad configuration option|Can't open user config|no such option|usage: ssh/i,
    isHopeless: true,
    cure: 'check --ssh and ~/.ssh/config',
  },
  { says: /Connection refused/i, isHopeless: false, cure: 'start sshd there, or give its port in ~/.ssh/config' },
  {
    says: /timed out|No route to host|Network is unreachable/i,
    isHopeless: false,
    cure: 'check that the host is up, and the firewalls on the way',
  },
];

function connectionProblem({ label, destination, session, ended, ssh }: EndFacts) {
  const { code, refusal, lastLines } = session;
  const test = `\`${ssh} -o BatchMode=yes ${destination} true\` must work`;
  if (refusal !== undefined) {
    return {
      message: `${ssh} cannot be started (${refusal}): install OpenSSH's client, or name it by --ssh`,
      isHopeless: true,
    };
  }
  if (ended === 'too-late') {
    return {
      message: `${label}: no worker was started within ${START_DEADLINE_S} s${lastWords(session)}: ${test}`,
      isHopeless: false,
    };
  }
  const known = SSH_PROBLEMS.find(({ says }) => lastLines.some((line) => says.test(line)));
  const cure = known?.cure.replace('HOST', destination) ?? test;
  const how =
    code === SSH_FAILED
      ? `cannot be reached by ssh (exit code ${SSH_FAILED})`
      : `ssh exited with code ${code ?? 'unknown'}`;
  return { message: `${label}: ${how}${lastWords(session)}: ${cure}`, isHopeless: known?.isHopeless ?? false };
}

/** Where a worker finds no coordinator, its user must choose another way. */
function joinCure({ lastLines }: SessionEnd, { label }: EndFacts): string | undefined {
  if (!lastLines.some((line) => line.includes('gave up waiting for a coordinator'))) return undefined;
  return `give --advertise with an address by which ${label} reaches this machine, or connect through ssh by --tunnel`;
}

function lastWords({ lastLines }: SessionEnd): string {
  const last = lastLines
    .at(-1)
    ?.replace(/^error: /, '')
    .replace(/[.:\s]+$/, '');
  return last === undefined ? '' : `: ${last}`;
}

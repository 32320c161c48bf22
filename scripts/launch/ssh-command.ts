/** The command line of ssh for one connection to a host. */
import { hostAndPort } from '../../protocol/wire/join-url.ts';
import { quoteWord } from './shell-words.ts';

/** Where a tunnel ends on this machine. */
export interface TunnelEnd {
  readonly host: string;
  readonly port: number;
}

export interface SshCommandOptions {
  /** The program and options of its user's, which come before those of a launch and have priority. */
  readonly ssh: readonly string[];
  readonly destination: string;
  /** For `sh` on the host. The host's own shell may be any that takes single quotes as sh does. */
  readonly script: string;
  /** To where a free port of the host is forwarded. Default: no port is. */
  readonly tunnel?: TunnelEnd | undefined;
}

const OPTIONS = [
  // Without a terminal there: the worker ends with its standard input.
  '-T',
  ...setting('BatchMode', 'yes'),
  ...setting('ConnectTimeout', '20'),
  ...setting('ServerAliveInterval', '5'),
  ...setting('ServerAliveCountMax', '3'),
  // A connection that others share would hold this one's output open, after its end.
  ...setting('ControlMaster', 'no'),
];
/** Forwards of the user's configuration would be made once a worker. */
const NO_TUNNEL = setting('ClearAllForwardings', 'yes');
/** A shared connection would keep the forward; a lower level would not name the port. */
const TUNNEL = [...setting('ControlPath', 'none'), ...setting('LogLevel', 'INFO')];

/** Program and arguments. */
export function sshCommand({ ssh, destination, script, tunnel }: SshCommandOptions): string[] {
  const forward = tunnel ? [...TUNNEL, '-R', `127.0.0.1:0:${forwardEnd(tunnel)}`] : NO_TUNNEL;
  return [...ssh, ...OPTIONS, ...forward, '--', destination, `exec sh -c ${quoteWord(script)}`];
}

function setting(name: string, value: string): readonly string[] {
  return ['-o', `${name}=${value}`];
}

/** An end on all addresses is reached by loopback. */
function forwardEnd({ host, port }: TunnelEnd): string {
  if (host === '0.0.0.0' || host === '::') return `127.0.0.1:${port}`;
  return hostAndPort(host, port);
}

/** Host files: one host a line, in the forms that MPI and DeepSpeed read. */
import { ConfigError } from '../../protocol/errors.ts';
import { readTextFile } from '../../protocol/text-files.ts';
import { parseHost, parseSlots } from './hosts.ts';
import type { Host } from './hosts.ts';

/** Names of Open MPI for the most slots of a host. Workers never exceed its slots. */
const MOST_SLOTS_NAMES: readonly (string | undefined)[] = ['max_slots', 'max-slots'];

/** Reads the hosts of `--hostfile`. Throws `ConfigError`, with the line's number, for a line that is none. */
export function readHostfile(path: string): Host[] {
  return parseHostfile(readTextFile(`--hostfile ${path}`, path), `--hostfile ${path}`);
}

/** `where` begins the messages. */
export function parseHostfile(text: string, where: string): Host[] {
  const hosts = text.split('\n').flatMap((line, nth) => {
    const content = line.replace(/#.*$/, '').trim();
    return content === '' ? [] : [parseLine(content, `${where}: line ${nth + 1}`)];
  });
  if (hosts.length > 0) return hosts;
  throw new ConfigError(`${where}: expected a host on each line, such as "node1 slots=4", got no host`);
}

function parseLine(content: string, where: string): Host {
  const [first, ...settings] = content.replace(/\s*=\s*/g, '=').split(/\s+/) as [string, ...string[]];
  let host = parseHost(first, where);
  const hasSlots = first !== host.destination && /:\d+$/.test(first);
  const seen = new Set<string>();
  for (const setting of settings) {
    const [, name, value] = /^([^=]+)=(.+)$/.exec(setting) ?? [];
    const isAgain = name !== undefined && (seen.has(name) || (name === 'slots' && hasSlots));
    if (isAgain) throw new ConfigError(`${where}: expected one number of slots and one device, got ${name} again`);
    if (name === 'slots') host = { ...host, slots: parseSlots(value!, where) };
    else if (name === 'device') host = { ...host, device: value! };
    else if (MOST_SLOTS_NAMES.includes(name)) parseSlots(value!, where);
    else throw new ConfigError(`${where}: expected slots=N or device=NAME after the host, got ${setting}`);
    seen.add(name!);
  }
  return host;
}

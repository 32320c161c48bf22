/**
 * A compiler in the place of the real one: in a moment it hands over the addon that was built for this machine, so tests
 * can build often. It notes each call in a file.
 */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface StandInCompiler {
  /** For $CXX. */
  readonly path: string;
  /** How many addons it has made. */
  numAddons(): number;
}

/** `builds`: the folder of the real ones. `before`: shell commands that each compilation begins with. */
export function writeStandInCompiler(folder: string, builds: string, before = ''): StandInCompiler {
  const path = join(folder, 'stand-in-compiler');
  const calls = join(folder, 'calls');
  const script = `#!/bin/sh
if [ "$1" = --version ]; then echo "stand-in 1.0"; exit 0; fi
${before}
while [ $# -gt 0 ]; do if [ "$1" = -o ]; then output=$2; fi; shift; done
case $output in
  *.node) echo "$output" >> '${calls}'; cp '${builds}'/gradsock-"$(basename "$output")" "$output" ;;
  *) : > "$output" ;;
esac
`;
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return { path, numAddons: () => (existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n').length : 0) };
}

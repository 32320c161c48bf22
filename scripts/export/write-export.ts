/**
 * An export's folder. Beside the model and its card there is `export.json`: the facts for programs, and the sha256 of
 * each file, by which a later export tells its own files from those that people wrote or changed.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';

export interface WrittenFile {
  readonly name: string;
  readonly content: Uint8Array | string;
}

const MANIFEST = 'export.json';

const manifestSchema = z.object({
  format: z.string(),
  /** From a file's name to its sha256. */
  files: z.record(z.string().regex(/^\w[\w.-]*$/), z.string()),
});

type Manifest = z.infer<typeof manifestSchema>;

/**
 * Writes an export's files, and last of all its manifest. Files of an earlier export of the same format are replaced, and
 * removed where this one has none of that name.
 *
 * Throws `ConfigError`, with nothing written, where a file is in the way that no export wrote or that was changed since,
 * where the folder holds another format, and where it cannot be made.
 */
export async function writeExport(
  folder: string,
  { format, facts, files }: { readonly format: string; readonly facts: object; readonly files: readonly WrittenFile[] },
): Promise<readonly WrittenFile[]> {
  const sums = Object.fromEntries(files.map(({ name, content }) => [name, sha256(content)]));
  const manifest = {
    name: MANIFEST,
    content: `${JSON.stringify({ format, ...facts, files: sums }, undefined, 2)}\n`,
  };
  makeFolder(folder);
  const earlier = readManifest(folder);
  if (earlier && earlier.format !== format) {
    throw new ConfigError(
      `${folder}: expected an export in the format ${format} or none, got one in ${earlier.format}: name another folder by --output`,
    );
  }
  const isOurs = (name: string) => {
    const path = join(folder, name);
    if (!statSync(path).isFile()) return false;
    const sum = sha256(readFileSync(path));
    return sum === sums[name] || sum === earlier?.files[name];
  };
  const old = Object.keys(earlier?.files ?? {}).filter((name) => sums[name] === undefined);
  for (const name of [...files.map((file) => file.name), ...old]) {
    if (existsSync(join(folder, name)) && !isOurs(name)) throw inTheWay(join(folder, name));
  }
  if (!earlier && existsSync(join(folder, MANIFEST))) throw inTheWay(join(folder, MANIFEST));
  for (const name of old) await rm(join(folder, name), { force: true });
  for (const { name, content } of [...files, manifest]) await writeFileAtomically(join(folder, name), content);
  return [...files, manifest];
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new ConfigError(describeSystemError(`--output ${folder}`, 'made', error), { cause: error });
  }
}

/** Undefined where there is none, or what no export wrote. */
function readManifest(folder: string): Manifest | undefined {
  const path = join(folder, MANIFEST);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return undefined;
  try {
    return manifestSchema.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data;
  } catch {
    return undefined;
  }
}

function inTheWay(path: string): ConfigError {
  return new ConfigError(
    `${path}: expected no file or one as an earlier export wrote it, got another: move it away, or name another folder by --output`,
  );
}

function sha256(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('hex');
}

/** `RUN|MODEL`: a model from a run directory or from its file. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../../protocol/errors.ts';
import { decodeModelFile } from '../../protocol/state/model-file.ts';
import type { ModelFile } from '../../protocol/state/model-file.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';

export interface OpenedModel extends ModelFile {
  /** The file. */
  readonly path: string;
  /** Of the file, in hex. */
  readonly fileSha256: string;
  /** The run directory that it is in, if it was named by that. */
  readonly run?: string;
}

/** Throws `ConfigError` for a path that leads to no model, and for a model that is not sound. */
export function openModel(source: string, { isBest = false } = {}): OpenedModel {
  const isFolder = statSync(source, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const path = isFolder ? join(source, isBest ? 'best.safetensors' : 'model.safetensors') : source;
  if (isFolder && !existsSync(path)) {
    throw new ConfigError(`${source}: expected a run directory with a model, got no ${path}: let its first epoch end`);
  }
  if (!isFolder && isBest) throw new ConfigError(`--best with ${source}: it is for a run directory: leave it out`);
  try {
    const bytes = readFileSync(path);
    const fileSha256 = createHash('sha256').update(bytes).digest('hex');
    return { ...decodeModelFile(bytes, path), path, fileSha256, ...(isFolder && { run: source }) };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
  }
}

/**
 * The packages of engines that an installation may lack: optional peers, which npm does not install by itself, and the
 * optional dependency `@tensorflow/tfjs-node-gpu`, which it omits where it cannot be installed. Loads none of them.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { ConfigError } from '../../protocol/errors.ts';

const TENSORFLOW = '@tensorflow/tfjs';
const WASM = '@tensorflow/tfjs-backend-wasm';

/**
 * What each engine cannot do without, on a device or, for undefined, on the one that it takes as a rule. An engine that is
 * not named needs no such package.
 */
const NEEDED_BY: Readonly<Record<string, (device: string | undefined) => readonly string[]>> = {
  onnx: () => ['onnxruntime-node'],
  tfjs: (device = 'wasm') => (device === 'wasm' ? [TENSORFLOW, WASM] : [TENSORFLOW]),
};

/** Why something cannot be used, and what to do about it. */
export interface Refusal {
  readonly reason: string;
  readonly cure: string;
}

/** Packages of an engine are not installed; the cure is in the message. */
export class MissingPackageError extends ConfigError {}

/** Finds a package's file, or throws what Node throws. */
export type Resolve = (packageName: string) => unknown;

const require = createRequire(import.meta.url);

/** That packages of an engine are not installed; undefined where they are. What else may be wrong shows when they load. */
export function missingFor(
  engine: string,
  device: string | undefined,
  resolve: Resolve = require.resolve,
): Refusal | undefined {
  const needed = Object.hasOwn(NEEDED_BY, engine) ? NEEDED_BY[engine]!(device) : [];
  const missing = needed.filter((name) => !isInstalled(name, resolve));
  if (missing.length === 0) return undefined;
  const verb = missing.length === 1 ? 'is' : 'are';
  return { reason: `${missing.join(' and ')} ${verb} not installed`, cure: installCommand(...missing) };
}

/** Throws {@link MissingPackageError} where packages of an engine are not installed. */
export function demandPackages(engine: string, device: string | undefined, resolve?: Resolve): void {
  const missing = missingFor(engine, device, resolve);
  if (!missing) return;
  throw new MissingPackageError(
    `--engine ${engine}: ${missing.reason}; run ${missing.cure}, or choose another --engine`,
  );
}

/** In the versions that this program was tested with. */
export function installCommand(...names: readonly string[]): string {
  const versions = testedVersions();
  return `npm install ${names.map((name) => (versions[name] ? `${name}@${versions[name]}` : name)).join(' ')}`;
}

/** The version of TensorFlow.js; its packages all have the same. */
export function tensorflowVersion(): string {
  return testedVersions()[WASM]!;
}

/** Whether `error` says that the package itself is missing; a module missing within it has the same code. */
export function isNotInstalled(error: unknown, name: string): boolean {
  if (!(error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND')) return false;
  return (
    error.message.startsWith(`Cannot find module '${name}'`) ||
    error.message.startsWith(`Cannot find module '${name}/package.json'`)
  );
}

function isInstalled(name: string, resolve: Resolve): boolean {
  try {
    resolve(name);
    return true;
  } catch (error) {
    return !isNotInstalled(error, name);
  }
}

/**
 * From the package.json above this file, in the sources or in dist/: the lowest version of each peer's range is the one
 * that was tested. That of TensorFlow.js follows from its backend's, for `peerDependencies` must not name it: npm, where it
 * leaves out `@tensorflow/tfjs-node-gpu`, would keep the 280 MB of TensorFlow.js as a peer of this package.
 */
function testedVersions(): Readonly<Record<string, string>> {
  for (const up of ['../..', '../../..']) {
    try {
      const text = readFileSync(new URL(`${up}/package.json`, import.meta.url), 'utf8');
      const { peerDependencies } = JSON.parse(text) as { peerDependencies: Record<string, string> };
      const versions = Object.entries(peerDependencies).map(([name, range]) => [name, range.replace(/^\^/, '')]);
      const tested = Object.fromEntries(versions) as Record<string, string>;
      return { ...tested, [TENSORFLOW]: tested[WASM]! };
    } catch {
      // Not at this level: the next one up.
    }
  }
  return {};
}

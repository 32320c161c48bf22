/**
 * The devices of the tfjs engine and the packages behind them. Loads nothing: whether a package is installed is known
 * without the second that loading TensorFlow.js takes.
 */
import { createRequire } from 'node:module';
import { ConfigError } from '../../../protocol/errors.ts';
import { demandPackages, isNotInstalled, tensorflowVersion } from '../optional-packages.ts';
import type { Refusal } from '../optional-packages.ts';

export interface NativePackage {
  readonly name: string;
  /** Whether it must find a GPU, or must not. */
  readonly needsGpu: boolean;
}

export interface TfjsDevice {
  /** TensorFlow.js's name for what computes. */
  readonly backend: 'tensorflow' | 'wasm' | 'cpu';
  /** What brings the backend, where TensorFlow.js does not. */
  readonly native?: NativePackage;
}

/** The devices that `--device` can name for this engine, in the order in which they are tried when it names none. */
export const DEVICES = {
  'tensorflow-gpu': { backend: 'tensorflow', native: { name: '@tensorflow/tfjs-node-gpu', needsGpu: true } },
  tensorflow: { backend: 'tensorflow', native: { name: '@tensorflow/tfjs-node', needsGpu: false } },
  wasm: { backend: 'wasm' },
  cpu: { backend: 'cpu' },
} as const satisfies Record<string, TfjsDevice>;

export type TfjsDeviceName = keyof typeof DEVICES;

export const DEVICE_NAMES = Object.keys(DEVICES) as TfjsDeviceName[];

const NATIVE_DEVICES = DEVICE_NAMES.filter((name) => 'native' in DEVICES[name]);

const require = createRequire(import.meta.url);

/** tfjs-node and tfjs-node-gpu must be of the version of the TensorFlow.js that they plug into. */
export function installCommand({ name }: NativePackage): string {
  return `npm install ${name}@${tensorflowVersion()}`;
}

/** npm 12 runs an install script only after it has been approved; npm 11 does so anyway, and knows the command. */
export function rebuildCommands({ name }: NativePackage): string {
  return `npm install-scripts approve ${name} and npm rebuild ${name}`;
}

export function notInstalled(native: NativePackage): Refusal {
  // Only that for GPUs is an optional dependency of this program, which npm tries to install.
  const why = native.needsGpu ? ' (where it cannot, npm leaves this optional package out, without an error)' : '';
  return {
    reason: 'it is not installed',
    cure:
      `run ${installCommand(native)} where storage.googleapis.com can be reached${why}, ` +
      `and with npm 12 after it ${rebuildCommands(native)}`,
  };
}

/**
 * Throws `ConfigError` for a device that the engine does not know, and where a package that it needs is not installed.
 * Undefined stands for the first device that can be had: one whose native package is installed, or else wasm, which has a
 * package too. The plain cpu is too slow to be taken because another package is missing.
 */
export function checkDevice(device: string | undefined): void {
  if (device !== undefined && !Object.hasOwn(DEVICES, device)) {
    throw new ConfigError(`--device ${device}: the tfjs engine runs on ${DEVICE_NAMES.join(', ')}; choose one of them`);
  }
  // A native package brings TensorFlow.js along.
  const { native }: TfjsDevice = DEVICES[(device ?? 'wasm') as TfjsDeviceName];
  if (native && missingPackage(device!)) {
    const { reason, cure } = notInstalled(native);
    throw new ConfigError(
      `--engine tfjs: ${native.name} cannot be used: ${reason}; ${cure}, or choose another --device`,
    );
  }
  demandPackages('tfjs', device ?? NATIVE_DEVICES.find((name) => !missingPackage(name)));
}

/**
 * That the package behind `device` is not installed; undefined when it is, or when none is needed. `resolve` finds a
 * package's file or throws what Node throws.
 */
export function missingPackage(
  device: string,
  resolve: (packageName: string) => unknown = require.resolve,
): Refusal | undefined {
  const { native }: Partial<TfjsDevice> = Object.hasOwn(DEVICES, device) ? DEVICES[device as TfjsDeviceName] : {};
  if (!native) return undefined;
  try {
    resolve(native.name);
    return undefined;
  } catch (error) {
    // What else may be wrong with it shows when it is loaded.
    if (!isNotInstalled(error, native.name)) return undefined;
    return { ...notInstalled(native), reason: `${native.name} is not installed` };
  }
}

/**
 * What can be told of this machine's GPUs before anything is loaded: device nodes and Vulkan's list of drivers. It finds
 * out why a GPU cannot be there; only a start tells whether one that may be there works.
 *
 * ONNX Runtime's WebGPU provider takes an adapter from Vulkan on Linux, Metal on macOS, Direct3D 12 on Windows, and does
 * not say which. The last two are part of the system, so there a GPU is taken to be present.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { homeFolder } from '../../../protocol/home-folder.ts';

/** What is looked at outside of the process; tests bring their own. */
export interface AdapterHost {
  readonly platform: NodeJS.Platform;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Undefined for a user who has none. */
  readonly homeDirectory: string | undefined;
  /** Names in a directory; none where there is no such directory. */
  readonly list: (directory: string) => readonly string[];
  readonly exists: (path: string) => boolean;
}

export const ADAPTER_HOST: AdapterHost = {
  platform: process.platform,
  environment: process.env,
  homeDirectory: homeFolder(),
  list(directory) {
    try {
      return readdirSync(directory);
    } catch {
      return [];
    }
  },
  exists: existsSync,
};

/** Files of Vulkan drivers that compute on the CPU: SwiftShader, and Mesa's llvmpipe by its Vulkan name. */
const SOFTWARE_DRIVER = /swiftshader|lvp_icd|lavapipe|llvmpipe/i;

/** Why no hardware adapter can be had for `webgpu`; undefined where one may be there. Starts nothing. */
export function hardwareGpuReason(host: AdapterHost = ADAPTER_HOST): string | undefined {
  if (host.platform !== 'linux') return undefined;
  if (!hasGpuNode(host)) return 'no GPU device node (/dev/dri/renderD*, /dev/nvidia*, /dev/dxg)';
  const noDriver = vulkanDriverReason(host);
  if (noDriver !== undefined) return noDriver;
  if (!isSoftwareOnly(host)) return undefined;
  const names = vulkanDrivers(host).map((path) => basename(path));
  return `Vulkan has software drivers only (${names.join(', ')})`;
}

/** Why Vulkan has no driver, hardware or software; undefined where it has one, or is not what is used. */
export function vulkanDriverReason(host: AdapterHost = ADAPTER_HOST): string | undefined {
  if (host.platform !== 'linux' || vulkanDrivers(host).length > 0) return undefined;
  const forced = forcedDrivers(host.environment);
  if (forced) return `no Vulkan driver at ${forced.variable}=${forced.value}`;
  return 'no Vulkan driver is installed (no file in /usr/share/vulkan/icd.d, /etc/vulkan/icd.d, ...)';
}

/** Whether all that Vulkan can offer is drivers that compute on the CPU. */
export function isSoftwareOnly(host: AdapterHost = ADAPTER_HOST): boolean {
  const drivers = host.platform === 'linux' ? vulkanDrivers(host) : [];
  return drivers.length > 0 && drivers.every((path) => SOFTWARE_DRIVER.test(basename(path)));
}

/** Whether the system shows an NVIDIA GPU to this process; CUDA needs it. */
export function hasNvidiaNode({ list, exists }: AdapterHost = ADAPTER_HOST): boolean {
  return list('/dev').some((name) => /^nvidia\d+$/.test(name)) || exists('/dev/dxg');
}

function hasGpuNode(host: AdapterHost): boolean {
  return hasNvidiaNode(host) || host.list('/dev/dri').some((name) => name.startsWith('renderD'));
}

/**
 * The files (JSON manifests) of the drivers that the Vulkan loader would look at: those that the environment names, or
 * all in its directories. Source: "Driver Discovery" of the loader's documentation,
 * https://github.com/KhronosGroup/Vulkan-Loader/blob/main/docs/LoaderDriverInterface.md
 */
function vulkanDrivers(host: AdapterHost): string[] {
  const { environment, homeDirectory } = host;
  const atHome = (folder: string) => (homeDirectory === undefined ? '' : join(homeDirectory, folder));
  const forced = forcedDrivers(environment);
  if (forced) return manifestsAt(splitPaths(forced.value), host);
  const bases = [
    ...splitPaths(environment['XDG_CONFIG_HOME'] ?? atHome('.config')),
    ...splitPaths(environment['XDG_CONFIG_DIRS'] ?? '/etc/xdg'),
    '/usr/local/etc',
    '/etc',
    ...splitPaths(environment['XDG_DATA_HOME'] ?? atHome('.local/share')),
    ...splitPaths(environment['XDG_DATA_DIRS'] ?? '/usr/local/share:/usr/share'),
  ];
  const directories = [...new Set(bases)].map((base) => join(base, 'vulkan/icd.d'));
  return manifestsAt([...splitPaths(environment['VK_ADD_DRIVER_FILES'] ?? ''), ...directories], host);
}

function forcedDrivers(environment: AdapterHost['environment']): { variable: string; value: string } | undefined {
  for (const variable of ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES']) {
    const value = environment[variable];
    if (value) return { variable, value };
  }
  return undefined;
}

function manifestsAt(paths: readonly string[], { list, exists }: AdapterHost): string[] {
  return paths.flatMap((path) => {
    if (path.endsWith('.json')) return exists(path) ? [path] : [];
    return list(path)
      .filter((name) => name.endsWith('.json'))
      .map((name) => join(path, name));
  });
}

function splitPaths(list: string): string[] {
  return list.split(':').filter((path) => path !== '');
}

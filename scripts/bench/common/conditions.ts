/** What a result holds for: the machine, the versions, the date, and how busy the machine was. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, cpus, loadavg, platform, totalmem } from 'node:os';
import { NATIVE_OUTPUT, readBuildReport } from '../../../worker/engines/native/build-output.ts';
import { packageVersion } from '../../process.ts';
import { countOf } from '../../../protocol/counts.ts';

export interface Conditions {
  readonly date: string;
  readonly cpu: string;
  readonly numCores: number;
  readonly memoryGiB: number;
  readonly platform: string;
  readonly versions: {
    readonly gradsock: string;
    readonly node: string;
    readonly onnxruntime: string;
    /** Of the native engine's kernels; absent where they are not built. */
    readonly compiler?: string;
  };
  /** Processes that were running or ready, over the last minute, before the measurements. */
  readonly loadAverage: number;
}

export function readConditions(): Conditions {
  const processors = cpus();
  const compiler = readBuildReport(NATIVE_OUTPUT)?.compiler;
  return {
    date: new Date().toISOString(),
    cpu: processors[0]?.model.trim() ?? 'unknown',
    numCores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()} ${arch()}`,
    versions: {
      gradsock: packageVersion(),
      node: process.version,
      onnxruntime: versionOf('onnxruntime-node'),
      ...(compiler !== undefined && { compiler }),
    },
    loadAverage: currentLoad(),
  };
}

/** For people, two lines: the machine, and the versions of what ran on it. */
export function describeMachine({ cpu, numCores, memoryGiB, platform, versions }: Conditions): string[] {
  const { gradsock, node, onnxruntime, compiler } = versions;
  return [
    `${cpu}, ${countOf(numCores, 'core')}, ${memoryGiB} GiB, ${platform}`,
    `gradsock ${gradsock}, Node ${node}, ONNX Runtime ${onnxruntime}` +
      (compiler === undefined ? '' : `, kernels by ${compiler}`),
  ];
}

export function currentLoad(): number {
  return loadavg()[0]!;
}

/** Read, not imported: the library itself belongs to its engine. */
function versionOf(packageName: string): string {
  const path = createRequire(import.meta.url).resolve(`${packageName}/package.json`);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

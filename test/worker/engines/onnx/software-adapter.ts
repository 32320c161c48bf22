/**
 * A software GPU adapter for tests of `webgpu`: SwiftShader, a Vulkan driver that computes on the CPU, as Debian's
 * package chromium-common brings it; and the Vulkan loader, Debian's libvulkan1.
 */
import { existsSync } from 'node:fs';
import { hardwareGpuReason } from '../../../../worker/engines/onnx/adapters.ts';

const DRIVER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const LOADERS = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'].map(
  (directory) => `${directory}/libvulkan.so.1`,
);

/**
 * Makes SwiftShader this process's Vulkan driver, unless there is a GPU or the environment names another driver: the
 * loader reads the variable when the first session starts. Returns what is missing for `webgpu` to start, or undefined.
 */
export function useSoftwareAdapter(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  if (!LOADERS.some((path) => existsSync(path))) return 'no Vulkan loader: install libvulkan1';
  if (hardwareGpuReason() === undefined || process.env['VK_ICD_FILENAMES']) return undefined;
  if (!existsSync(DRIVER)) return `no Vulkan driver, not even ${DRIVER}: install chromium-common`;
  process.env['VK_ICD_FILENAMES'] = DRIVER;
  return undefined;
}

import { describe, expect, it } from 'vitest';
import { hardwareGpuReason, isSoftwareOnly, vulkanDriverReason } from '../../../../worker/engines/onnx/adapters.ts';
import { machineWith } from './machines.ts';

const RENDER_NODE = '/dev/dri/renderD128';
const RADEON = '/usr/share/vulkan/icd.d/radeon_icd.x86_64.json';
const LAVAPIPE = '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json';
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

describe('hardwareGpuReason', () => {
  it.each([RENDER_NODE, '/dev/nvidia0', '/dev/dxg'])('finds none where there is %s and a driver', (node) => {
    expect(hardwareGpuReason(machineWith([node, RADEON]))).toBeUndefined();
  });

  it('names the nodes that it looked for', () => {
    const reason = 'no GPU device node (/dev/dri/renderD*, /dev/nvidia*, /dev/dxg)';
    expect(hardwareGpuReason(machineWith([]))).toBe(reason);
    // A display without a GPU behind it; the mark of a kernel module without one.
    expect(hardwareGpuReason(machineWith(['/dev/dri/card0', '/dev/nvidiactl', RADEON]))).toBe(reason);
  });

  it('a GPU without a Vulkan driver is none', () => {
    expect(hardwareGpuReason(machineWith([RENDER_NODE]))).toMatch(/^no Vulkan driver is installed/);
  });

  it('software drivers are not hardware, and one driver beside them is', () => {
    expect(hardwareGpuReason(machineWith([RENDER_NODE, LAVAPIPE]))).toBe(
      'Vulkan has software drivers only (lvp_icd.x86_64.json)',
    );
    expect(hardwareGpuReason(machineWith([RENDER_NODE, LAVAPIPE, RADEON]))).toBeUndefined();
  });

  it.each(['VK_ICD_FILENAMES', 'VK_DRIVER_FILES'])('%s decides, whatever else is installed', (variable) => {
    const files = [RENDER_NODE, RADEON, SWIFTSHADER];
    expect(hardwareGpuReason(machineWith(files, { [variable]: SWIFTSHADER }))).toBe(
      'Vulkan has software drivers only (vk_swiftshader_icd.json)',
    );
    expect(hardwareGpuReason(machineWith(files, { [variable]: `${SWIFTSHADER}:${RADEON}` }))).toBeUndefined();
    expect(hardwareGpuReason(machineWith(files, { [variable]: '/gone.json' }))).toBe(
      `no Vulkan driver at ${variable}=/gone.json`,
    );
  });

  it.each(['darwin', 'win32'] as const)('on %s the system brings the driver', (platform) => {
    expect(hardwareGpuReason({ ...machineWith([]), platform })).toBeUndefined();
    expect(isSoftwareOnly({ ...machineWith([]), platform })).toBe(false);
  });
});

describe('vulkanDriverReason', () => {
  it.each([
    ['/home/user/.local/share/vulkan/icd.d/a.json', {}],
    ['/etc/vulkan/icd.d/a.json', {}],
    ['/opt/share/vulkan/icd.d/a.json', { XDG_DATA_DIRS: '/opt/share:/usr/share' }],
    ['/added/a.json', { VK_ADD_DRIVER_FILES: '/added/a.json' }],
    ['/directory/a.json', { VK_DRIVER_FILES: '/directory' }],
  ])('finds a driver at %s', (file, environment) => {
    expect(vulkanDriverReason(machineWith([file], environment))).toBeUndefined();
  });

  it('a file of another kind is no driver', () => {
    expect(vulkanDriverReason(machineWith(['/etc/vulkan/icd.d/README']))).toMatch(/^no Vulkan driver/);
  });
});

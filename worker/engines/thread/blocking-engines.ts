/**
 * The engines that block the thread they compute on until the device is done, so they live in a thread of their own.
 * The native engine is not among them: it leaves the event loop by itself.
 */
import type { EngineFactory } from './serve.ts';

export const BLOCKING_ENGINES = {
  onnx: async (options) => (await import('../onnx/onnx-engine.ts')).createOnnxEngine(options),
  tfjs: async (options) => (await import('../tfjs/tfjs-engine.ts')).createTfjsEngine(options),
  reference: async (options) => (await import('../reference/reference-engine.ts')).createReferenceEngine(options),
} satisfies Record<string, EngineFactory>;

export type BlockingEngineName = keyof typeof BLOCKING_ENGINES;

/** The formats that a model can be exported in. To add one: a file that makes an `ExportFormat`, and a line here. */
import type { ExportFormat } from './format.ts';
import { onnx } from './onnx.ts';
import { pytorch } from './pytorch.ts';
import { safetensors } from './safetensors.ts';
import { tfjs } from './tfjs.ts';

export const FORMATS = { onnx, tfjs, pytorch, safetensors } satisfies Record<string, ExportFormat>;

export type FormatName = keyof typeof FORMATS;

export const FORMAT_NAMES = Object.keys(FORMATS) as FormatName[];

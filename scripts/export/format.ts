/** Formats: what a model can be written as. One file each, and a line in `formats.ts`. */
import type { ExportedModel } from './exported-model.ts';

export interface ExportFile {
  /** Within the export's folder. */
  readonly name: string;
  readonly content: Uint8Array | string;
  /** For the model card. */
  readonly about: string;
}

export interface ExportFormat {
  /** As the format is called in a sentence. */
  readonly title: string;
  /** Whether `--input` decides what the model takes. */
  readonly hasInputChoice: boolean;
  /** The files, beside the card. Throws `ConfigError` for a model that the format cannot hold. */
  readonly files: (exported: ExportedModel) => readonly ExportFile[];
  /** For the card, in Markdown: what goes in and what comes out. */
  readonly convention: (exported: ExportedModel) => string;
  /** For the card, in Markdown: code that loads the model and predicts. It runs in the export's folder. */
  readonly usage: (exported: ExportedModel) => string;
  /** For the terminal: how the model is loaded, in a line. */
  readonly loading: string;
}

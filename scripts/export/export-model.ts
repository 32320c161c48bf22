/** One export: the files of a format and the model card, written into a folder. */
import { modelCard } from './card.ts';
import { factsOf } from './exported-model.ts';
import type { ExportedModel } from './exported-model.ts';
import type { ExportFormat } from './format.ts';
import { FORMATS } from './formats.ts';
import type { FormatName } from './formats.ts';
import { writeExport } from './write-export.ts';
import type { WrittenFile } from './write-export.ts';

/** Returns the files. Throws `ConfigError` for a model that the format cannot hold, and as {@link writeExport} does. */
export async function exportModel(
  exported: ExportedModel,
  name: FormatName,
  folder: string,
): Promise<readonly WrittenFile[]> {
  const format: ExportFormat = FORMATS[name];
  const files = format.files(exported);
  const card = { name: 'README.md', content: modelCard(exported, format, files) };
  return writeExport(folder, { format: name, facts: factsOf(exported), files: [...files, card] });
}

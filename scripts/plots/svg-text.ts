/** What pictures that are written as SVG text share: their font, and text that cannot be taken for markup. */

/** The first that a system has. */
export const FONTS = 'DejaVu Sans, Liberation Sans, Helvetica, Arial, sans-serif';

export function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Text for a column: cut, with "..." at its end, where it is longer than `most` characters. */
export function shorten(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 3)}...`;
}

/** Of the name of a class: with the numbers beside it a line has at most 80 characters. */
export const CLASS_NAME_WIDTH = 36;

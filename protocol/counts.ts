/** How a number of things is written, in one place: "1 epoch", "2 epochs". */
export function countOf(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}

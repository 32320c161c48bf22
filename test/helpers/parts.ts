/** The seven parts of a record's time, in the unit of their names: `computePartSeconds` and so on, or `computePartMs`. */
export const partsOf = (record: object): number[] =>
  Object.entries(record).flatMap(([name, value]: [string, unknown]) => {
    return /Part(Seconds|Ms)$/.test(name) ? [value as number] : [];
  });

/** Their sum. */
export const sumOfParts = (record: object): number => partsOf(record).reduce((a, b) => a + b, 0);

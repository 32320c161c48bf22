/** Help on narrow terminals: where a description has no room beside its flag, it stands below it. */
import type { Command, Help } from 'commander';

/** Columns that a description needs beside its flag. */
const LEAST_WIDTH = 30;
const INDENT = '      ';

/** Has every command below `program` lay out its help so. */
export function fitHelp(program: Command): void {
  program.configureHelp({
    minWidthToWrap: 20,
    formatItem(this: Help, term, termWidth, description, helper) {
      const width = helper.helpWidth ?? 80;
      const hasRoom = width - termWidth - 4 >= LEAST_WIDTH;
      // Commander's own layout, which the prototype keeps.
      const original = Object.getPrototypeOf(helper) as Help;
      if (hasRoom || description === '') return original.formatItem.call(this, term, termWidth, description, helper);
      const below = helper.boxWrap(description, width - INDENT.length);
      return `  ${term}\n${INDENT}${below.replaceAll('\n', `\n${INDENT}`)}`;
    },
  });
  for (const command of program.commands) fitHelp(command);
}

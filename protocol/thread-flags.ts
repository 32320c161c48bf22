/** The flags of Node.js that threads of this process inherit. */

/**
 * For the options of a thread that runs a file: none where one of this process's flags, `--input-type`, is for text alone,
 * and Node.js would refuse the file. Elsewhere they are inherited.
 */
export function threadFlags(): { readonly execArgv?: string[] } {
  return process.execArgv.some((flag) => flag.startsWith('--input-type')) ? { execArgv: [] } : {};
}

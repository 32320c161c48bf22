/**
 * In every process of the tests: the program lets go of its IPC channel, which must not keep it alive. Here that is the
 * channel by which vitest hands out test files and modules, and a process without it ends while there are more of them.
 */
if (process.channel) process.channel.unref = () => {};

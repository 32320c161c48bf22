/** Tests that need network namespaces: why they cannot be had here, and what a test of them left behind. */
import { expect } from 'vitest';
import { leftoverNamespaces, listNamespaces, namespacesProblem } from '../../scripts/network/namespaces.ts';

const problem = namespacesProblem();
if (problem !== undefined) process.stderr.write(`skipped: tests in network namespaces: ${problem}\n`);

/** Whether this machine has none. A line on stderr says why. */
export const hasNoNamespaces = problem !== undefined;

/** Fails where a process of this id left a namespace, or any killed process of the program did. */
export function expectNoNamespacesOf(pid: number): void {
  expect(listNamespaces().filter((name) => name.startsWith(`gradsock-${pid}-`))).toEqual([]);
  expect(leftoverNamespaces()).toEqual([]);
}

import { defineConfig } from 'tsup';

/**
 * One build for every package: ESM and declarations for Node, dependencies left to npm.
 *
 * @param {Record<string, string>} entry output name → source file
 * @param {import('tsup').Options} [options] what differs
 */
export const library = (entry, options = {}) =>
  defineConfig({
    entry,
    format: 'esm',
    target: 'node22',
    platform: 'node',
    dts: true,
    clean: true,
    sourcemap: true,
    ...options,
  });

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

/**
 * Programs that are started often, several at once: bundled into single files, they start twice as fast.
 *
 * @param {Record<string, string>} entry output name → source file
 * @param {import('tsup').Options} [options] what differs
 */
export const program = (entry, options = {}) =>
  library(entry, {
    dts: false,
    clean: false,
    sourcemap: false,
    splitting: false,
    // What is bundled may call `require`, which modules do not have.
    banner: {
      js: "import { createRequire as bundledRequire } from 'node:module'; const require = bundledRequire(import.meta.url);",
    },
    ...options,
  });

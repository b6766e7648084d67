import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['packages/*/{src,test}/**/*.test.ts', 'apps/*/{src,test}/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 60_000, // tests start real machines, at times on a box that is busy with others
    hookTimeout: 30_000,
    retry: 0,
    // What ran, for the page of what the predecessors could: scripts/check-parity.mjs reads it after `npm test`.
    reporters: ['default', ['json', { outputFile: 'node_modules/.cache/mgpu/tests.json' }]],
    maxWorkers: 3, // the tests wait more than they compute, so a box of two cores has room for a third
    // What is polled for comes when it comes: on a loaded machine not within the second that is the default.
    expect: { poll: { timeout: 25_000 } },
  },
});

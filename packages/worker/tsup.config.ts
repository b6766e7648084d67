import { library } from '@mgpu/build';
import { defineConfig } from 'tsup';

// Eight hosts start at once on a machine with eight GPUs: one file without what it does not use starts twice as fast.
const host = defineConfig({
  entry: { host: 'src/host.ts' },
  format: 'esm',
  target: 'node22',
  platform: 'node',
  noExternal: [/.*/],
  splitting: false,
  esbuildOptions: (options) => {
    options.mainFields = ['module', 'main'];
  },
  minify: true,
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});

export default [library({ index: 'src/index.ts' }), host];

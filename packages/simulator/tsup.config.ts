import { library } from '@mgpu/build';

// The two programs are started many times, often eight at once: bundled, they reach their socket in half the CPU time.
// Only sharp, which is native and rarely needed, stays outside.
const programs = library(
  { comfyui: 'src/comfyui/cli.ts', 'nvidia-smi': 'src/nvidia-smi/cli.ts' },
  {
    noExternal: ['ws', 'zod', 'fast-png', 'yaml'],
    external: ['sharp'],
    dts: false,
    clean: false,
    sourcemap: false,
    splitting: false,
    banner: {
      js: "import { createRequire as bundledRequire } from 'node:module'; const require = bundledRequire(import.meta.url);",
    },
  },
);

export default [library({ index: 'src/index.ts' }, { clean: false }), programs];

import { library, program } from '@mgpu/build';

// Only sharp, which is native and rarely needed, stays outside.
const programs = program(
  {
    a1111: 'src/a1111/cli.ts',
    comfyui: 'src/comfyui/cli.ts',
    'nvidia-smi': 'src/nvidia-smi/cli.ts',
    ollama: 'src/ollama/cli.ts',
  },
  { noExternal: ['ws', 'zod', 'fast-png', 'yaml'], external: ['sharp'] },
);
export default [library({ index: 'src/index.ts' }, { clean: false }), programs];

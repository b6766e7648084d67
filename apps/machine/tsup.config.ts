import { leaveOutUnused, library, program } from '@mgpu/build';

export default [
  library({ index: 'src/index.ts', program: 'src/program.ts' }, { clean: false, external: ['#ask'] }),
  program({ ask: 'src/ask.ts' }, { noExternal: [/.*/], minify: true, esbuildPlugins: [leaveOutUnused] }),
];

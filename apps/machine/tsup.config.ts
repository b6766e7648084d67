import { library, program } from '@mgpu/build';

const source = (path: string) => new URL(`../../packages/${path}/index.ts`, import.meta.url).pathname;
/** From the sources, file by file, what is not used is left out, with everything that it would have imported. */
const esbuildOptions = (options: { alias?: Record<string, string> }) => {
  options.alias = {
    '@mgpu/core': source('core/src'),
    '@mgpu/core/git': source('core/src/git'),
    '@mgpu/core/http-client': source('core/src/http-client'),
    '@mgpu/core/jobs': source('core/src/jobs'),
    '@mgpu/core/python': source('core/src/python'),
    '@mgpu/control': source('control/src'),
  };
};

export default [
  library({ index: 'src/index.ts', program: 'src/program.ts' }, { clean: false, external: ['#ask'] }),
  program({ ask: 'src/ask.ts' }, { noExternal: [/.*/], minify: true, esbuildOptions }),
];

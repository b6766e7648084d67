import { library, program } from '@mgpu/build';

// The module builds of dependencies, so that what is not used is left out.
const esbuildOptions = (options: { mainFields?: string[] }) => {
  options.mainFields = ['module', 'main'];
};
const host = program({ host: 'src/host.ts' }, { noExternal: [/.*/], minify: true, esbuildOptions });

export default [library({ index: 'src/index.ts' }, { clean: false }), host];

import { library } from '@mgpu/build';

export default library({
  index: 'src/index.ts',
  git: 'src/git/index.ts',
  'http-client': 'src/http-client/index.ts',
  jobs: 'src/jobs/index.ts',
  python: 'src/python/index.ts',
  testing: 'src/testing/index.ts',
});

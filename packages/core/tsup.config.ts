import { library } from '@mgpu/build';

export default library({ index: 'src/index.ts', jobs: 'src/jobs/index.ts', testing: 'src/testing/index.ts' });

import { library } from '@mgpu/build';

export default library({ index: 'src/index.ts', connector: 'src/connector.ts' });

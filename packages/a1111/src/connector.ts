import type { ConnectorFactory } from '@mgpu/core/jobs';
import { A1111Connector } from './connector/a1111-connector.ts';

/** Drives Automatic1111 for jobs of type `a1111`. */
const connectA1111: ConnectorFactory = (options) => new A1111Connector(options);
export default connectA1111;

import type { ConnectorFactory } from '@mgpu/core/jobs';
import { ComfyUIConnector } from './connector/comfyui-connector.ts';

/** Drives ComfyUI for jobs of type `comfyui`. */
const connectComfyUI: ConnectorFactory = (options) => new ComfyUIConnector(options);
export default connectComfyUI;

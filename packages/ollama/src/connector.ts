import type { ConnectorFactory } from '@mgpu/core/jobs';
import { OllamaConnector } from './connector/ollama-connector.ts';

/** Drives Ollama for jobs of type `ollama`. */
const connectOllama: ConnectorFactory = (options) => new OllamaConnector(options);
export default connectOllama;

// What clients of engines speak HTTP with, apart from everything else: its library is large.
export type { Dispatcher } from 'undici';
export { withoutCredentials } from './credentials.ts';
export {
  type HttpAnswer,
  type HttpFailure,
  type HttpRequest,
  type HttpTarget,
  HttpTransport,
  type HttpTransportOptions,
  type StreamedHttpAnswer,
  wasNotHeard,
} from './http-transport.ts';
export { parseJson, readJson, readValue } from './read-json.ts';
export { undici } from './undici.ts';

// What the service loads when there is something to bring.
export { ModelStore } from './store.ts';
export { makeTestCopy } from './sync/test-copy.ts';

export { leasePorts, type PortLease } from '../process/port-lease.ts';
export { type ConformanceOptions, serviceConformance } from './conformance.ts';
export { type FakeClock, fakeClock } from './fake-clock.ts';
export { commitFiles, type TestPackage, torchWheels, writeWheels } from './python-and-git.ts';
export { type Recorder, record } from './recorder.ts';
export { temporaryFolder } from './temporary-folder.ts';
export { type TestContextOptions, testContext } from './test-context.ts';
export { type StoredFile, type TestIo, testIo } from './test-io.ts';

// test-faults.mjs [--long] [--minutes <n>] [--seed <n>] [vitest's own arguments]: the fault suite alone.
// --long tries every scenario, and everything at once for so many minutes (10).
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  options: { long: { type: 'boolean' }, minutes: { type: 'string' }, seed: { type: 'string' } },
  allowPositionals: true,
});
const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}: npm run test:faults -- --seed ${seed}${values.long ? ' --long' : ''}`);
const env = {
  ...process.env,
  MGPU_FAULTS_SEED: seed,
  ...(values.long ? { MGPU_FAULTS: 'long' } : {}),
  ...(values.minutes === undefined ? {} : { MGPU_FAULTS_MINUTES: values.minutes }),
};
// Each scenario is a machine of its own: more than two at once would be a fault of another kind.
const args = ['run', '--maxWorkers=2', 'apps/machine/test/faults', ...positionals];
const { status } = spawnSync('vitest', args, { stdio: 'inherit', env });
process.exitCode = status ?? 1;

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { JobHandoverError, MgpuError } from '@mgpu/core';
import { leasePorts, temporaryFolder, testIo } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { A1111Client } from '../src/client/a1111-client.ts';
import { between } from './between.ts';
import { connect, job, quick, type SimulatedEngine, simulator, slow, startEngine } from './support.ts';

const cancelled = () => new MgpuError('cancelled by the test', { code: 'TEST_CANCELLED' });
const submission = 'POST /sdapi/v1/txt2img';

async function killed({ service }: SimulatedEngine): Promise<void> {
  const exit = new Promise((resolve) => service.on('exit', resolve));
  process.kill(service.pid ?? 0, 'SIGKILL');
  await exit;
  await expect.poll(() => service.status.state).toBe('failed');
}

test('killed in the middle of a job and started again, it does the job', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine.url);
  const io = testIo();
  const running = connector.run(job({ txt2img: quick({ seed: 9, steps: 150 }) }), io);
  await io.until(() => true);
  await killed(engine);
  await engine.service.start();
  await running;
  expect(io.stored.map(({ origin }) => origin?.seed)).toEqual(['9']);
  const told = io.checkpoints.map(({ deaths, timestamp }) => [deaths, timestamp !== null]);
  expect(told).toEqual([
    [0, false],
    [0, true],
    [1, false],
    [1, true],
  ]);
  const percents = io.reports.map(({ percent }) => percent);
  expect(percents).toEqual(percents.toSorted((a, b) => a - b));
});

test('a job that kills its engine is not given to it for ever', async () => {
  await using engine = await startEngine({
    sim: { stepMs: 5, faults: { dieMidJob: { match: 'poison', exitCode: 134 } } },
  });
  await using connector = connect(engine.url);
  const running = connector.run(job({ txt2img: quick({ prompt: 'poison' }) }), testIo());
  const told = expect(running).rejects.toMatchObject({ code: 'A1111_JOB_KILLS_ENGINE', details: { deaths: 2 } });
  for (let death = 1; death <= 2; death++) {
    await expect.poll(() => engine.service.status.state).toBe('failed');
    await engine.service.start();
  }
  await told;
});

test('deaths that an earlier worker counted are remembered', async () => {
  await using engine = await startEngine({ sim: { faults: { dieMidJob: { match: 'poison' } } } });
  await using connector = connect(engine.url);
  const resumed = { v: 1, deaths: 1, timestamp: null };
  const running = connector.run(job({ txt2img: quick({ prompt: 'poison' }) }, { resumed }), testIo());
  const told = expect(running).rejects.toMatchObject({ code: 'A1111_JOB_KILLS_ENGINE' });
  await expect.poll(() => engine.service.status.state).toBe('failed');
  await engine.service.start();
  await told;
});

test('an engine that does not come back is given up', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine.url, { goneMs: 300 });
  const io = testIo();
  const running = connector.run(job({ txt2img: slow() }), io);
  const told = expect(running).rejects.toMatchObject({ code: 'A1111_ENGINE_LOST', details: { fault: 'engine-fault' } });
  await io.until(() => true);
  await killed(engine);
  await told;
});

test('what the engine failed with says who is to blame', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine.url);
  const failing = async (faults: Parameters<SimulatedEngine['faults']>[0]) => {
    await engine.faults(faults);
    return connector.run(job({ txt2img: quick() }), testIo()).catch((error: MgpuError) => error);
  };
  expect(await failing({ outOfMemory: { atStep: 1 } })).toMatchObject({ code: 'A1111_OUT_OF_MEMORY', retryable: true });
  const poisoned = { message: 'CUDA error: an illegal memory access was encountered' };
  expect(await failing({ raise: { atStep: 1, ...poisoned } })).toMatchObject({
    code: 'A1111_ENGINE_FAULT',
    details: { fault: 'engine-fault' },
  });
  expect(await failing({ raise: { atStep: 1, type: 'ValueError', message: 'no' } })).toMatchObject({
    code: 'A1111_FAILED',
    message: expect.stringContaining('failed with ValueError: no'),
    retryable: false,
  });
  expect(await failing({})).toMatchObject({ output: { seeds: [expect.any(Number)] } });
});

test('an engine that answers with nonsense is asked a few times, not for ever', async () => {
  await using engine = await startEngine();
  await engine.faults({ garbageJson: { paths: ['/sdapi/v1/txt2img'] } });
  await using proxy = await between(engine.url);
  await using connector = connect(proxy.url, { maxSubmissions: 3 });
  await expect(connector.run(job({ txt2img: quick() }), testIo())).rejects.toMatchObject({
    code: 'A1111_BAD_ANSWER',
    retryable: true,
  });
  expect(proxy.asked.filter((each) => each === submission)).toHaveLength(3);
});

test('a line that is cut costs the job a second time, and the first is ended', async () => {
  await using engine = await startEngine();
  await using proxy = await between(engine.url);
  const io = testIo();
  let cuts = 0;
  proxy.judge = async (asked) => {
    if (asked !== submission || cuts++ > 0) return 'pass';
    await io.until(() => true);
    return 'cut';
  };
  await using connector = connect(proxy.url);
  await connector.run(job({ txt2img: quick({ steps: 200 }) }), io);
  expect(io.stored).toHaveLength(1);
  expect(proxy.asked.filter((each) => each === submission)).toHaveLength(2);
  expect(proxy.asked).toContain('POST /sdapi/v1/interrupt');
});

test('what a worker that died has left running is ended before the job is done again', async () => {
  await using engine = await startEngine();
  const left = engine.client.txt2img(slow({ seed: 1 }));
  await expect.poll(async () => (await engine.client.progress()).isBusy).toBe(true);
  const { timestamp } = await engine.client.progress();
  await using connector = connect(engine.url);
  const io = testIo();
  await connector.run(job({ txt2img: quick({ seed: 2 }) }, { resumed: { v: 1, deaths: 0, timestamp } }), io);
  await left; // interrupted, it answers with what it had
  expect(io.stored.map(({ origin }) => origin?.seed)).toEqual(['2']);
});

test('a worker that stops ends its job in the engine: nobody else could have its result', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine.url);
  const io = testIo();
  const running = connector.run(job({ txt2img: slow() }), io);
  await io.until(() => true);
  const stopping = new JobHandoverError({ job: 'a', worker: 'worker_gpu0' });
  io.abort(stopping);
  await expect(running).rejects.toBe(stopping);
  expect((await engine.client.progress()).isBusy).toBe(false);
});

test('cancel interrupts nobody else that runs before the job', async () => {
  await using engine = await startEngine();
  const other = engine.client.txt2img(quick({ seed: 4, steps: 200 }));
  await expect.poll(async () => (await engine.client.progress()).isBusy).toBe(true);
  await using proxy = await between(engine.url);
  await using connector = connect(proxy.url, { cancelMs: 150 });
  const io = testIo();
  const waiting = connector.run(job({ txt2img: quick({ seed: 5 }) }), io);
  await expect.poll(() => proxy.asked).toContain(submission);
  io.abort(cancelled());
  await expect(waiting).rejects.toMatchObject({ code: 'TEST_CANCELLED' });
  expect(proxy.asked).not.toContain('POST /sdapi/v1/interrupt');
  const { info } = await other;
  const last = await engine.client.progress();
  expect(last.interrupted && last.timestamp === info.job_timestamp).toBe(false);
});

test('a job waits for the checkpoint to load, and one without any is told', async () => {
  await using engine = await startEngine({ sim: { stepMs: 0, modelMs: 300 } });
  await using connector = connect(engine.url);
  await connector.run(job({ txt2img: quick() }), testIo());
  await using empty = await startEngine({ sim: { checkpoints: [] } });
  await using other = connect(empty.url);
  await expect(other.run(job({ txt2img: quick() }), testIo())).rejects.toMatchObject({ code: 'A1111_NO_MODEL' });
});

test('ready waits for the engine, and ends with the signal', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine.url);
  await connector.ready(new AbortController().signal);
  await engine.service.stop();
  const off = new AbortController();
  const ready = connector.ready(off.signal);
  off.abort(cancelled());
  await expect(ready).rejects.toMatchObject({ code: 'TEST_CANCELLED' });
});

test('an engine with a password takes it from the address', async () => {
  using folder = temporaryFolder();
  using lease = await leasePorts(1);
  const [program = '', ...first] = simulator;
  const words = ['--nowebui', '--port', String(lease.first), '--data-dir', folder.path, '--api-auth', 'me:a b'];
  const child = spawn(program, [...first, ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    await once(child.stderr, 'data'); // it listens
    await using stranger = new A1111Client(`http://127.0.0.1:${lease.first}`);
    await expect(stranger.progress()).rejects.toMatchObject({ code: 'A1111_REFUSED', details: { status: 401 } });
    await using client = new A1111Client(`http://me:a%20b@127.0.0.1:${lease.first}`);
    expect(await client.progress()).toMatchObject({ isBusy: false });
    expect(client.url.href).not.toContain('me:');
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

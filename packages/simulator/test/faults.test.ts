import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isPortFree } from '@mgpu/core';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import { comfyuiProgram } from '../src/index.ts';
import { minimal, sampled, single } from './prompts.ts';
import { Comfy, Program, temporaryFolder } from './support.ts';

const fast = { stepMs: 5 };

describe('script', () => {
  it.each([
    ['{"faults":{"hnag":{}}}', 'MGPU_SIM: unknown key faults.hnag'],
    ['{"stepsMs":1,"faults":{}}', 'MGPU_SIM: unknown key stepsMs'],
    ['{"stepMs":"1"}', 'MGPU_SIM: stepMs: '],
    ['{', 'MGPU_SIM: not JSON: '],
    ['{"faults":{"dieAtStart":{"times":1}}}', 'MGPU_SIM: faults.dieAtStart: times and countFile need each other'],
    ['{"faults":{"dieMidJob":{"times":1}}}', 'MGPU_SIM: faults.dieMidJob: times and countFile need each other'],
    ['{"faults":{"hang":{"atStep":0}}}', 'MGPU_SIM: faults.hang.atStep: '],
    ['{"faults":{"raise":{"atNode":0}}}', 'MGPU_SIM: faults.raise.atNode: '],
  ])('refuses %s', async (script, message) => {
    await using program = new Program(process.execPath, [comfyuiProgram()], { env: { MGPU_SIM: script } });
    expect((await program.exit).code).toBe(2);
    expect(program.stderr).toContain(message);
  });

  it('can be read, replaced and refused at run time, from this machine', async () => {
    await using comfy = await Comfy.start({ sim: { faults: { slow: { httpMs: 1 } } } });
    expect(await comfy.get('/sim/faults')).toEqual({ slow: { httpMs: 1 } });
    expect((await comfy.setFaults({ hang: { atStep: 2 } })).status).toBe(200);
    expect(await comfy.get('/sim/faults')).toEqual({ hang: { atStep: 2 } });
    const refused = await comfy.setFaults({ hagn: {} });
    expect([refused.status, await refused.json()]).toEqual([400, { error: 'faults: unknown key hagn' }]);
    const late = await comfy.setFaults({ dieAtStart: {} });
    expect([late.status, await late.json()]).toEqual([400, { error: expect.stringContaining('dieAtStart acts only') }]);
    expect(await comfy.get('/sim/faults')).toEqual({ hang: { atStep: 2 } });
  });

  it('tells its state', async () => {
    await using comfy = await Comfy.start();
    await comfy.run(single());
    expect(await comfy.get('/sim/state')).toMatchObject({
      pid: comfy.program.child.pid,
      version: '0.26.0',
      running: null,
      pending: 0,
      executedPrompts: 1,
      cachedResults: 2,
      childPid: null,
    });
  });
});

describe('faults at the start', () => {
  it('starts late, counted from the start of the process', async () => {
    await using comfy = await Comfy.start({ sim: { startMs: 400 } });
    expect((await comfy.get('/sim/state')).uptimeMs).toBeGreaterThanOrEqual(400);
    expect(comfy.program.stderr.indexOf('Starting server')).toBeGreaterThan(0);
  });

  it('dies at the start with a message and a code', async () => {
    await using comfy = await Comfy.launch({
      sim: { faults: { dieAtStart: { exitCode: 3, message: "ModuleNotFoundError: No module named 'torch'" } } },
    });
    expect(await comfy.program.exit).toEqual({ code: 3, signal: null });
    expect(comfy.program.stderr).toBe("ModuleNotFoundError: No module named 'torch'\n");
  });

  it('dies at the first starts only, when they are counted', async () => {
    await using folder = await Comfy.start();
    const countFile = join(folder.folder, 'starts');
    const sim = { faults: { dieAtStart: { times: 2, countFile } } };
    for (let i = 0; i < 2; i++) {
      await using dead = await Comfy.launch({ sim });
      expect((await dead.program.exit).code).toBe(1);
    }
    await using alive = await Comfy.start({ sim });
    expect((await alive.fetch('/prompt')).status).toBe(200);
    expect(readFileSync(countFile, 'utf8')).toBe('2');
  });
});

describe('faults in a job', () => {
  it.each([
    [
      { atStep: 2, signal: 'SIGKILL' },
      { code: null, signal: 'SIGKILL' },
    ],
    [
      { atNode: 3, exitCode: 134, message: 'terminate called' },
      { code: 134, signal: null },
    ],
  ] as const)('dies in the middle: %j', async (dieMidJob, exit) => {
    await using comfy = await Comfy.start({ sim: { ...fast, faults: { dieMidJob } } });
    const { status } = await comfy.submit({ prompt: sampled({ steps: 3 }) });
    expect(status).toBe(200);
    expect(await comfy.program.exit).toEqual(exit);
    if ('message' in dieMidJob) expect(comfy.program.stderr).toContain('terminate called\n');
  });

  it('dies in as many jobs as asked, counted over all its lives', async () => {
    using folder = temporaryFolder();
    const sim = { faults: { dieMidJob: { times: 1, countFile: join(folder.path, 'deaths') } } };
    await using first = await Comfy.start({ sim });
    await first.submit({ prompt: single() });
    expect((await first.program.exit).code).toBe(1);
    await using second = await Comfy.start({ sim });
    expect((await second.run(single())).entry.status.status_str).toBe('success');
  });

  it('hangs at a step, deaf to interrupts, while HTTP goes on', async () => {
    await using comfy = await Comfy.start({ sim: { stepMs: 0, faults: { hang: { atStep: 3 } } } });
    await using events = await comfy.events();
    const { body } = await comfy.submit({ prompt: sampled({ steps: 5 }), client_id: events.clientId });
    await vi.waitUntil(async () => (await comfy.get('/sim/state')).strikes.hang === 1, 10_000);
    await comfy.post('/interrupt', { prompt_id: body.prompt_id });
    await comfy.submit({ prompt: single() });
    // A step without duration takes one turn of the event loop, an answer several: left alone, the job would end here.
    for (let i = 0; i < 20; i++) await comfy.get('/prompt');
    const { queue_running, queue_pending } = await comfy.get('/queue');
    expect([queue_running[0]?.[1], queue_pending.length]).toEqual([body.prompt_id, 1]);
    await events.settled();
    expect(events.types()).not.toContain('execution_interrupted');
  });

  it('strikes at a step of one node when it is given both', async () => {
    const run = async (atNode: number) => {
      await using comfy = await Comfy.start({ sim: { ...fast, faults: { raise: { atNode, atStep: 1 } } } });
      return (await comfy.run(sampled())).entry.status.status_str;
    };
    // The sampler is the fifth of the nodes that are executed.
    expect([await run(5), await run(4)]).toEqual(['error', 'success']);
  });

  it('hangs as a whole', async () => {
    await using comfy = await Comfy.start({ sim: { ...fast, faults: { hang: { what: 'process' } } } });
    await comfy.submit({ prompt: single() });
    await expect(comfy.fetch('/prompt', { signal: AbortSignal.timeout(300) })).rejects.toThrow();
    comfy.program.child.kill('SIGTERM');
    expect((await comfy.program.exit).signal).toBe('SIGTERM');
  });

  it('runs out of memory, as often as asked, and lives on', async () => {
    await using comfy = await Comfy.start({ sim: { ...fast, faults: { outOfMemory: { atStep: 2, times: 1 } } } });
    const { events, entry } = await comfy.run(sampled());
    expect(events.data('execution_error')[0]).toMatchObject({
      node_type: 'KSampler',
      exception_type: 'torch.OutOfMemoryError',
      exception_message: expect.stringContaining('Allocation on device \n'),
    });
    expect(entry.status.status_str).toBe('error');
    expect(comfy.program.stderr).toContain('Got an OOM, unloading all loaded models.');
    expect((await comfy.run(sampled())).entry.status.status_str).toBe('success');
    expect((await comfy.get('/sim/state')).strikes).toEqual({ outOfMemory: 1 });
  });

  it('raises another exception, in matching prompts only', async () => {
    await using comfy = await Comfy.start({
      sim: { faults: { raise: { match: 'poison', type: 'ValueError', message: 'bad value', atNode: 2 } } },
    });
    expect((await comfy.run(single())).entry.status.status_str).toBe('success');
    const { events } = await comfy.run(single({}, 'poison/x'));
    expect(events.data('execution_error')[0]).toMatchObject({
      node_id: '2',
      exception_type: 'ValueError',
      exception_message: 'bad value\n',
    });
  });

  it('slows steps and answers down', async () => {
    await using comfy = await Comfy.start({ sim: { stepMs: 10, faults: { slow: { stepFactor: 20, httpMs: 60 } } } });
    const started = performance.now();
    await comfy.fetch('/prompt');
    expect(performance.now() - started).toBeGreaterThan(55);
    const { entry } = await comfy.run(sampled({ steps: 2 }));
    expect(entry.status.messages.at(-1)[1].timestamp - entry.status.messages[0][1].timestamp).toBeGreaterThan(390);
  });
});

describe('faults of the protocol', () => {
  it('refuses sockets, as often as asked', async () => {
    await using comfy = await Comfy.start({ sim: { faults: { websocket: { refuse: true, times: 1 } } } });
    const socket = new WebSocket(`ws://127.0.0.1:${comfy.port}/ws?clientId=a`);
    const [error] = await once(socket, 'error');
    expect(error.message).toContain('503');
    await using events = await comfy.events();
    expect(events.types()).toEqual(['status']);
  });

  it('drops a socket after some messages; the job goes on', async () => {
    await using comfy = await Comfy.start({ sim: { faults: { websocket: { dropAfter: 4, times: 1 } } } });
    const events = await comfy.events();
    const { body } = await comfy.submit({ prompt: minimal(), client_id: events.clientId });
    expect([await events.closed, events.all.length]).toEqual([1006, 4]);
    // The second of the two runs after the first, so its end proves the first one's.
    await comfy.run(single());
    expect((await comfy.get(`/history/${body.prompt_id}`))[body.prompt_id].status.status_str).toBe('success');
  });

  it('drops every socket at once', async () => {
    await using comfy = await Comfy.start();
    const events = await comfy.events();
    await comfy.setFaults({ websocket: { dropAfter: 0, times: 1 } });
    expect(await events.closed).toBe(1006);
  });

  it('keeps silent sockets', async () => {
    await using comfy = await Comfy.start();
    await using events = await comfy.events();
    await comfy.setFaults({ websocket: { mute: true } });
    await comfy.submit({ prompt: single(), client_id: events.clientId });
    await comfy.setFaults({});
    await comfy.run(single());
    expect(events.data('execution_start')).toEqual([]);
    expect(events.socket.readyState).toBe(WebSocket.OPEN);
  });

  it('swallows as many messages as asked', async () => {
    await using comfy = await Comfy.start();
    await using events = await comfy.events();
    await comfy.setFaults({ websocket: { mute: true, times: 2 } });
    const { body } = await comfy.submit({ prompt: single(), client_id: events.clientId });
    await events.idle(body.prompt_id);
    expect(events.types().slice(0, 2)).toEqual(['status', 'execution_start']);
  });

  it('answers garbage below /api as well', async () => {
    await using comfy = await Comfy.start({ sim: { faults: { garbageJson: { paths: ['/history'] } } } });
    await expect((await comfy.fetch('/api/history')).json()).rejects.toThrow(SyntaxError);
  });

  it('answers garbage where it should be JSON', async () => {
    await using comfy = await Comfy.start({ sim: { faults: { garbageJson: { paths: ['/history'], times: 1 } } } });
    const response = await comfy.fetch('/history');
    expect(response.status).toBe(200);
    await expect(response.json()).rejects.toThrow(SyntaxError);
    expect(await comfy.get('/history')).toEqual({});
    expect(await comfy.get('/prompt')).toHaveProperty('exec_info');
  });

  it('can be cured of the trap with equal client ids', async () => {
    await using comfy = await Comfy.start({ sim: { faults: { sameClientTrap: false } } });
    const first = await comfy.events({ clientId: 'same' });
    await using second = await comfy.events({ clientId: 'same' });
    await first[Symbol.asyncDispose]();
    const { body } = await comfy.submit({ prompt: single(), client_id: 'same' });
    await second.idle(body.prompt_id);
    expect(second.types()).toContain('execution_success');
  });
});

/** Kills a leftover when the test is over. */
function killLater(pid: number): void {
  onTestFinished(() => {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It is gone already.
    }
  });
}

const statusOf = (pid: number) => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return { state: fields[0], parent: Number(fields[1]), session: Number(fields[3]) };
  } catch {
    return undefined;
  }
};

describe('faults of the process', () => {
  it('ignores SIGTERM, from the start or from now on', async () => {
    for (const late of [false, true]) {
      await using comfy = await Comfy.start({ sim: { faults: { ignoreTerm: !late } } });
      if (late) await comfy.setFaults({ ignoreTerm: true });
      comfy.program.child.kill('SIGTERM');
      expect((await comfy.fetch('/prompt')).status).toBe(200);
      await comfy.setFaults({});
      comfy.program.child.kill('SIGTERM');
      expect((await comfy.program.exit).signal).toBe('SIGTERM');
    }
  });

  it('ignores SIGINT until it is told otherwise', async () => {
    await using comfy = await Comfy.start({ sim: { faults: { ignoreInt: true } } });
    comfy.program.child.kill('SIGINT');
    expect((await comfy.fetch('/prompt')).status).toBe(200);
    await comfy.setFaults({});
    comfy.program.child.kill('SIGINT');
    expect(await comfy.program.exit).toEqual({ code: 0, signal: null });
  });

  it('leaves a grandchild behind, in a session of its own, that ignores SIGTERM and holds the port', async () => {
    const comfy = await Comfy.start({
      sim: { faults: { leaveChild: { holdPort: true, ignoreTerm: true, lifeS: 30 } } },
    });
    const { childPid } = await comfy.get('/sim/state');
    killLater(childPid);
    await comfy[Symbol.asyncDispose]();
    process.kill(childPid, 'SIGTERM');
    const left = statusOf(childPid);
    expect(left?.state).toMatch(/[DRS]/);
    expect(left?.session).toBe(childPid);
    expect(left?.parent).not.toBe(comfy.program.child.pid);
    expect(await isPortFree({ port: comfy.port })).toBe(false);
    process.kill(childPid, 'SIGKILL');
  });

  it('leaves a grandchild with an empty environment, off the port', async () => {
    const comfy = await Comfy.start({
      sim: { faults: { leaveChild: { clearEnv: true, lifeS: 30 } } },
      env: { MGPU_RUN: 'a-run' },
    });
    const { childPid } = await comfy.get('/sim/state');
    killLater(childPid);
    await comfy[Symbol.asyncDispose]();
    expect(statusOf(childPid)).toBeDefined();
    expect(readFileSync(`/proc/${childPid}/environ`, 'utf8')).not.toContain('MGPU_RUN');
    expect(await isPortFree({ port: comfy.port })).toBe(true);
  });

  it('begins to flood and leaves a child when told so later', async () => {
    await using comfy = await Comfy.start();
    await comfy.setFaults({ floodStdout: { linesPerSecond: 100 }, leaveChild: { lifeS: 30 } });
    const { childPid } = await comfy.get('/sim/state');
    killLater(childPid);
    expect(statusOf(childPid)?.state).toMatch(/[DRS]/);
    await comfy.program.printed('flood 000000010', 'stdout');
    expect((await comfy.setFaults({})).status).toBe(200);
  });

  it('floods no faster than asked', async () => {
    await using comfy = await Comfy.start({ sim: { faults: { floodStdout: { linesPerSecond: 5 } } } });
    await comfy.program.printed('flood 000000003', 'stdout');
    // Counted before the time is taken, so that a busy machine can only make it slower.
    const lines = comfy.program.stdout.split('\n').length - 1;
    const { uptimeMs } = await comfy.get('/sim/state');
    expect(lines).toBeLessThanOrEqual((uptimeMs / 1000) * 5);
  });

  it('floods stdout with numbered lines', async () => {
    await using comfy = await Comfy.start({ sim: { faults: { floodStdout: { lines: 20_000 } } } });
    await comfy.program.printed('flood 000020000', 'stdout');
    const lines = comfy.program.stdout.match(/^flood \d+/gm) ?? [];
    expect(lines.length).toBe(20_000);
    expect(new Set(lines).size).toBe(20_000);
    expect((await comfy.fetch('/prompt')).status).toBe(200);
  });
});

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  type AnyServiceDefinition,
  BaseService,
  defineService,
  type HealthReport,
  type InstallContext,
  ProcessService,
  type ProcessSpec,
  type Run,
  type ServiceContext,
  type StartOptions,
  type StopOptions,
} from '@mgpu/core';
import { serviceConformance, testContext } from '@mgpu/core/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { fixture } from '../support.ts';

const schema = z.strictObject({ enabled: z.boolean().default(true) });
type Config = z.output<typeof schema>;

const definition = (kind: string, create: (config: Config, context: ServiceContext) => BaseService<object>) =>
  defineService({ api: 1, kind, summary: kind, scope: 'machine', phase: kind, critical: false, schema, create });

class GoodService extends BaseService<Config> {
  protected override async onStart(run: Run): Promise<void> {
    const server = createServer();
    run.defer(() => new Promise((resolve) => server.close(resolve)));
    await new Promise<void>((resolve) => server.listen(join(this.context.layout.root, 's'), resolve));
  }
}

class GoodProcess extends ProcessService<Config> {
  protected override command(): ProcessSpec {
    return fixture('stays.mjs');
  }
}

class GoodTask extends BaseService<Config> {
  protected override async onStart(run: Run): Promise<void> {
    run.complete();
  }
}

/** Runs the suite and returns the names of the cases that failed. */
async function failuresOf(tried: AnyServiceDefinition): Promise<string[]> {
  const cases: [string, () => Promise<void>][] = [];
  serviceConformance({
    definition: tried,
    config: {},
    context: () => testContext({ kind: tried.kind }),
    test: (name, body) => cases.push([name, body]),
  });
  const failed: string[] = [];
  for (const [name, body] of cases)
    await body().catch((error: Error) => failed.push(`${name.replace(`${tried.kind}: `, '')} (${error.message})`));
  return failed;
}

for (const good of [
  definition('good-service', (config, context) => new GoodService(config, context)),
  definition('good-process', (config, context) => new GoodProcess(config, context)),
  definition('good-task', (config, context) => new GoodTask(config, context)),
]) {
  describe(`the conformance suite passes ${good.kind}`, () => {
    serviceConformance({
      definition: good,
      config: {},
      context: () => testContext({ kind: good.kind }),
      test: (name, body) => test(name, body),
    });
  });
}

describe('the conformance suite finds a service', () => {
  test('that leaves a process, a timer and a server behind', async () => {
    const held: (() => void)[] = [];
    onTestFinished(() => {
      for (const release of held) release();
    });
    class Leaky extends GoodService {
      protected override async onStart(run: Run): Promise<void> {
        await super.onStart(run);
        const child = spawn('sleep', ['60'], { stdio: 'ignore' });
        const timer = setInterval(() => {}, 1_000);
        const server = createServer();
        held.push(
          () => void child.kill('SIGKILL'),
          () => clearInterval(timer),
          () => void server.close(),
        );
        child.unref();
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      }
    }
    const failed = await failuresOf(definition('leaky', (config, context) => new Leaky(config, context)));
    expect(failed).toEqual([
      'stops twice, at once and again, and leaves nothing (conformance: held after stop: TCPServerWrap, child process, timer)',
    ]);
  });

  test('that leaves a file in the run folder', async () => {
    class Messy extends GoodProcess {
      protected override async onPrepare(): Promise<void> {
        writeFileSync(join(this.context.layout.run, `${this.id}.sock`), '');
      }
    }
    const failed = await failuresOf(definition('messy', (config, context) => new Messy(config, context)));
    expect(failed.join()).toContain('files are left in the run folder: messy.sock');
  });

  test('that runs twice when it is started twice', async () => {
    class Twice extends GoodService {
      override async start(options?: StartOptions): Promise<void> {
        await this.stop();
        await super.start(options);
      }
    }
    const failed = await failuresOf(definition('twice', (config, context) => new Twice(config, context)));
    expect(failed.join()).toContain('starts once for all callers');
  });

  test('that opens something when it is constructed', async () => {
    const timers: NodeJS.Timeout[] = [];
    onTestFinished(() => {
      for (const timer of timers) clearInterval(timer);
    });
    class Eager extends GoodService {
      constructor(config: Config, context: ServiceContext) {
        super(config, context);
        timers.push(setInterval(() => {}, 1_000));
      }
    }
    const failed = await failuresOf(definition('eager', (config, context) => new Eager(config, context)));
    expect(failed.join()).toContain('constructing opens no handle');
  });

  test('that says it stopped and did not', async () => {
    class Deaf extends GoodService {
      override async stop({ force }: StopOptions = {}): Promise<void> {
        if (force) await super.stop({ force });
      }
    }
    const failed = await failuresOf(definition('deaf', (config, context) => new Deaf(config, context)));
    expect(failed.join()).toContain('after stop the state is running');
  });

  test('that does not heed a fired signal', async () => {
    class Stubborn extends GoodService {
      override start(): Promise<void> {
        return super.start();
      }
    }
    const failed = await failuresOf(definition('stubborn', (config, context) => new Stubborn(config, context)));
    expect(failed).toEqual([expect.stringContaining('a start with a fired signal does nothing')]);
  });

  test('that is always well', async () => {
    class Rosy extends GoodService {
      override async health(): Promise<HealthReport> {
        return { health: 'ready', checkedAt: '' };
      }
    }
    const failed = await failuresOf(definition('rosy', (config, context) => new Rosy(config, context)));
    expect(failed).toEqual([expect.stringContaining('what is not running is not ready')]);
  });

  test('whose install cannot be repeated', async () => {
    const good = definition('once', (config, context) => new GoodService(config, context));
    const done = new Set<string>();
    const install = async ({ layout }: InstallContext) => {
      if (done.has(layout.root)) throw new TypeError('it is there already');
      done.add(layout.root);
    };
    const failed = await failuresOf({ ...good, install });
    expect(failed).toEqual([expect.stringContaining('install can be repeated')]);
  });
});

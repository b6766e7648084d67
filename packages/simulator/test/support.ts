import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leasePorts } from '@mgpu/core/testing';
import { afterAll, beforeAll, describe } from 'vitest';
import { comfyuiProgram, type SimulationInput } from '../src/index.ts';
import { EventLog } from './event-log.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers of a foreign server, asserted field by field
export type Json = any;

/** A folder that is gone with the end of the scope. */
export function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'mgpu-sim-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

const alive = new Set<ChildProcess>();
// A test that times out never leaves its scope.
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** A process of a test with all it has printed; killed at the end of the scope. */
export class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stdout = '';
  stderr = '';
  #watchers = new Set<() => void>();

  constructor(file: string, args: readonly string[], options: { cwd?: string; env?: Record<string, string> } = {}) {
    this.child = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
    });
    this.child.stdout?.on('data', (data) => this.#heard('stdout', data));
    this.child.stderr?.on('data', (data) => this.#heard('stderr', data));
    alive.add(this.child);
    this.exit = once(this.child, 'close').then(([code, signal]) => {
      alive.delete(this.child);
      for (const watch of this.#watchers) watch();
      return { code, signal };
    });
  }

  #heard(stream: 'stdout' | 'stderr', data: Buffer): void {
    this[stream] += String(data);
    for (const watch of this.#watchers) watch();
  }

  /** Resolves once the text was printed; rejects when the process ends without it. */
  async printed(text: string, stream: 'stdout' | 'stderr' = 'stderr'): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const watch = () => {
        if (this[stream].includes(text)) resolve();
        else if (this.child.exitCode !== null || this.child.signalCode !== null)
          reject(new Error(`ended without "${text}":\n${this.stderr}`));
        else return;
        this.#watchers.delete(watch);
      };
      this.#watchers.add(watch);
      watch();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exit;
  }
}

export interface ComfyOptions {
  readonly sim?: SimulationInput;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  readonly port?: number;
}

/** A listening server with a folder of its own. */
export class Comfy implements AsyncDisposable {
  readonly program: Program;
  readonly port: number;
  readonly folder: string;
  readonly #cleanup: () => void;

  private constructor(program: Program, port: number, folder: string, cleanup: () => void) {
    this.program = program;
    this.port = port;
    this.folder = folder;
    this.#cleanup = cleanup;
  }

  /** Starts one and does not wait for anything. */
  static async launch(options: ComfyOptions = {}, real?: RealComfy): Promise<Comfy> {
    const folder = temporaryFolder();
    const lease = options.port === undefined ? await leasePorts(1) : undefined;
    const port = options.port ?? (lease?.first as number);
    mkdirSync(join(folder.path, 'custom_nodes'));
    cpSync(join(import.meta.dirname, 'fixtures/slow_node.py'), join(folder.path, 'custom_nodes/slow_node.py'));
    const imageSocket = 'custom_nodes/websocket_image_save.py';
    if (real) cpSync(join(real.checkout, imageSocket), join(folder.path, imageSocket));
    else writeFileSync(join(folder.path, imageSocket), '');
    const args = [
      '--cpu',
      '--port',
      String(port),
      ...(options.args?.includes('--database-url') ? [] : ['--database-url', 'sqlite:///:memory:']),
      '--base-directory',
      folder.path,
      ...(options.args ?? []),
    ];
    const [file, ...start] = real ? [real.python, 'main.py'] : [process.execPath, comfyuiProgram(), 'main.py'];
    const env = { ...(options.sim && { MGPU_SIM: JSON.stringify(options.sim) }), ...options.env };
    const program = new Program(file as string, [...start, ...args], { cwd: real?.checkout ?? folder.path, env });
    return new Comfy(program, port, folder.path, () => {
      folder[Symbol.dispose]();
      lease?.[Symbol.dispose]();
    });
  }

  static async start(options: ComfyOptions = {}, real?: RealComfy): Promise<Comfy> {
    const comfy = await Comfy.launch(options, real);
    try {
      await comfy.program.printed('To see the GUI go to:');
    } catch (error) {
      await comfy[Symbol.asyncDispose]();
      throw error;
    }
    return comfy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(this.url + path, init);
  }

  async get(path: string): Promise<Json> {
    return (await this.fetch(path)).json();
  }

  post(path: string, body?: unknown): Promise<Response> {
    return this.fetch(path, {
      method: 'POST',
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  }

  /** Status and parsed body of a submission. */
  async submit(body: unknown): Promise<{ status: number; body: Json }> {
    const response = await this.post('/prompt', body);
    return { status: response.status, body: await response.json() };
  }

  async setFaults(faults: unknown): Promise<Response> {
    return this.fetch('/sim/faults', { method: 'PUT', body: JSON.stringify(faults) });
  }

  events(options?: { clientId?: string; metadata?: boolean }): Promise<EventLog> {
    return EventLog.open(this.port, options);
  }

  /** Submits a prompt with a socket of its own and waits for its end. */
  async run(
    prompt: unknown,
    extra: Record<string, unknown> = {},
  ): Promise<{ id: string; events: EventLog; entry: Json }> {
    await using events = await this.events();
    const { status, body } = await this.submit({ prompt, client_id: events.clientId, ...extra });
    if (status !== 200) throw new Error(JSON.stringify(body));
    await events.idle(body.prompt_id);
    const history = await this.get(`/history/${body.prompt_id}`);
    return { id: body.prompt_id, events, entry: history[body.prompt_id] };
  }

  /** The bytes of an image of a history entry. */
  async image(image: { filename: string; subfolder: string; type: string }, more = ''): Promise<Uint8Array> {
    return (await this.fetch(`/view?${new URLSearchParams(image)}${more}`)).bytes();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
    this.#cleanup();
  }
}

export interface RealComfy {
  readonly checkout: string;
  readonly python: string;
}

const checkout = process.env.MGPU_REAL_COMFYUI;
/** The real ComfyUI of `MGPU_REAL_COMFYUI`, to which the same tests apply. */
const real: RealComfy | undefined =
  checkout === undefined ? undefined : { checkout, python: process.env.MGPU_REAL_COMFYUI_PYTHON ?? 'python3' };

/** A real engine takes its time to start. */
const timeout = 180_000;

/** Runs the tests with the simulator and, where there is one, with the real ComfyUI; skipped visibly otherwise. */
export function describeEngines(title: string, body: (engine: RealComfy | undefined) => void): void {
  describe(`${title}, simulated`, { timeout }, () => body(undefined));
  describe.skipIf(real === undefined)(`${title}, real (MGPU_REAL_COMFYUI)`, { timeout }, () => body(real));
}

/** The same, with one server for all tests. */
export function describeProtocol(title: string, body: (comfy: () => Comfy) => void): void {
  describeEngines(title, (engine) => {
    let comfy: Comfy | undefined;
    beforeAll(async () => {
      comfy = await Comfy.start({}, engine);
    }, timeout);
    afterAll(() => comfy?.[Symbol.asyncDispose]());
    body(() => comfy as Comfy);
  });
}

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { comfyuiProgram } from '../src/index.ts';
import { single } from './prompts.ts';
import { Comfy, type ComfyOptions, freePort, Program, real, temporaryFolder } from './support.ts';

const engines = [
  { name: 'simulated', real: undefined, skip: false },
  { name: 'real (MGPU_REAL_COMFYUI)', real, skip: real === undefined },
];

/** Runs until it ends by itself. */
async function refused(options: ComfyOptions, engine: typeof real): Promise<{ code: number | null; stderr: string }> {
  await using comfy = await Comfy.launch(options, engine);
  const { code } = await comfy.program.exit;
  return { code, stderr: comfy.program.stderr };
}

describe.each(engines)('command line, $name', ({ real: engine, skip }) => {
  it.skipIf(skip).each([
    [['--nope'], 'main.py: error: unrecognized arguments: --nope'],
    [['extra'], 'main.py: error: unrecognized arguments: extra'],
    [['--port', 'abc'], "main.py: error: argument --port: invalid int value: 'abc'"],
    [['--port'], 'main.py: error: argument --port: expected one argument'],
    [['--gpu-only'], 'main.py: error: argument --gpu-only: not allowed with argument --cpu'],
    [
      ['--preview-method', 'x'],
      "main.py: error: argument --preview-method: invalid choice: 'x' (choose from 'none', 'auto', 'latent2rgb', 'taesd')",
    ],
    [
      ['--front-end-root', '/does/not/exist'],
      "main.py: error: argument --front-end-root: The path '/does/not/exist' does not exist.",
    ],
    [
      ['--user-directory', '/does/not/exist'],
      "main.py: error: argument --user-directory: The path '/does/not/exist' does not exist.",
    ],
    [
      ['--extra-model-paths-config'],
      'main.py: error: argument --extra-model-paths-config: expected at least one argument',
    ],
  ])('refuses %j with its usage and code 2', async (args, message) => {
    const { code, stderr } = await refused({ args }, engine);
    expect([code, stderr.trimEnd().split('\n').at(-1)]).toEqual([2, message]);
    expect(stderr).toMatch(/^usage: main\.py \[-h\] \[--listen \[IP\]\] \[--port PORT\]/m);
  });

  it.skipIf(skip)(
    'needs custom_nodes in its base directory',
    async () => {
      using folder = temporaryFolder();
      const { code, stderr } = await refused({ args: ['--base-directory', folder.path] }, engine);
      expect(code).toBe(1);
      expect(stderr).toContain(`FileNotFoundError: [Errno 2] No such file or directory: '${folder.path}/custom_nodes'`);
    },
    60_000,
  );

  it.skipIf(skip)(
    'needs the file of --extra-model-paths-config',
    async () => {
      const { code, stderr } = await refused({ args: ['--extra-model-paths-config', '/does/not/exist.yaml'] }, engine);
      expect(code).toBe(1);
      expect(stderr).toContain("FileNotFoundError: [Errno 2] No such file or directory: '/does/not/exist.yaml'");
    },
    60_000,
  );

  it.skipIf(skip)(
    'reports a port that is taken and ends with 1',
    async () => {
      const port = await freePort();
      await using _holder = await Comfy.start({ port }, undefined);
      const { code, stderr } = await refused({ port }, engine);
      expect(code).toBe(1);
      expect(stderr).toContain(`Port ${port} is already in use on address 127.0.0.1.`);
      expect(stderr).toContain('Starting server');
      expect(stderr).not.toContain('To see the GUI');
    },
    60_000,
  );

  it.skipIf(skip)(
    'refuses an address that is not its own',
    async () => {
      const { code, stderr } = await refused({ args: ['--listen', '203.0.113.7'] }, engine);
      expect(code).toBe(1);
      expect(stderr).toContain('OSError: [Errno 99] error while attempting to bind on address');
    },
    60_000,
  );

  it.skipIf(skip)(
    'ends with 0 before it listens, asked for a quick test',
    async () => {
      const { code, stderr } = await refused({ args: ['--quick-test-for-ci'] }, engine);
      expect(code).toBe(0);
      expect(stderr).not.toContain('To see the GUI');
    },
    60_000,
  );

  it.skipIf(skip)(
    'announces itself on stderr, with coloured prefixes',
    async () => {
      await using comfy = await Comfy.start({}, engine);
      const { stderr, stdout } = comfy.program;
      const lines = [
        'Total VRAM',
        'pytorch version:',
        'Set vram state to: DISABLED',
        'Device: cpu',
        'Python version:',
        'ComfyUI version:',
        'Import times for custom nodes:',
        'Starting server',
        'To see the GUI go to:',
      ];
      const places = lines.map((line) => stderr.indexOf(line));
      expect(places).toEqual(places.toSorted((a, b) => a - b));
      expect(places[0]).toBeGreaterThan(0);
      expect(stderr).toContain(`\u001b[32m[INFO]\u001b[0m To see the GUI go to: http://127.0.0.1:${comfy.port}`);
      expect(stdout).toBe('');
    },
    60_000,
  );

  it.skipIf(skip)(
    'dies of SIGTERM at once and leaves its temp folder, which the next start wipes',
    async () => {
      await using comfy = await Comfy.start({}, engine);
      mkdirSync(join(comfy.folder, 'temp'), { recursive: true });
      writeFileSync(join(comfy.folder, 'temp/old.png'), '');
      comfy.program.child.kill('SIGTERM');
      expect(await comfy.program.exit).toEqual({ code: null, signal: 'SIGTERM' });
      expect(readdirSync(join(comfy.folder, 'temp'))).toContain('old.png');
      await using again = await Comfy.start({ args: ['--base-directory', comfy.folder] }, engine);
      expect(again.port).toBeGreaterThan(0);
      expect(readdirSync(join(comfy.folder, 'temp'))).toEqual([]);
    },
    60_000,
  );

  it.skipIf(skip)(
    'stops with 0 on SIGINT',
    async () => {
      await using comfy = await Comfy.start({}, engine);
      comfy.program.child.kill('SIGINT');
      expect(await comfy.program.exit).toEqual({ code: 0, signal: null });
      expect(comfy.program.stderr).toContain('Stopped server');
    },
    60_000,
  );

  it.skipIf(skip)(
    'uses the folders it is given',
    async () => {
      await using comfy = await Comfy.launch({}, engine);
      await comfy.program[Symbol.asyncDispose]();
      const args = ['output', 'input', 'temp', 'user'].flatMap((name) => {
        mkdirSync(join(comfy.folder, `my-${name}`), { recursive: true });
        return [`--${name}-directory`, join(comfy.folder, `my-${name}`)];
      });
      writeFileSync(
        join(comfy.folder, 'extra.yaml'),
        'mine:\n  base_path: /models # all of them\n  loras: lo\n  vae: |\n    one\n    two\n',
      );
      await using other = await Comfy.start(
        { args: [...args, '--extra-model-paths-config', join(comfy.folder, 'extra.yaml'), '--disable-metadata'] },
        engine,
      );
      const { entry } = await other.run(single());
      expect(readdirSync(join(comfy.folder, 'my-output/test'))).toEqual([entry.outputs['2'].images[0].filename]);
      expect(readdirSync(join(comfy.folder, 'my-temp'))).toEqual(['temp']);
      expect(Buffer.from(await other.image(entry.outputs['2'].images[0])).includes('tEXt')).toBe(false);
      const paths = await other.get('/internal/folder_paths');
      expect(paths.loras).toContain('/models/lo');
      expect(paths.vae).toEqual(expect.arrayContaining(['/models/one', '/models/two']));
      expect(other.program.stderr).toContain('Adding extra search path loras /models/lo');
    },
    60_000,
  );

  it.skipIf(skip)(
    'serves the frontend it is given',
    async () => {
      await using folder = await Comfy.launch({}, engine);
      await folder.program[Symbol.asyncDispose]();
      writeFileSync(join(folder.folder, 'index.html'), '<p>mine');
      await using comfy = await Comfy.start({ args: ['--front-end-root', folder.folder] }, engine);
      const response = await comfy.fetch('/');
      expect(await response.text()).toBe('<p>mine');
      expect(response.headers.get('cache-control')).toContain('no-store');
    },
    60_000,
  );

  it.skipIf(skip)(
    'answers other origins when told to, and limits uploads',
    async () => {
      await using comfy = await Comfy.start({ args: ['--enable-cors-header', '--max-upload-size', '1'] }, engine);
      const response = await comfy.fetch('/prompt', { headers: { origin: 'http://example.com' } });
      expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([200, '*']);
      expect((await comfy.post('/prompt', `"${'x'.repeat(1100 * 1024)}"`)).status).not.toBe(200);
      expect((await comfy.get('/features')).max_upload_size).toBe(1024 * 1024);
    },
    60_000,
  );

  it.skipIf(skip)(
    'logs to stdout when told to',
    async () => {
      await using comfy = await Comfy.launch({ args: ['--log-stdout'] }, engine);
      await comfy.program.printed('To see the GUI', 'stdout');
      expect(comfy.program.stderr).not.toContain('To see the GUI');
    },
    60_000,
  );
});

describe('command line of the simulator', () => {
  it('prints its help', async () => {
    await using comfy = await Comfy.launch({ args: ['--help'] });
    expect((await comfy.program.exit).code).toBe(0);
    expect(comfy.program.stdout).toContain('[--cuda-device DEVICE_ID]');
  });

  it('finds no GPU where none is visible', async () => {
    await using gpu = new Program(process.execPath, [comfyuiProgram(), '--port', '1'], {
      env: { CUDA_VISIBLE_DEVICES: '' },
    });
    expect((await gpu.exit).code).toBe(1);
    expect(gpu.stderr).toContain('RuntimeError: Found no NVIDIA driver');
  });

  it('listens on several addresses', async () => {
    await using comfy = await Comfy.start({ args: ['--listen', '127.0.0.1,127.0.0.2'] });
    await comfy.program.printed('http://127.0.0.2:');
    expect((await fetch(`http://127.0.0.2:${comfy.port}/prompt`)).status).toBe(200);
  });
});

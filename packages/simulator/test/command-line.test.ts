import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { leasePorts } from '@mgpu/core/testing';
import { describe, expect, it, vi } from 'vitest';
import { comfyuiProgram } from '../src/index.ts';
import { single } from './prompts.ts';
import { Comfy, type ComfyOptions, describeEngines, Program, type RealComfy, temporaryFolder } from './support.ts';

/** Runs until it ends by itself. */
async function refused(options: ComfyOptions, engine?: RealComfy): Promise<{ code: number | null; stderr: string }> {
  await using comfy = await Comfy.launch(options, engine);
  const { code } = await comfy.program.exit;
  return { code, stderr: comfy.program.stderr };
}

describeEngines('command line', (engine) => {
  it.each([
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

  it('needs custom_nodes in its base directory', async () => {
    using folder = temporaryFolder();
    const { code, stderr } = await refused({ args: ['--base-directory', folder.path] }, engine);
    expect(code).toBe(1);
    expect(stderr).toContain(`FileNotFoundError: [Errno 2] No such file or directory: '${folder.path}/custom_nodes'`);
  });

  it('needs the file of --extra-model-paths-config', async () => {
    const { code, stderr } = await refused({ args: ['--extra-model-paths-config', '/does/not/exist.yaml'] }, engine);
    expect(code).toBe(1);
    expect(stderr).toContain("FileNotFoundError: [Errno 2] No such file or directory: '/does/not/exist.yaml'");
  });

  it('needs that file to be YAML', async () => {
    using folder = temporaryFolder();
    const file = join(folder.path, 'broken.yaml');
    writeFileSync(file, 'a: b: c\n');
    const { code, stderr } = await refused({ args: ['--extra-model-paths-config', file] }, engine);
    expect(code).toBe(1);
    expect(stderr).toContain('yaml.scanner.ScannerError: ');
    expect(stderr).toContain(`  in "${file}", line 1, column `);
    const other = await refused({ args: ['--extra-model-paths-config', folder.path] }, engine);
    expect(other.stderr).toContain(`IsADirectoryError: [Errno 21] Is a directory: '${folder.path}'`);
  });

  it('reports a port that is taken and ends with 1', async () => {
    using lease = await leasePorts(1);
    const port = lease.first;
    await using _holder = await Comfy.start({ port });
    const { code, stderr } = await refused({ port }, engine);
    expect(code).toBe(1);
    expect(stderr).toContain(`Port ${port} is already in use on address 127.0.0.1.`);
    expect(stderr).toContain('Starting server');
    expect(stderr).not.toContain('To see the GUI');
  });

  it('refuses an address that is not its own', async () => {
    const { code, stderr } = await refused({ args: ['--listen', '203.0.113.7'] }, engine);
    expect(code).toBe(1);
    expect(stderr).toContain('OSError: [Errno 99] error while attempting to bind on address');
    const nobody = await refused({ args: ['--listen', 'nobody.invalid'] }, engine);
    expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringContaining('socket.gaierror: [Errno -')]);
  });

  it('ends with 0 before it listens, asked for a quick test', async () => {
    const { code, stderr } = await refused({ args: ['--quick-test-for-ci'] }, engine);
    expect(code).toBe(0);
    expect(stderr).not.toContain('To see the GUI');
  });

  it('announces itself on stderr, with coloured prefixes', async () => {
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
  });

  it('dies of SIGTERM at once and leaves its temp folder, which the next start wipes', async () => {
    await using comfy = await Comfy.start({}, engine);
    mkdirSync(join(comfy.folder, 'temp'), { recursive: true });
    writeFileSync(join(comfy.folder, 'temp/old.png'), '');
    comfy.program.child.kill('SIGTERM');
    expect(await comfy.program.exit).toEqual({ code: null, signal: 'SIGTERM' });
    expect(comfy.program.stderr).not.toContain('Stopped server');
    expect(readdirSync(join(comfy.folder, 'temp'))).toContain('old.png');
    await using _again = await Comfy.start({ args: ['--base-directory', comfy.folder] }, engine);
    expect(readdirSync(join(comfy.folder, 'temp'))).toEqual([]);
  });

  it('stops with 0 on SIGINT', async () => {
    await using comfy = await Comfy.start({}, engine);
    comfy.program.child.kill('SIGINT');
    expect(await comfy.program.exit).toEqual({ code: 0, signal: null });
    expect(comfy.program.stderr).toContain('Stopped server');
  });

  it('uses the folders it is given', async () => {
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
  });

  it('serves the frontend it is given', async () => {
    await using folder = await Comfy.launch({}, engine);
    await folder.program[Symbol.asyncDispose]();
    writeFileSync(join(folder.folder, 'index.html'), '<p>mine');
    await using comfy = await Comfy.start({ args: ['--front-end-root', folder.folder] }, engine);
    const response = await comfy.fetch('/');
    expect(await response.text()).toBe('<p>mine');
    expect(response.headers.get('cache-control')).toContain('no-store');
  });

  it('answers other origins when told to, and limits uploads', async () => {
    await using comfy = await Comfy.start({ args: ['--enable-cors-header', '--max-upload-size', '1'] }, engine);
    const response = await comfy.fetch('/prompt', { headers: { origin: 'http://example.com' } });
    expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([200, '*']);
    const body = { prompt: single(), padding: 'x'.repeat(3 * 1024 * 1024) };
    expect((await comfy.post('/prompt', body)).status).toBe(413);
    expect((await comfy.get('/features')).max_upload_size).toBe(1024 * 1024);
  });

  it('logs to stdout when told to', async () => {
    await using comfy = await Comfy.launch({ args: ['--log-stdout'] }, engine);
    await comfy.program.printed('To see the GUI', 'stdout');
    expect(comfy.program.stderr).not.toContain('To see the GUI');
  });
});

describeEngines('options', (engine) => {
  /** The nodes that a second run of one prompt takes from the cache, after another one between. */
  const remembered = async (args: string[]): Promise<string[]> => {
    await using comfy = await Comfy.start({ args }, engine);
    const prompt = single();
    await comfy.run(prompt);
    await comfy.run(single());
    const { events } = await comfy.run(prompt);
    return events.data('execution_cached')[0].nodes.sort();
  };

  it('keeps as many results as --cache-lru says, or none', async () => {
    expect(await remembered(['--cache-lru', '10'])).toEqual(['1', '2']);
    expect(await remembered(['--cache-none'])).toEqual([]);
  });

  it('loads no custom nodes, or those on the white list', async () => {
    const known = async (args: string[]) => {
      await using comfy = await Comfy.start({ args: ['--disable-all-custom-nodes', ...args] }, engine);
      const names = ['SlowNode', 'SaveImageWebsocket', 'SaveImage'];
      const found = await Promise.all(names.map((name) => comfy.get(`/object_info/${name}`)));
      return found.flatMap((info) => Object.keys(info));
    };
    expect(await known([])).toEqual(['SaveImage']);
    expect(await known(['--whitelist-custom-nodes', 'slow_node.py'])).toEqual(['SlowNode', 'SaveImage']);
  });

  it('loads packs that are scripted, and says which of them cannot be imported', async (context) => {
    if (engine) return context.skip('a script is for the simulator');
    using folder = temporaryFolder();
    const pack = (name: string, script: object) => {
      mkdirSync(join(folder.path, 'custom_nodes', name), { recursive: true });
      writeFileSync(join(folder.path, 'custom_nodes', name, 'simulator.json'), JSON.stringify(script));
    };
    pack('good', { nodes: ['EchoPicture'] });
    pack('bad', { nodes: ['Never'], fails: "ModuleNotFoundError: No module named 'nowhere'" });
    await using comfy = await Comfy.start({ args: ['--base-directory', folder.path] });
    expect(await comfy.get('/object_info/EchoPicture')).toMatchObject({
      EchoPicture: { python_module: 'custom_nodes.good', output: ['IMAGE'] },
    });
    expect(await comfy.get('/object_info/Never')).toEqual({});
    expect(comfy.program.stderr).toContain(
      `Cannot import ${folder.path}/custom_nodes/bad module for custom nodes: ModuleNotFoundError: No module named 'nowhere'`,
    );
    expect(comfy.program.stderr).toContain(`0.0 seconds (IMPORT FAILED): ${folder.path}/custom_nodes/bad\n`);
  });

  it('forbids the page to talk to others, without partner nodes', async () => {
    await using comfy = await Comfy.start({ args: ['--disable-api-nodes'] }, engine);
    expect((await comfy.fetch('/prompt')).headers.get('content-security-policy')).toContain("default-src 'self'");
  });

  it('logs from the asked level on', async () => {
    await using comfy = await Comfy.launch({ args: ['--verbose', 'ERROR', '--quick-test-for-ci'] }, engine);
    expect((await comfy.program.exit).code).toBe(0);
    expect(comfy.program.stderr).not.toContain('ComfyUI version:');
    expect((await refused({ args: ['--verbose', 'NOPE'] }, engine)).code).toBe(2);
  });

  it('says nothing of its address when told so', async () => {
    await using comfy = await Comfy.launch({ args: ['--dont-print-server'] }, engine);
    await vi.waitUntil(
      () =>
        comfy.fetch('/prompt').then(
          () => true,
          () => false,
        ),
      { timeout: 150_000 },
    );
    expect(comfy.program.stderr).not.toContain('To see the GUI');
  });

  it('shares its database with nobody', async () => {
    using folder = temporaryFolder();
    const args = ['--database-url', `sqlite:///${join(folder.path, 'comfyui.db')}`];
    await using first = await Comfy.start({ args }, engine);
    expect(first.program.stderr).not.toContain('Could not acquire lock');
    await using second = await Comfy.start({ args }, engine);
    expect(second.program.stderr).toContain(`Could not acquire lock on database '${folder.path}/comfyui.db'`);
  });
});

describe('command line of the simulator', () => {
  it('prints its help', async () => {
    await using comfy = await Comfy.launch({ args: ['--help'] });
    expect((await comfy.program.exit).code).toBe(0);
    expect(comfy.program.stdout).toContain('[--cuda-device DEVICE_ID]');
  });

  it('finds no GPU where none is visible', async () => {
    await using gpu = new Program(process.execPath, [comfyuiProgram()], {
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

  it('stops over a shared database from 0.38 on, unless there are no assets', async () => {
    using folder = temporaryFolder();
    const args = ['--database-url', `sqlite:///${join(folder.path, 'comfyui.db')}`];
    const sim = { version: '0.38.0' };
    await using _first = await Comfy.start({ sim, args });
    await using second = await Comfy.launch({ sim, args });
    expect((await second.program.exit).code).toBe(1);
    expect(second.program.stderr).toContain('ASSETS_STARTUP_FAILED: in_use');
    await using third = await Comfy.start({ sim, args: [...args, '--disable-assets'] });
    expect((await third.fetch('/prompt')).status).toBe(200);
    expect(third.program.stderr).not.toContain('lock on database');
  });

  it.each([
    ['--disable-assets', '0.37.0', '0.38.0'],
    ['--offline', '0.37.0', '0.38.0'],
    ['--enable-manager', '0.3.76', '0.4.0'],
  ])('knows %s not in %s but in %s', async (flag, before, since) => {
    const start = (version: string) => refused({ sim: { version }, args: [flag, '--quick-test-for-ci'] });
    const old = await start(before);
    expect([old.code, old.stderr]).toEqual([2, expect.stringContaining(`error: unrecognized arguments: ${flag}`)]);
    expect(old.stderr).not.toContain(`[${flag}]`);
    expect((await start(since)).code).toBe(0);
  });

  it.each(['0.20.0', '1.0.0'])('reports a taken port as version %s does', async (version) => {
    await using holder = await Comfy.start();
    const { code, stderr } = await refused({ sim: { version }, port: holder.port });
    expect(code).toBe(1);
    expect(stderr).toContain(version === '1.0.0' ? 'is already in use on address' : 'OSError: [Errno 98]');
  });

  it('takes its models from the folder it is given', async () => {
    using folder = temporaryFolder();
    mkdirSync(join(folder.path, 'vae'));
    writeFileSync(join(folder.path, 'vae/mine.safetensors'), '');
    await using comfy = await Comfy.start({ sim: { version: '0.38.0' }, args: ['--models-directory', folder.path] });
    expect(await comfy.get('/models/vae')).toEqual(['mine.safetensors']);
  });

  it('describes the one GPU it sees, whatever its number', async () => {
    using lease = await leasePorts(1);
    using folder = temporaryFolder();
    const args = ['--port', String(lease.first), '--cuda-device', '3', '--database-url', 'sqlite:///:memory:'];
    await using gpu = new Program(process.execPath, [comfyuiProgram(), ...args], {
      cwd: folder.path,
      env: { MGPU_SIM: JSON.stringify({ gpu: { name: 'NVIDIA H100', memoryMiB: 1024 } }) },
    });
    await gpu.printed('To see the GUI');
    expect(gpu.stderr).toContain('Set cuda device to: 3');
    expect(gpu.stderr).toContain('Set vram state to: NORMAL_VRAM');
    const answer = await fetch(`http://127.0.0.1:${lease.first}/system_stats`);
    expect(await answer.json()).toMatchObject({
      system: { pytorch_version: expect.stringContaining('+cu') },
      devices: [{ name: 'cuda:0 NVIDIA H100 : cudaMallocAsync', type: 'cuda', index: 0, vram_total: 1024 ** 3 }],
    });
  });
});

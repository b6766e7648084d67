import { cpuGpu } from '@mgpu/core';
import { testContext, testIo } from '@mgpu/core/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ComfyUIService } from '../src/comfyui-service.ts';
import { engineContract } from './engine-contract.ts';
import { connect, invertGraph, job, namesIn, nextColour, slowGraph, startEngine, type TestEngine } from './support.ts';

const { MGPU_REAL_COMFYUI: dir = '', MGPU_REAL_COMFYUI_PYTHON: python } = process.env;
const options = { dir, ...(python ? { python } : {}), args: ['--disable-api-nodes'] };

/** A node that keeps what depends on it from being done, and says why. */
const blocker = `
from comfy_execution.graph import ExecutionBlocker

class Blocker:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"image": ("IMAGE",)}})
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "testing"

    def run(self, image):
        return (ExecutionBlocker("not today"),)

NODE_CLASS_MAPPINGS = {"Blocker": Blocker}
`;

/** Nodes that make other things than pictures, without a model, and how the files begin. */
const makers = {
  SaveVideo: {
    prompt: {
      2: { class_type: 'CreateVideo', inputs: { images: ['1', 0], fps: 8 } },
      3: {
        class_type: 'SaveVideo',
        inputs: { video: ['2', 0], filename_prefix: 'deep/film', format: 'mp4', codec: 'h264', 'format.codec': 'h264' },
      },
    },
    name: /^deep\/film_\d+_\.mp4$/,
    head: /^....ftyp/s,
  },
  SaveWEBM: {
    prompt: {
      3: {
        class_type: 'SaveWEBM',
        inputs: { images: ['1', 0], filename_prefix: 'film', codec: 'vp9', fps: 8, crf: 40 },
      },
    },
    name: /^film_\d+_\.webm$/,
    head: /^.E\xdf\xa3.*webm/s,
  },
  SaveAnimatedWEBP: {
    prompt: {
      3: {
        class_type: 'SaveAnimatedWEBP',
        inputs: { images: ['1', 0], filename_prefix: 'moves', fps: 8, lossless: true, quality: 80, method: 'default' },
      },
    },
    name: /^moves_\d+_\.webp$/,
    head: /^RIFF....WEBP/s,
  },
  SaveAudio: {
    prompt: {
      2: { class_type: 'EmptyAudio', inputs: { duration: 0.5, sample_rate: 44_100, channels: 2 } },
      3: { class_type: 'SaveAudio', inputs: { audio: ['2', 0], filename_prefix: 'silence' } },
    },
    name: /^silence_\d+_?\.flac$/,
    head: /^fLaC/,
  },
};

// Needs the test node SlowNode (packages/simulator/test/fixtures/slow_node.py) among the custom nodes of the checkout.
describe.skipIf(dir === '')('real ComfyUI (MGPU_REAL_COMFYUI=<checkout>)', () => {
  engineContract(() => startEngine(options));

  describe('whatever the nodes make', () => {
    let engine: TestEngine;
    beforeAll(async () => {
      const args = [...options.args, '--max-upload-size', '1'];
      engine = await startEngine({ ...options, args, nodes: { 'blocker.py': blocker } });
    }, 300_000);
    afterAll(() => engine?.[Symbol.asyncDispose]());

    test.each(Object.entries(makers))('%s gives artifacts', async (node, { prompt, name, head }) => {
      expect(Object.keys(await engine.client.objectInfo(node))).toEqual([node]);
      const images = {
        class_type: 'EmptyImage',
        inputs: { width: 64, height: 64, batch_size: 4, color: nextColour() },
      };
      await using connector = connect(engine);
      const io = testIo();
      await connector.run(job({ prompt: { 1: images, ...prompt } }), io);
      expect(io.stored.map((file) => file.name)).toEqual([expect.stringMatching(name)]);
      expect(io.stored[0]?.content.subarray(0, 64).toString('latin1')).toMatch(head);
    });

    test('a file above its limit is told as that', async () => {
      await expect(engine.client.upload('large.bin', new Uint8Array(20 * 1024 ** 2))).rejects.toMatchObject({
        code: 'COMFYUI_UPLOAD_TOO_LARGE',
      });
    });

    test('a node that is blocked leaves the others to be done', async () => {
      await using connector = connect(engine);
      const io = testIo();
      const prompt = {
        ...invertGraph(),
        4: { class_type: 'Blocker', inputs: { image: ['1', 0] } },
        5: { class_type: 'SaveImage', inputs: { images: ['4', 0], filename_prefix: 'blocked' } },
      };
      await connector.run(job({ prompt }), io);
      expect(io.stored.map(({ origin }) => origin?.node)).toEqual(['3']);
    });
  });

  test('two at once from one checkout, which stays as it is, and an orderly end', { timeout: 300_000 }, async () => {
    const before = await namesIn(dir);
    await using first = await startEngine(options);
    using context = testContext({ kind: 'comfyui', gpu: cpuGpu(1), root: first.context.layout.root });
    await using second = new ComfyUIService({ ...options, port: first.service.port + 1 }, context);
    await second.start();
    const [one, other] = await Promise.all([first.service.health(), second.health()]);
    expect([one.health, other.health]).toEqual(['ready', 'ready']);
    await Promise.all([first.service.stop(), second.stop()]);
    expect([first.service.status.lastExit, second.status.lastExit]).toMatchObject([{ code: 0 }, { code: 0 }]);
    expect(await namesIn(dir)).toEqual(before);
  });

  test('killed in the middle of a job and started again, it does the job', { timeout: 300_000 }, async () => {
    await using engine = await startEngine(options);
    await using connector = connect(engine);
    const io = testIo();
    const running = connector.run(job({ prompt: slowGraph({ seconds: 1 }) }), io);
    await io.until(({ node }) => node === '2');
    process.kill(engine.service.pid ?? 0, 'SIGKILL');
    await expect.poll(() => engine.service.status.state).toBe('failed');
    await engine.service.start();
    await running;
    expect(io.stored).toHaveLength(1);
    expect(io.checkpoints.map((each) => each.deaths)).toEqual([0, 1]);
  });
});
